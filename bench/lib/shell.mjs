// Running programs, in a network namespace or not.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

/** Runs a command to its end and gives its standard output. Throws its output when it fails or takes longer
 *  than `timeoutMs`. */
export async function sh(argv, { netns, env, timeoutMs = 20_000 } = {}) {
  const child = launch(argv, netns, env);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  try {
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`${argv.join(" ")} exited with ${code}\n${stdout}${stderr}`);
    return stdout;
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a program that keeps running. Its output is kept for `output()`. */
export function daemon(argv, { netns, env } = {}) {
  const child = launch(argv, netns, env);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output = (output + text).slice(-100_000);
    });
  }
  const closed = once(child, "close");
  return {
    pid: child.pid,
    output: () => output,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
      await closed;
      clearTimeout(timer);
    },
  };
}

function launch(argv, netns, env) {
  const [program, ...args] = netns ? ["ip", "netns", "exec", netns, ...argv] : argv;
  return spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
}

/** Waits until `condition` holds; throws `what` and `detail()` after `timeoutMs`. */
export async function until(condition, what, timeoutMs = 15_000, detail = () => "") {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}\n${detail()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const TICKS_PER_SECOND = 100; // USER_HZ, which is 100 on every Linux that Node runs on

/** User and system time in seconds that a process and its threads have used. */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process. */
export const residentMb = (pid) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first of these programs that is not installed. */
export const missingProgram = (...names) =>
  names.find(
    (name) => spawnSync("sh", ["-c", `PATH="$PATH:/usr/sbin:/sbin"; command -v ${name}`]).status !== 0,
  );
