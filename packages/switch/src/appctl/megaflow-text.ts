import type { Bridges } from "../bridge/reconfigure.js";
import { formatOdpActions, formatOdpMatch, type PortName } from "../dpif/odp-text.js";
import { keyToMatch, keyToWholeMatch } from "../flow/match.js";
import type { DpBacker } from "../ofproto/backer.js";
import type { Megaflow } from "../ofproto/megaflow-table.js";
import type { Match } from "../ofproto/of.js";
import { subjectOf } from "../ofproto/trace-text.js";

/** Megaflows as the commands of dpctl/ write and name them. */

/** How one is written: -m tells what names it, and every field of the packet that it was made for; `where`: which
 *  datapath carries it out. */
export interface LineForm {
  readonly more: boolean;
  readonly where: boolean;
  readonly portName: PortName;
  readonly nowMs: number;
}

export function megaflowLine(
  megaflow: Megaflow,
  ufid: string,
  { more, where, portName, nowMs }: LineForm,
): string {
  const match = keyToMatch(megaflow.key, megaflow.mask);
  const told = more ? keyToWholeMatch(megaflow.key, megaflow.mask) : match;
  const actions = formatOdpActions(megaflow.outcome.actions, { ...subjectOf(match as Match), portName });
  const name = more ? `${ufid}${where ? ", " : " "}` : "";
  const dp = more && where ? ", dp:ovs" : "";
  return `${name}${formatOdpMatch(told, portName)}, ${countsOf(megaflow, nowMs)}${dp}, actions:${actions}\n`;
}

/** What it has counted, and how long ago the last packet was. */
export function countsOf(
  { packets, bytes, usedMs, tcpFlags }: Pick<Megaflow, "packets" | "bytes" | "usedMs" | "tcpFlags">,
  nowMs: number,
): string {
  const used = packets === 0 ? "never" : `${((nowMs - usedMs) / 1000).toFixed(3)}s`;
  const flags = tcpFlags === 0 ? "" : `, flags:${flagLetters(tcpFlags)}`;
  return `packets:${packets}, bytes:${bytes}, used:${used}${flags}`;
}

/** In the order in which they are written: a letter for each flag, by its bit. */
const LETTERS: readonly (readonly [letter: string, bit: number])[] = [
  ["S", 1],
  ["F", 0],
  ["P", 3],
  ["R", 2],
  ["U", 5],
  [".", 4],
  ["E", 6],
  ["C", 7],
  ["N", 8],
  ["[200]", 9],
  ["[400]", 10],
  ["[800]", 11],
];

const flagLetters = (flags: number): string =>
  LETTERS.map(([letter, bit]) => (((flags >>> bit) & 1) === 1 ? letter : "")).join("");

/** Names that were given by hand, by the first id of the megaflow that has each. */
const givenNames = new WeakMap<DpBacker, Map<number, string>>();

/** What names a megaflow as long as it lives. */
export const ufidOf = (backer: DpBacker, { birth }: Megaflow): string =>
  givenNames.get(backer)?.get(birth) ??
  `ufid:00000000-0000-0000-0000-${birth.toString(16).padStart(12, "0")}`;

/** Names a megaflow that was put in by hand. Names of those that are gone are forgotten. */
export function giveName(backer: DpBacker, id: number, ufid: string): void {
  const before = givenNames.get(backer) ?? [];
  const live = [...before].filter(([birth]) => backer.megaflows.byId(birth)?.birth === birth);
  givenNames.set(backer, new Map([...live, [id, ufid]]));
}

const UFID = /^ufid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The megaflow of this name. Throws one line when it is no name. */
export function megaflowNamed(backer: DpBacker, ufid: string): Megaflow | undefined {
  if (!UFID.test(ufid)) throw new Error("parsing flow ufid");
  const name = ufid.toLowerCase();
  for (const [birth, given] of givenNames.get(backer) ?? [])
    if (given === name) return backer.megaflows.byId(birth);
  const [high, low] = [name.slice(5, 28), name.slice(29)];
  return /[1-9a-f]/.test(high) ? undefined : backer.megaflows.byId(Number.parseInt(low, 16));
}

/** Names of a datapath's ports. */
export function portNames(bridges: Bridges, backer: DpBacker): PortName {
  const names = new Map([...portsOf(bridges, backer)].map(([name, port]) => [port, name]));
  return (port) => names.get(port) ?? String(port);
}

/** A datapath's ports by name. */
export function portsOf(bridges: Bridges, backer: DpBacker): Map<string, number> {
  const ports = new Map<string, number>();
  for (const bridge of bridges.running.values()) {
    if (bridges.backerOf(bridge) !== backer) continue;
    for (const { odpPort, name } of bridge.ofproto.ports())
      if (odpPort !== undefined) ports.set(name, odpPort);
  }
  return ports;
}
