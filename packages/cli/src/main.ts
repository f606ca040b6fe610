import { CliError, type CommandModule, type Io } from "./io.js";
import { didYouMean } from "./suggest.js";
import { version } from "./version.js";

interface Row {
  name: string;
  summary: string;
  /** Loaded when it is asked for, so that a small command starts fast. */
  load: () => Promise<CommandModule>;
}

const commands: readonly Row[] = [
  {
    name: "start",
    summary: "run a whole network in one process: database, switch, controller, simulated hosts",
    load: () => import("./commands/start.js"),
  },
  {
    name: "ovsdb-server",
    summary: "keep the configuration database (as ovsdb-server)",
    load: () => import("./commands/ovsdb-server.js"),
  },
  {
    name: "vswitchd",
    summary: "run the switch (as ovs-vswitchd)",
    load: () => import("./commands/vswitchd.js"),
  },
  {
    name: "controller",
    summary: "run an OpenFlow controller and its apps: learning switch, forwarding, firewall, router, …",
    load: () => import("./commands/controller.js"),
  },
  {
    name: "ovsdb-client",
    summary: "ask and change an OVSDB server (as ovsdb-client)",
    load: () => import("./commands/ovsdb-client.js"),
  },
  {
    name: "ovsdb-tool",
    summary: "make, look into and change database files (as ovsdb-tool)",
    load: () => import("./commands/ovsdb-tool.js"),
  },
  {
    name: "vsctl",
    summary: "configure the switch through its database (as ovs-vsctl)",
    load: () => import("./commands/vsctl.js"),
  },
  {
    name: "ofctl",
    summary: "ask and change an OpenFlow switch (as ovs-ofctl); decode and encode messages",
    load: () => import("./commands/ofctl.js"),
  },
  {
    name: "appctl",
    summary: "ask a running daemon over its control socket (as ovs-appctl)",
    load: () => import("./commands/appctl.js"),
  },
  {
    name: "dpctl",
    summary: "ask the switch daemon about its datapaths (as ovs-dpctl)",
    load: () => import("./commands/dpctl.js"),
  },
  {
    name: "completion",
    summary: "print a script by which bash completes command lines: source <(sluice completion)",
    load: () => import("./commands/completion.js"),
  },
];

function help(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`).join("");
  return `sluice: a programmable virtual switch and its controller
usage: sluice COMMAND [ARG...]

Commands:
${rows}
"sluice COMMAND --help" tells of one command; "sluice --version" shows the release.
`;
}

/** Runs one command line and gives its exit code. Never throws: whatever fails is told in one line. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = argv;
  if (name === "--help" || name === "-h" || name === "help") {
    io.stdout.write(help());
    return 0;
  }
  if (name === "--version" || name === "-V") {
    io.stdout.write(`sluice ${version()}\n`);
    return 0;
  }
  const row = commands.find((command) => command.name === name);
  if (row === undefined) {
    const what =
      name === undefined
        ? "no command given"
        : `unknown ${name.startsWith("-") ? "option" : "command"} ${name}${didYouMean(
            name,
            commands.map((command) => command.name),
          )}`;
    io.stderr.write(
      `sluice: ${what}; the commands are ${commands.map((command) => command.name).join(", ")}\n`,
    );
    return 1;
  }
  const readerGone = quietWhenReaderLeaves(io);
  try {
    const { run } = await row.load();
    return await Promise.race([run(rest, io), readerGone]);
  } catch (error) {
    io.stderr.write(`sluice ${row.name}: ${messageOf(error, io)}\n`);
    return error instanceof CliError ? error.exitCode : 1;
  }
}

/** `sluice … | head` ends when head does, with no complaint. */
function quietWhenReaderLeaves(io: Io): Promise<number> {
  io.stderr.on("error", () => {});
  return new Promise((resolve) => {
    io.stdout.on("error", () => resolve(0));
  });
}

function messageOf(error: unknown, io: Io): string {
  if (!(error instanceof Error)) return String(error);
  if (io.env.SLUICE_DEBUG) return error.stack ?? error.message;
  return error.message.split("\n")[0] || error.name;
}
