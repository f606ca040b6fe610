import { parseMatch } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import { type FlowMatch, matchToKey } from "../flow/match.js";
import type { DpBacker } from "../ofproto/backer.js";
import type { Megaflow } from "../ofproto/megaflow-table.js";
import { datapathsNamed } from "./datapaths.js";
import { megaflowLine, megaflowNamed, portNames, ufidOf } from "./megaflow-text.js";

export interface DumpOptions {
  /** Ports by their names. */
  readonly names: boolean;
  /** With what names each, and every field. */
  readonly more: boolean;
  /** Only this datapath's. */
  readonly datapath: string | undefined;
  /** Only those that packets of this flow could hit: ovs-ofctl's syntax, in_port the datapath's number. */
  readonly filter: string | undefined;
  /** Of the kinds that Open vSwitch tells apart, by commas: all of ours are "ovs" and "non-offloaded". */
  readonly types: string | undefined;
  /** Only those of the thread of this core; -1: of the one of no core. Threads of cores have every flow. */
  readonly pmd: string | undefined;
}

const TYPES = ["ovs", "tc", "dpdk", "offloaded", "non-offloaded", "partially-offloaded", "all"];
const OURS = ["ovs", "non-offloaded", "all"];

/** Megaflows one a line: the match (in_port is the datapath's number), counts, actions. */
async function dump(
  bridges: Bridges,
  backer: DpBacker,
  nowMs: number,
  { names, more, where }: Pick<DumpOptions, "names" | "more"> & { where: boolean },
  isWanted: (megaflow: Megaflow) => boolean,
): Promise<string> {
  await backer.syncStats();
  const portName = names ? portNames(bridges, backer) : String;
  let text = "";
  for (const megaflow of backer.megaflows)
    if (isWanted(megaflow))
      text += megaflowLine(megaflow, ufidOf(backer, megaflow), { more, where, portName, nowMs });
  return text;
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

/** dpctl/get-flow: the megaflow of that name. */
export async function getMegaflow(
  bridges: Bridges,
  nowMs: number,
  ufid: string,
  options: Pick<DumpOptions, "names" | "more" | "datapath">,
): Promise<string> {
  for (const backer of datapathsNamed(bridges, options.datapath)) {
    const wanted = megaflowNamed(backer, ufid);
    if (!wanted) continue;
    const found = await dump(
      bridges,
      backer,
      nowMs,
      { ...options, where: true },
      ({ birth }) => birth === wanted.birth,
    );
    if (found !== "") return found;
  }
  throw new Error("getting flow (No such file or directory)");
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
    if (!hasThread(bridges, options.pmd) || !types.some((type) => OURS.includes(type))) continue;
    const flows = await dump(bridges, backer, nowMs, { ...options, where: true }, isWanted);
    if (flows !== "") text += `flow-dump from the main thread:\n${flows}`;
  }
  return text;
}

function hasThread({ cores }: Bridges, pmd: string | undefined): boolean {
  if (pmd === undefined || pmd === "-1") return true;
  if (!/^\d+$/.test(pmd)) throw new Error(`pmd=${pmd}: not the number of a core, nor -1 (Invalid argument)`);
  return cores.includes(Number(pmd));
}

/** Those that came in by one bridge's ports. */
export function dumpBridgeMegaflows(
  bridges: Bridges,
  bridge: Bridge,
  nowMs: number,
  options: Pick<DumpOptions, "names" | "more">,
): Promise<string> {
  const odpPorts = new Set(bridge.ofproto.ports().map(({ odpPort }) => odpPort));
  return dump(bridges, bridges.backerOf(bridge), nowMs, { ...options, where: false }, ({ key }) =>
    odpPorts.has(key[LANE_IN_PORT]),
  );
}
