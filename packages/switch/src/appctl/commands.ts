import {
  type Clock,
  type ControlCommands,
  type CoverageHistory,
  coverageCommands,
  type LogRegistry,
  logCommands,
} from "@sluice/runtime";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { bridgesByDatapath, datapaths } from "./datapaths.js";
import { dpctlCommands, dumpArgs } from "./dpctl.js";
import { dummyReceive, type ReceiveByDummy, setAdminState } from "./dummy.js";
import { fdbAdd, fdbDelete, fdbShow, fdbStats, fdbStatsClear } from "./fdb.js";
import { dumpFlows } from "./flows.js";
import { dumpBridgeMegaflows } from "./megaflows.js";
import { memory } from "./memory.js";
import { pmdRxqShow, pmdStatsClear, pmdStatsShow } from "./pmd-stats.js";
import { qosShow, qosTypes } from "./qos.js";
import {
  pauseRevalidation,
  purge,
  setFlowLimit,
  setMegaflows,
  upcallShow,
  waitForRevalidation,
} from "./slow-path.js";
import { isOdpFlow, type TraceOptions, traceFlow, traceOdpFlow, tracePacketOut } from "./trace.js";

/** What the commands look at. */
interface Inspected {
  bridges: Bridges;
  logs: LogRegistry;
  clock: Clock;
  coverage: CoverageHistory;
  receiveByDummy: ReceiveByDummy;
  /** Ends the daemon. */
  exit: () => void;
}

function bridgeOf(bridges: Bridges, name: string): Bridge {
  const bridge = bridges.running.get(name);
  if (bridge) return bridge;
  const names = [...bridges.running.keys()].join(", ");
  throw new Error(`no such bridge "${name}"${names === "" ? "" : ` (there are ${names})`}`);
}

const chosen = (bridges: Bridges, name: string | undefined): Bridge[] =>
  name === undefined ? [...bridges.running.values()] : [bridgeOf(bridges, name)];

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
const ownCommands = ({ bridges, clock, receiveByDummy, exit }: Inspected): ControlCommands => ({
  exit: {
    usage: "[--cleanup]",
    args: [0, 1],
    run: () => {
      exit();
    },
  },
  "ofproto/list": { run: () => [...bridges.running.keys()].map((name) => `${name}\n`).join("") },
  "fdb/show": { usage: "bridge", args: [1, 1], run: ([name]) => fdbShow(bridgeOf(bridges, name!)) },
  "fdb/flush": {
    usage: "[bridge]",
    args: [0, 1],
    run: ([name]) => {
      for (const bridge of chosen(bridges, name)) bridge.ofproto.flushMacs();
      return "table successfully flushed\n";
    },
  },
  "fdb/stats-show": { usage: "bridge", args: [1, 1], run: ([name]) => fdbStats(bridgeOf(bridges, name!)) },
  "fdb/stats-clear": {
    usage: "[bridge]",
    args: [0, 1],
    run: ([name]) => fdbStatsClear(chosen(bridges, name)),
  },
  "fdb/add": {
    usage: "bridge port vlan mac",
    args: [4, 4],
    run: ([name, port, vlan, mac]) => fdbAdd(bridgeOf(bridges, name!), port!, vlan!, mac!),
  },
  "fdb/del": {
    usage: "bridge vlan mac",
    args: [3, 3],
    run: ([name, vlan, mac]) => fdbDelete(bridgeOf(bridges, name!), vlan!, mac!),
  },
  "bridge/dump-flows": {
    usage: "bridge",
    args: [1, 1],
    run: ([name]) => dumpFlows(bridgeOf(bridges, name!), clock.now()),
  },
  "bridge/reconnect": {
    usage: "[bridge]",
    args: [0, 1],
    run: ([name]) => {
      for (const bridge of chosen(bridges, name)) bridge.connmgr.reconnect();
    },
  },
  "ofproto/trace": {
    usage: "[--json] {[dp] odp_flow | bridge flow} [packet]",
    args: [1, 5],
    run: (args) => {
      const { options, rest } = traceArgs("ofproto/trace", args, [args.some(isOdpFlow) ? 1 : 2, 3]);
      const [name, flow, packet] = rest;
      if (isOdpFlow(name)) return traceOdpFlow(bridges, undefined, name, flow, options);
      if (isOdpFlow(flow)) return traceOdpFlow(bridges, name, flow, packet, options);
      return traceFlow(bridgeOf(bridges, name!), flow!, packet, options);
    },
  },
  "ofproto/trace-packet-out": {
    usage: "[--json] bridge flow [packet] actions",
    args: [3, 6],
    run: (args) => {
      const { options, rest } = traceArgs("ofproto/trace-packet-out", args, [3, 4]);
      const [name, flow] = rest;
      const packet = rest.length === 4 ? rest[2] : undefined;
      return tracePacketOut(bridgeOf(bridges, name!), flow!, packet, rest.at(-1)!, options);
    },
  },
  "dpif/show": { run: () => datapaths(bridges) },
  "dpif/dump-dps": { run: () => bridgesByDatapath(bridges) },
  "dpif/dump-flows": {
    usage: "[-m] [--names | --no-names] bridge",
    args: [1, 4],
    run: (args) => {
      const options = dumpArgs(args);
      return dumpBridgeMegaflows(bridges, bridgeOf(bridges, options.datapath ?? ""), clock.now(), options);
    },
  },
  "dpif-netdev/pmd-stats-show": {
    usage: "[-pmd core] [dp]",
    args: [0, 3],
    run: (args) => pmdStatsShow(bridges, args),
  },
  "dpif-netdev/pmd-stats-clear": {
    usage: "[-pmd core] [dp]",
    args: [0, 3],
    run: (args) => pmdStatsClear(bridges, args),
  },
  "dpif-netdev/pmd-rxq-show": {
    usage: "[-pmd core] [dp]",
    args: [0, 3],
    run: (args) => pmdRxqShow(bridges, args),
  },
  "upcall/show": { run: () => upcallShow(bridges) },
  "upcall/set-flow-limit": {
    usage: "flow-limit-number",
    args: [1, 1],
    run: ([limit]) => setFlowLimit(bridges, limit!),
  },
  "upcall/disable-megaflows": { run: () => setMegaflows(bridges, false) },
  "upcall/enable-megaflows": { run: () => setMegaflows(bridges, true) },
  "revalidator/pause": { run: () => pauseRevalidation(bridges, true) },
  "revalidator/resume": { run: () => pauseRevalidation(bridges, false) },
  "revalidator/wait": { run: () => waitForRevalidation(bridges) },
  "revalidator/purge": { run: () => purge(bridges) },
  "qos/show": { usage: "interface", args: [1, 1], run: ([name]) => qosShow(bridges, name!) },
  "qos/show-types": { usage: "interface", args: [1, 1], run: ([name]) => qosTypes(bridges, name!) },
  "netdev-dummy/receive": {
    usage: "name [--qid queue_id] {packet | flow [--len packet_len]}...",
    args: [2, 100],
    run: (args) => dummyReceive(bridges, receiveByDummy, args),
  },
  "netdev-dummy/set-admin-state": {
    usage: "[name] up|down",
    args: [1, 2],
    run: (args) => setAdminState(bridges, args),
  },
  "memory/show": { run: () => memory(bridges) },
});

/** The tables of what the switch daemon can be asked. */
export const switchCommands = (inspected: Inspected): readonly ControlCommands[] => [
  logCommands(inspected.logs),
  coverageCommands(inspected.coverage),
  dpctlCommands(inspected.bridges, inspected.clock),
  ownCommands(inspected),
];
