import { type Clock, type ControlServer, type LogRegistry, registerLogCommands } from "@sluice/runtime";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import type { CoverageHistory } from "./coverage.js";
import { bridgesByDatapath, datapathDetails, datapathNames, datapaths } from "./datapaths.js";
import { fdbAdd, fdbDelete, fdbShow, fdbStats, fdbStatsClear } from "./fdb.js";
import { dumpFlows } from "./flows.js";
import { dumpBridgeMegaflows, dumpDatapathFlows } from "./megaflows.js";
import { memory } from "./memory.js";
import { pmdStatsClear, pmdStatsShow } from "./pmd-stats.js";
import { type TraceOptions, traceFlow, tracePacketOut } from "./trace.js";

/** What the commands look at. */
export interface Inspected {
  bridges: Bridges;
  logs: LogRegistry;
  clock: Clock;
  coverage: CoverageHistory;
  /** Ends the daemon. */
  exit: () => void;
}

interface Command {
  name: string;
  usage: string;
  args: readonly [min: number, max: number];
  run: (inspected: Inspected, args: readonly string[]) => string | Promise<string>;
}

function bridgeOf({ bridges }: Inspected, name: string): Bridge {
  const bridge = bridges.running.get(name);
  if (bridge) return bridge;
  const names = [...bridges.running.keys()].join(", ");
  throw new Error(`no such bridge "${name}"${names === "" ? "" : ` (there are ${names})`}`);
}

const chosen = (inspected: Inspected, name: string | undefined): Bridge[] =>
  name === undefined ? [...inspected.bridges.running.values()] : [bridgeOf(inspected, name)];

/** Arguments of a dump of datapath flows. -m is taken and changes nothing: there is no more to say. */
function dumpArgs(args: readonly string[]): { names: boolean; of: string | undefined } {
  const options = args.filter((arg) => arg.startsWith("-"));
  const [of, ...more] = args.filter((arg) => !arg.startsWith("-"));
  const known = ["-m", "--more", "--names", "--no-names"];
  const strange = [...options.filter((option) => !known.includes(option)), ...more][0];
  if (strange !== undefined) throw new Error(`${strange}: unknown argument; allowed are ${known.join(", ")}`);
  return { names: options.includes("--names"), of };
}

/** The options of a trace, wherever they stand, and its arguments. -generate is taken and changes nothing: a flow is
 *  traced as it is. */
function traceArgs(
  command: string,
  args: readonly string[],
  [min, max]: readonly [number, number],
): { options: TraceOptions; rest: readonly string[] } {
  const isOption = (arg: string): boolean => /^--?[a-z]/.test(arg);
  const options = args.filter(isOption);
  const rest = args.filter((arg) => !isOption(arg));
  const unknown = options.find((option) => !["--json", "-generate", "--generate"].includes(option));
  if (unknown !== undefined) throw new Error(`${unknown}: unknown option of ${command}; allowed is --json`);
  if (rest.length < min || rest.length > max)
    throw new Error(
      `${command} needs a bridge, a flow${min === 3 ? " and actions" : ""}, and may have a packet`,
    );
  return { options: { json: options.includes("--json") }, rest };
}

/** ovs-appctl's commands of ovs-vswitchd, under its names (ovs-vswitchd(8), "RUNTIME MANAGEMENT COMMANDS"). */
const COMMANDS: readonly Command[] = [
  {
    name: "exit",
    usage: "[--cleanup]",
    args: [0, 1],
    run: ({ exit }) => {
      exit();
      return "";
    },
  },
  {
    name: "ofproto/list",
    usage: "",
    args: [0, 0],
    run: ({ bridges }) => [...bridges.running.keys()].map((name) => `${name}\n`).join(""),
  },
  {
    name: "fdb/show",
    usage: "bridge",
    args: [1, 1],
    run: (inspected, [name]) => fdbShow(bridgeOf(inspected, name!)),
  },
  {
    name: "fdb/flush",
    usage: "[bridge]",
    args: [0, 1],
    run: (inspected, [name]) => {
      for (const bridge of chosen(inspected, name)) bridge.ofproto.flushMacs();
      return "table successfully flushed\n";
    },
  },
  {
    name: "fdb/stats-show",
    usage: "bridge",
    args: [1, 1],
    run: (inspected, [name]) => fdbStats(bridgeOf(inspected, name!)),
  },
  {
    name: "fdb/stats-clear",
    usage: "[bridge]",
    args: [0, 1],
    run: (inspected, [name]) => fdbStatsClear(chosen(inspected, name)),
  },
  {
    name: "fdb/add",
    usage: "bridge port vlan mac",
    args: [4, 4],
    run: (inspected, [name, port, vlan, mac]) => fdbAdd(bridgeOf(inspected, name!), port!, vlan!, mac!),
  },
  {
    name: "fdb/del",
    usage: "bridge vlan mac",
    args: [3, 3],
    run: (inspected, [name, vlan, mac]) => fdbDelete(bridgeOf(inspected, name!), vlan!, mac!),
  },
  { name: "dpif/show", usage: "", args: [0, 0], run: ({ bridges }) => datapaths(bridges) },
  {
    name: "bridge/dump-flows",
    usage: "bridge",
    args: [1, 1],
    run: (inspected, [name]) => dumpFlows(bridgeOf(inspected, name!), inspected.clock.now()),
  },
  {
    name: "bridge/reconnect",
    usage: "[bridge]",
    args: [0, 1],
    run: (inspected, [name]) => {
      for (const bridge of chosen(inspected, name)) bridge.connmgr.reconnect();
      return "";
    },
  },
  {
    name: "ofproto/trace",
    usage: "[--json] bridge flow [packet]",
    args: [2, 5],
    run: (inspected, args) => {
      const { options, rest } = traceArgs("ofproto/trace", args, [2, 3]);
      const [name, flow, packet] = rest;
      return traceFlow(bridgeOf(inspected, name!), flow!, packet, options);
    },
  },
  {
    name: "ofproto/trace-packet-out",
    usage: "[--json] bridge flow [packet] actions",
    args: [3, 6],
    run: (inspected, args) => {
      const { options, rest } = traceArgs("ofproto/trace-packet-out", args, [3, 4]);
      const [name, flow] = rest;
      const packet = rest.length === 4 ? rest[2] : undefined;
      return tracePacketOut(bridgeOf(inspected, name!), flow!, packet, rest.at(-1)!, options);
    },
  },
  {
    name: "dpif/dump-flows",
    usage: "[-m] [--names | --no-names] bridge",
    args: [1, 4],
    run: (inspected, args) => {
      const { names, of } = dumpArgs(args);
      const { bridges, clock } = inspected;
      return dumpBridgeMegaflows(bridges, bridgeOf(inspected, of ?? ""), clock.now(), names);
    },
  },
  {
    name: "dpctl/dump-flows",
    usage: "[-m] [--names | --no-names] [dp]",
    args: [0, 4],
    run: ({ bridges, clock }, args) => {
      const { names, of } = dumpArgs(args);
      return dumpDatapathFlows(bridges, clock.now(), { names, datapath: of });
    },
  },
  { name: "dpctl/dump-dps", usage: "", args: [0, 0], run: ({ bridges }) => datapathNames(bridges) },
  { name: "dpif/dump-dps", usage: "", args: [0, 0], run: ({ bridges }) => bridgesByDatapath(bridges) },
  {
    name: "dpctl/show",
    usage: "[-s] [dp]",
    args: [0, 2],
    run: ({ bridges }, args) =>
      datapathDetails(bridges, {
        statistics: args.some((arg) => arg === "-s" || arg === "--statistics"),
        name: args.find((arg) => !arg.startsWith("-")),
      }),
  },
  {
    name: "dpif-netdev/pmd-stats-show",
    usage: "",
    args: [0, 0],
    run: ({ bridges }) => pmdStatsShow(bridges),
  },
  {
    name: "dpif-netdev/pmd-stats-clear",
    usage: "",
    args: [0, 0],
    run: ({ bridges }) => pmdStatsClear(bridges),
  },
  { name: "coverage/show", usage: "", args: [0, 0], run: ({ coverage }) => coverage.show() },
  {
    name: "coverage/read-counter",
    usage: "counter",
    args: [1, 1],
    run: async ({ coverage }, [name]) => `${await coverage.total(name!)}\n`,
  },
  { name: "memory/show", usage: "", args: [0, 0], run: ({ bridges }) => memory(bridges) },
];

/** Puts the switch's commands on a control socket. */
export function registerSwitchCommands(server: ControlServer, inspected: Inspected): void {
  registerLogCommands(server, inspected.logs);
  for (const { name, usage, args, run } of COMMANDS) {
    server.register(name, usage, args[0], args[1], (given) => run(inspected, given));
  }
}
