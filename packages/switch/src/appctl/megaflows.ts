import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { formatOdpActions, formatOdpMatch, type PortName } from "../dpif/odp-text.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import { keyToMatch } from "../flow/match.js";
import type { DpBacker } from "../ofproto/backer.js";
import type { Megaflow } from "../ofproto/megaflows.js";
import type { Match } from "../ofproto/of.js";
import { subjectOf } from "../ofproto/trace-text.js";
import { datapathsNamed } from "./datapaths.js";

export interface DumpOptions {
  /** Ports by their names. */
  readonly names: boolean;
  /** Only this datapath's. */
  readonly datapath: string | undefined;
}

/** Megaflows one a line: the match (in_port is the datapath's number), counts, actions. */
async function dump(
  bridges: Bridges,
  backer: DpBacker,
  nowMs: number,
  names: boolean,
  isWanted: (megaflow: Megaflow) => boolean,
): Promise<string> {
  await backer.syncStats();
  const portName = names ? namesOf(bridges, backer) : String;
  let text = "";
  for (const megaflow of backer.megaflows) {
    if (!isWanted(megaflow)) continue;
    const match = keyToMatch(megaflow.key, megaflow.mask);
    const used = megaflow.packets === 0 ? "never" : `${((nowMs - megaflow.usedMs) / 1000).toFixed(3)}s`;
    const actions = formatOdpActions(megaflow.actions, { ...subjectOf(match as Match), portName });
    text += `${formatOdpMatch(match, portName)}, packets:${megaflow.packets}, bytes:${megaflow.bytes}, used:${used}, actions:${actions}\n`;
  }
  return text;
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
  { names, datapath }: DumpOptions,
): Promise<string> {
  let text = "";
  for (const backer of datapathsNamed(bridges, datapath)) {
    const flows = await dump(bridges, backer, nowMs, names, () => true);
    if (flows !== "") text += `flow-dump from the main thread:\n${flows}`;
  }
  return text;
}

/** Those that came in by one bridge's ports. */
export function dumpBridgeMegaflows(
  bridges: Bridges,
  bridge: Bridge,
  nowMs: number,
  names: boolean,
): Promise<string> {
  const odpPorts = new Set(bridge.ofproto.ports().map(({ odpPort }) => odpPort));
  return dump(bridges, bridges.backerOf(bridge), nowMs, names, ({ key }) => odpPorts.has(key[LANE_IN_PORT]));
}
