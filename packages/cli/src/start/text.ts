import { formatProbe, type Host, type MeshResult } from "@sluice/lab";
import type { Plan } from "./topology.js";

/** What a person needs to know of a running network. */
export interface Addresses {
  version: string;
  plan: Plan;
  rundir: string;
  /** `unix:…` and `tcp:…` of the OVSDB server. */
  dbUnix: string;
  dbTcp: string;
  controller: string;
  isOurController: boolean;
  hosts: readonly Host[];
}

export function banner(at: Addresses): string {
  const names = at.hosts.map(({ name, ip }) => `${name} ${ip}`);
  const hosts = names.length <= 6 ? names.join(", ") : `${names[0]} to ${names.at(-1)}`;
  const { switches, cables, topology, hasLoops } = at.plan;
  const bridge = switches[0]!.name;
  const switchRow =
    switches.length === 1
      ? `switch        bridge ${bridge}, user-space datapath, fail-mode secure`
      : `switches      s1 to s${switches.length}, ${cables.length} cables between them (${topology}), fail-mode secure`;
  const controller = at.isOurController
    ? `${hasLoops ? "forwarding" : "learning switch"} on ${at.controller}`
    : `${at.controller} (not ours)`;
  return `Sluice ${at.version}: a network in one process. Ctrl-C stops it.

  OVSDB server  ${at.dbTcp} and ${at.dbUnix}
  ${switchRow}
  controller    ${controller}
  hosts         ${hosts}

Point real tools at it:
  ovs-vsctl --db=${at.dbTcp} show
  ovs-ofctl -O OpenFlow13 dump-flows unix:${at.rundir}/${bridge}.mgmt
  ${ryuLine(at)}
or ours:
  npx sluice vsctl --db=${at.dbTcp} show
  npx sluice ofctl dump-flows unix:${at.rundir}/${bridge}.mgmt
`;
}

/** How another controller takes over: at the next start, or while it runs. */
const ryuLine = (at: Addresses): string =>
  at.isOurController
    ? `ryu-manager --ofp-tcp-listen-port 6633 ryu.app.simple_switch_13   # or osken-manager, and then
  ovs-vsctl --db=${at.dbTcp} set-controller ${at.plan.switches[0]!.name} tcp:127.0.0.1:6633`
    : `ryu-manager --ofp-tcp-listen-port ${at.controller.split(":").at(-1)} ryu.app.simple_switch_13   # or osken-manager`;

const MOST_PAIRS_SHOWN = 30;

/** A line for each pair; of many pairs, one for all and one for each that had no answer. */
export function pingLines(round: readonly MeshResult[]): string[] {
  const line = ({ from, to, result }: MeshResult): string =>
    `  ping ${from.name} -> ${to.name}: ${formatProbe(result)}`;
  if (round.length <= MOST_PAIRS_SHOWN) return round.map(line);
  const rttMs = round.flatMap(({ result }) => result.rttMs);
  const sum = {
    sent: round.reduce((total, { result }) => total + result.sent, 0),
    received: rttMs.length,
    rttMs,
  };
  const silent = round.filter(({ result }) => result.received === 0);
  return [
    `  ping, ${round.length} pairs: ${formatProbe(sum)}`,
    ...silent.slice(0, MOST_PAIRS_SHOWN).map(line),
  ];
}

const MOST_FLOWS_SHOWN = 40;

/** A flow dump, cut to what a person reads. */
export function flowLines(dump: string): string {
  const lines = dump.trimEnd().split("\n");
  const more = lines.length - MOST_FLOWS_SHOWN;
  return more <= 0
    ? lines.join("\n")
    : [...lines.slice(0, MOST_FLOWS_SHOWN), ` … and ${more} more`].join("\n");
}
