import { createInterface } from "node:readline";
import { formatProbe, type Link, promptClock } from "@sluice/lab";
import { CliError, type Io } from "../io.js";
import { packetLine } from "../ofctl/packet-text.js";
import { didYouMean } from "../suggest.js";
import { cableName, type Demo } from "./demo.js";
import { pingLines } from "./text.js";
import type { Plan } from "./topology.js";

/** The commands that a person gives a running network. */

interface Shell {
  readonly demo: Demo;
  readonly plan: Plan;
  readonly io: Io;
}

interface Command {
  readonly usage: string;
  readonly summary: string;
  run(shell: Shell, args: readonly string[]): Promise<string> | string;
}

const MOST_PINGS = 1000;

const commands: Readonly<Record<string, Command>> = {
  net: { usage: "net", summary: "what is joined to what", run: ({ demo }) => net(demo) },
  pingall: {
    usage: "pingall",
    summary: "every host pings every other",
    run: async ({ demo: { network } }) => `${pingLines(await network.pingAll()).join("\n")}\n`,
  },
  ping: {
    usage: "HOST ping HOST [COUNT]",
    summary: "one host pings another (3 times)",
    run: async ({ demo: { network } }, [from, to, count = "3"]) => {
      const times = /^\d{1,4}$/.test(count) ? Number(count) : 0;
      if (times < 1 || times > MOST_PINGS)
        throw new CliError(`"${count}" is not a number from 1 to ${MOST_PINGS}`);
      const [a, b] = [known(network.hosts, from), known(network.hosts, to)];
      return `${formatProbe(await a.ping(b.ip, { count: times, intervalMs: 200 }))}\n`;
    },
  },
  link: {
    usage: "link A B up | down | latency MS | loss PERCENT",
    summary: "changes the cable between two",
    run: ({ demo }, [a, b, what, value]) => {
      change(cableBetween(demo, a, b), what, value);
      return "";
    },
  },
  watch: {
    usage: "watch [A B]",
    summary: "shows the frames that are sent between two, or everywhere; unwatch ends it",
    run: ({ demo, io }, [a, b]) => {
      const only = a === undefined ? undefined : cableName(a, b ?? "");
      if (only !== undefined) cableBetween(demo, a, b);
      const start = promptClock.now();
      demo.watch = (from, to, { timeMs, frame }) => {
        if (only !== undefined && cableName(from, to) !== only) return;
        io.stdout.write(`${((timeMs - start) / 1000).toFixed(3)} ${from} > ${to} ${packetLine(frame)}`);
      };
      return "";
    },
  },
  unwatch: {
    usage: "unwatch",
    summary: "ends watch",
    run: ({ demo }) => {
      demo.watch = undefined;
      return "";
    },
  },
  flows: {
    usage: "flows [SWITCH]",
    summary: "the flows of a switch, or of all",
    run: async (shell, [name]) => {
      const all = shell.plan.switches.map((one) => one.name);
      for (const one of name === undefined ? all : [name]) {
        if (name === undefined && all.length > 1) shell.io.stdout.write(`${one}:\n`);
        await tool(shell, "ofctl", ["dump-flows", one]);
      }
      return "";
    },
  },
  trace: {
    usage: "trace SWITCH FLOW",
    summary: "what would become of a packet: trace br0 in_port=1,icmp,nw_dst=10.0.0.2",
    run: (shell, args) => tool(shell, "appctl", ["ofproto/trace", ...args]),
  },
  ofctl: {
    usage: "ofctl, vsctl, appctl ARG...",
    summary: "the tools of these names: ofctl dump-groups s1",
    run: (shell, args) => tool(shell, "ofctl", args),
  },
  help: {
    usage: "help",
    summary: "these commands; exit, or the end of the input, ends it all",
    run: () => help(),
  },
};

/** Not in the help's list on lines of their own. */
const more: Readonly<Record<string, Command>> = {
  vsctl: { usage: "", summary: "", run: (shell, args) => tool(shell, "vsctl", args) },
  appctl: { usage: "", summary: "", run: (shell, args) => tool(shell, "appctl", args) },
};

function help(): string {
  const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length));
  return Object.values(commands)
    .map(({ usage, summary }) => `  ${usage.padEnd(width)}  ${summary}\n`)
    .join("");
}

/** Reads commands until the end of the input or "exit"; gives the exit code. */
export async function readCommands(demo: Demo, plan: Plan, io: Io): Promise<number> {
  const isTerminal = "isTTY" in io.stdin && io.stdin.isTTY === true;
  const lines = createInterface({
    input: io.stdin,
    output: isTerminal ? io.stdout : undefined,
    prompt: "sluice> ",
  });
  // In a terminal Ctrl-C comes as a key.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const prompt = (): void => {
    if (isTerminal) lines.prompt();
  };
  if (isTerminal) io.stdout.write('"help" tells what can be asked for.\n');
  prompt();
  for await (const line of lines) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "exit" || words[0] === "quit") break;
    if (words[0] !== "" && !words[0]!.startsWith("#")) await carryOut({ demo, plan, io }, words);
    prompt();
  }
  lines.close();
  return 0;
}

/** A command that fails is told in one line, and the next one is read. */
async function carryOut(shell: Shell, words: readonly string[]): Promise<void> {
  // "h1 ping h2", as in Mininet.
  const [name, ...args] = words[1] === "ping" ? ["ping", words[0]!, ...words.slice(2)] : words;
  try {
    const command = Object.hasOwn(commands, name!) ? commands[name!] : more[name!];
    if (command === undefined) {
      const meant = didYouMean(name!, Object.keys({ ...commands, ...more }));
      throw new CliError(`unknown command '${name}'${meant}; "help" shows those that there are`);
    }
    shell.io.stdout.write(await command.run(shell, args));
  } catch (error) {
    shell.io.stderr.write(`${(error as Error).message.split("\n")[0]}\n`);
  }
}

/** Runs one of the tools on this network. What it prints is its own. */
async function tool(
  { demo, io }: Shell,
  name: "ofctl" | "vsctl" | "appctl",
  args: readonly string[],
): Promise<string> {
  const env = { ...io.env, SLUICE_RUNDIR: demo.rundir };
  const { run } =
    name === "ofctl"
      ? await import("../commands/ofctl.js")
      : name === "vsctl"
        ? await import("../commands/vsctl.js")
        : await import("../commands/appctl.js");
  await run(name === "appctl" ? ["-t", demo.unixctl, ...args] : args, { ...io, env });
  return "";
}

function net(demo: Demo): string {
  const lines = [...demo.cables].map(
    ([name, { isCut }]) => `  ${name.replace(" ", " -- ")}${isCut ? " (down)" : ""}\n`,
  );
  return lines.join("");
}

function known<T extends { readonly name: string }>(all: readonly T[], name: string | undefined): T {
  const found = all.find((one) => one.name === name);
  if (!found)
    throw new CliError(
      `there is no ${name ?? "name given"}; there are ${all.map((one) => one.name).join(", ")}`,
    );
  return found;
}

function cableBetween(demo: Demo, a = "", b = ""): Link {
  const link = demo.cables.get(cableName(a, b));
  if (!link) throw new CliError(`there is no cable between "${a}" and "${b}" ("net" shows them)`);
  return link;
}

function change(link: Link, what: string | undefined, value: string | undefined): void {
  const number = Number(value);
  if (what === "up") link.mend();
  else if (what === "down") link.cut();
  else if (what === "latency" && number >= 0 && number <= 60_000) link.latencyMs = number;
  else if (what === "loss" && number >= 0 && number <= 100) link.loss = number / 100;
  else throw new CliError(`say up, down, latency MS or loss PERCENT`);
}
