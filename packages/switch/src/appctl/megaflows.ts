import { parseMatch } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { formatOdpActions, formatOdpMatch, type PortName } from "../dpif/odp-text.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import { type FlowMatch, keyToMatch, matchToKey } from "../flow/match.js";
import type { DpBacker } from "../ofproto/backer.js";
import type { Megaflow } from "../ofproto/megaflow-table.js";
import type { Match } from "../ofproto/of.js";
import { subjectOf } from "../ofproto/trace-text.js";
import { datapathsNamed } from "./datapaths.js";

export interface DumpOptions {
  /** Ports by their names. */
  readonly names: boolean;
  /** With what names each, and where it is carried out. */
  readonly more: boolean;
  /** Only this datapath's. */
  readonly datapath: string | undefined;
  /** Only those that packets of this flow could hit: ovs-ofctl's syntax, in_port the datapath's number. */
  readonly filter: string | undefined;
  /** Of the kinds that Open vSwitch tells apart, by commas: all of ours are "ovs" and "non-offloaded". */
  readonly types: string | undefined;
}

const TYPES = ["ovs", "tc", "dpdk", "offloaded", "non-offloaded", "partially-offloaded", "all"];
const OURS = ["ovs", "non-offloaded", "all"];

/** Megaflows one a line: the match (in_port is the datapath's number), counts, actions. */
async function dump(
  bridges: Bridges,
  backer: DpBacker,
  nowMs: number,
  { names, more }: Pick<DumpOptions, "names" | "more">,
  isWanted: (megaflow: Megaflow) => boolean,
): Promise<string> {
  await backer.syncStats();
  const portName = names ? namesOf(bridges, backer) : String;
  let text = "";
  for (const megaflow of backer.megaflows)
    if (isWanted(megaflow)) text += line(megaflow, nowMs, portName, more);
  return text;
}

function line(megaflow: Megaflow, nowMs: number, portName: PortName, more: boolean): string {
  const match = keyToMatch(megaflow.key, megaflow.mask);
  const used = megaflow.packets === 0 ? "never" : `${((nowMs - megaflow.usedMs) / 1000).toFixed(3)}s`;
  const actions = formatOdpActions(megaflow.outcome.actions, { ...subjectOf(match as Match), portName });
  const counts = `packets:${megaflow.packets}, bytes:${megaflow.bytes}, used:${used}`;
  const [name, where] = more ? [`${ufidOf(megaflow)}, `, ", dp:ovs"] : ["", ""];
  return `${name}${formatOdpMatch(match, portName)}, ${counts}${where}, actions:${actions}\n`;
}

/** What names a megaflow as long as its actions stay. */
const ufidOf = ({ id }: Megaflow): string =>
  `ufid:00000000-0000-0000-0000-${id.toString(16).padStart(12, "0")}`;

/** The number in such a name. */
function idOf(ufid: string): number {
  if (!/^ufid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(ufid)) throw new Error("parsing flow ufid");
  const [high, low] = [ufid.slice(5, 28), ufid.slice(29)];
  return /[1-9a-f]/i.test(high) ? -1 : Number.parseInt(low, 16);
}

/** Whether a packet could be both of the filter and of the megaflow. */
function filterOf(text: string | undefined): (megaflow: Megaflow) => boolean {
  if (text === undefined) return () => true;
  let wanted: ReturnType<typeof matchToKey>;
  try {
    wanted = matchToKey(parseMatch(text) as FlowMatch);
  } catch (error) {
    throw new Error(`Failed to parse filter (${(error as Error).message})`);
  }
  return (megaflow) => {
    const { key, mask } = megaflow;
    return wanted.key.every((lane, i) => ((lane ^ key[i]!) & wanted.mask[i]! & mask[i]!) === 0);
  };
}

/** dpctl/del-flow: the megaflow of that name goes, with its counts told. As `dump-flows -m` prints it: what comes after the
 *  name says no more. */
export async function delMegaflow(
  bridges: Bridges,
  datapath: string | undefined,
  flow: string,
): Promise<undefined> {
  const id = idOf(flow.split(",")[0]!);
  for (const backer of datapathsNamed(bridges, datapath)) {
    if (!backer.megaflows.delete(id)) continue;
    await backer.barrier();
    await backer.syncStats();
    return undefined;
  }
  throw new Error("deleting flow (No such file or directory)");
}

/** dpctl/get-flow: the megaflow of that name. */
export async function getMegaflow(
  bridges: Bridges,
  nowMs: number,
  ufid: string,
  options: Pick<DumpOptions, "names" | "more" | "datapath">,
): Promise<string> {
  const id = idOf(ufid);
  for (const backer of datapathsNamed(bridges, options.datapath)) {
    const found = await dump(bridges, backer, nowMs, options, (one) => one.id === id);
    if (found !== "") return found;
  }
  throw new Error("getting flow (No such file or directory)");
}

function namesOf(bridges: Bridges, backer: DpBacker): PortName {
  const names = new Map<number, string>();
  for (const bridge of bridges.running.values()) {
    if (bridges.backerOf(bridge) !== backer) continue;
    for (const { odpPort, name } of bridge.ofproto.ports())
      if (odpPort !== undefined) names.set(odpPort, name);
  }
  return (port) => names.get(port) ?? String(port);
}

/** Those of all datapaths, or of one. */
export async function dumpDatapathFlows(
  bridges: Bridges,
  nowMs: number,
  options: DumpOptions,
): Promise<string> {
  const types = options.types?.split(",") ?? ["all"];
  const strange = types.find((type) => !TYPES.includes(type));
  if (strange !== undefined) throw new Error(`Failed to parse type (${strange}) (Invalid argument)`);
  const isWanted = filterOf(options.filter);
  let text = "";
  for (const backer of datapathsNamed(bridges, options.datapath)) {
    if (!types.some((type) => OURS.includes(type))) continue;
    const flows = await dump(bridges, backer, nowMs, options, isWanted);
    if (flows !== "") text += `flow-dump from the main thread:\n${flows}`;
  }
  return text;
}

/** Those that came in by one bridge's ports. */
export function dumpBridgeMegaflows(
  bridges: Bridges,
  bridge: Bridge,
  nowMs: number,
  options: Pick<DumpOptions, "names" | "more">,
): Promise<string> {
  const odpPorts = new Set(bridge.ofproto.ports().map(({ odpPort }) => odpPort));
  return dump(bridges, bridges.backerOf(bridge), nowMs, options, ({ key }) =>
    odpPorts.has(key[LANE_IN_PORT]),
  );
}
