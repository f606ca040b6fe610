import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface RunResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Readonly<Record<string, string>>;
  input?: string | Uint8Array;
  timeoutMs?: number;
  cwd?: string;
  /** Name of the network namespace to run in. */
  netns?: string;
}

/** The built command; `npm test` builds before it runs. */
export const SLUICE = fileURLToPath(new URL("../../packages/cli/bin/sluice.js", import.meta.url));

/** Puts `ip netns exec` before a command line when a namespace is asked for. */
const inNamespace = (argv: readonly string[], netns: string | undefined): readonly string[] =>
  netns === undefined ? argv : ["ip", "netns", "exec", netns, ...argv];

function start(argv: readonly string[], options: RunOptions): ChildProcess {
  const [program, ...rest] = inNamespace(argv, options.netns);
  return spawn(program!, rest, { env: { ...process.env, ...options.env }, cwd: options.cwd });
}

/** Runs a command to its end. Never rejects for an exit code: the caller looks at `code`. A command that takes
 *  longer than `timeoutMs` (20 s) is killed, and its code is null. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const child = start(argv, options);
  let stdout = "";
  let stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.stdin!.on("error", () => {});
  child.stdin!.end(options.input ?? "");
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 20_000);
  try {
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

/** As `run`, but throws unless the command exits with 0; gives its standard output. */
export async function check(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.code !== 0) {
    throw new Error(`${argv.join(" ")} exited with ${result.code}\n${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

const running = new Set<Daemon>();
process.on("exit", () => {
  for (const daemon of running) daemon.kill();
});

/** A program that keeps running: its output is kept, and can be waited for. */
export class Daemon {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #output = "";
  #exited = false;

  constructor(argv: readonly string[], options: RunOptions = {}) {
    this.name = argv.join(" ");
    this.#child = start(argv, options);
    this.#closed = once(this.#child, "close").then(() => {
      this.#exited = true;
      running.delete(this);
    });
    this.#child.on("error", (error) => {
      this.#output += `${error.message}\n`;
    });
    this.#child.stdin!.on("error", () => {});
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
      });
    }
    running.add(this);
  }

  /** Everything that it has printed, on both streams. */
  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Waits until it has printed something that matches. */
  async prints(pattern: RegExp, timeoutMs = 20_000): Promise<void> {
    await until(
      () => pattern.test(this.#output),
      `${this.name} to print ${pattern}`,
      timeoutMs,
      () => {
        if (this.#exited) throw new Error(`${this.name} ended:\n${this.#output}`);
        return this.#output;
      },
    );
  }

  /** Closes its standard input. */
  endInput(): void {
    this.#child.stdin!.end();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Asks it to stop, insists after 5 s, and waits until it has. Gives its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (!this.#exited) {
      this.#child.kill(signal);
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
      await this.#closed;
      clearTimeout(timer);
    }
    return this.#child.exitCode;
  }

  /** Waits for its end. */
  async ended(): Promise<number | null> {
    await this.#closed;
    return this.#child.exitCode;
  }
}

/** Waits until `condition` holds, looking again every 50 ms; fails with what was waited for, and `detail()`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 20_000,
  detail: () => string | Promise<string> = () => "",
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    const more = await detail();
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}\n${more}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
