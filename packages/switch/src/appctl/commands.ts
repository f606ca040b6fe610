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
import { pmdPerfShow } from "./pmd-perf.js";
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

/** The options of a trace, wherever they stand, and its arguments, after the datapath where one is named. */
function traceArgs(
  command: string,
  args: readonly string[],
  hasActions: boolean,
): { options: TraceOptions; rest: readonly string[]; isOdp: boolean; datapath: string | undefined } {
  const isOption = (arg: string): boolean => /^--?[a-z]/.test(arg);
  const given = args.filter(isOption);
  const rest = args.filter((arg) => !isOption(arg));
  const known = ["--json", "-generate", "--generate"];
  const unknown = given.find((option) => !known.includes(option));
  if (unknown !== undefined)
    throw new Error(`${unknown}: unknown option of ${command}; allowed are --json and -generate`);
  const isOdp = isOdpFlow(rest[0]) || isOdpFlow(rest[1]);
  const datapath = isOdp && !isOdpFlow(rest[0]) ? rest[0] : undefined;
  const own = datapath === undefined ? rest : rest.slice(1);
  const least = (isOdp ? 1 : 2) + (hasActions ? 1 : 0);
  const generate = given.some((option) => option.endsWith("-generate"));
  if (own.length < least || own.length > least + 1)
    throw new Error(
      `${command} needs a bridge, a flow${hasActions ? " and actions" : ""}, and may have a packet`,
    );
  if (generate && own.length > least) throw new Error(`${command}: a packet is given, none can be generated`);
  return { options: { json: given.includes("--json"), generate }, rest: own, isOdp, datapath };
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
    usage: "[--offload-stats] bridge",
    args: [1, 2],
    run: (args) => {
      const [option] = args.slice(0, -1);
      if (option !== undefined && option !== "--offload-stats")
        throw new Error(`${option}: unknown option of bridge/dump-flows; allowed is --offload-stats`);
      return dumpFlows(bridgeOf(bridges, args.at(-1)!), clock.now(), option !== undefined);
    },
  },
  "bridge/reconnect": {
    usage: "[bridge]",
    args: [0, 1],
    run: ([name]) => {
      for (const bridge of chosen(bridges, name)) bridge.connmgr.reconnect();
    },
  },
  "ofproto/trace": {
    usage: "[--json] {[dp] odp_flow | bridge flow} [-generate | packet]",
    args: [1, 5],
    run: (args) => {
      const { options, rest, isOdp, datapath } = traceArgs("ofproto/trace", args, false);
      if (isOdp) return traceOdpFlow(bridges, datapath, rest[0]!, rest[1], options);
      return traceFlow(bridgeOf(bridges, rest[0]!), rest[1]!, rest[2], options);
    },
  },
  "ofproto/trace-packet-out": {
    usage: "[--json] [-generate] {[dp] odp_flow | bridge flow} [packet] actions",
    args: [2, 6],
    run: (args) => {
      const { options, rest, isOdp, datapath } = traceArgs("ofproto/trace-packet-out", args, true);
      const actions = rest.at(-1)!;
      const packet = rest.length === (isOdp ? 3 : 4) ? rest.at(-2) : undefined;
      if (isOdp) return traceOdpFlow(bridges, datapath, rest[0]!, packet, options, actions);
      return tracePacketOut(bridgeOf(bridges, rest[0]!), rest[1]!, packet, actions, options);
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
    usage: "[-pmd core] [-secs secs] [dp]",
    args: [0, 5],
    run: (args) => pmdRxqShow(bridges, args),
  },
  "dpif-netdev/pmd-perf-show": {
    usage: "[-nh] [-pmd core] [dp]",
    args: [0, 4],
    run: (args) => pmdPerfShow(bridges, args, clock.wallNow()),
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
