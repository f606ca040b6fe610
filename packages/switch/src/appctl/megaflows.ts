import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { formatOdpActions, formatOdpMatch } from "../dpif/odp-text.js";
import { LANE_IN_PORT } from "../flow/lanes.js";
import { keyToMatch } from "../flow/match.js";
import type { DpBacker } from "../ofproto/backer.js";
import type { Megaflow } from "../ofproto/megaflows.js";
import type { Match } from "../ofproto/of.js";
import { subjectOf } from "../ofproto/trace-text.js";

/** Megaflows one a line: the match (in_port is the datapath's number), counts, actions. */
async function dump(
  backer: DpBacker,
  nowMs: number,
  isWanted: (megaflow: Megaflow) => boolean,
): Promise<string> {
  await backer.syncStats();
  let text = "";
  for (const megaflow of backer.megaflows) {
    if (!isWanted(megaflow)) continue;
    const match = keyToMatch(megaflow.key, megaflow.mask);
    const used = megaflow.packets === 0 ? "never" : `${((nowMs - megaflow.usedMs) / 1000).toFixed(3)}s`;
    const actions = formatOdpActions(megaflow.actions, subjectOf(match as Match));
    text += `${formatOdpMatch(match)}, packets:${megaflow.packets}, bytes:${megaflow.bytes}, used:${used}, actions:${actions}\n`;
  }
  return text;
}

/** Those of all datapaths. */
export async function dumpDatapathFlows(bridges: Bridges, nowMs: number): Promise<string> {
  let text = "";
  for (const backer of bridges.backers()) {
    const flows = await dump(backer, nowMs, () => true);
    if (flows !== "") text += `flow-dump from the main thread:\n${flows}`;
  }
  return text;
}

/** Those that came in by one bridge's ports. */
export function dumpBridgeMegaflows(bridges: Bridges, bridge: Bridge, nowMs: number): Promise<string> {
  const odpPorts = new Set(bridge.ofproto.ports().map(({ odpPort }) => odpPort));
  return dump(bridges.backerOf(bridge), nowMs, ({ key }) => odpPorts.has(key[LANE_IN_PORT]));
}
