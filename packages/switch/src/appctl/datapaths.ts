import { OFPP } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { OVSDB_LOCAL } from "../bridge/status.js";
import type { DpBacker } from "../ofproto/backer.js";

function bridgeLines(bridge: Bridge): string {
  const rows = bridge.ofproto
    .ports()
    .sort((a, b) => a.name.localeCompare(b.name))
    .map(({ name, ofport, odpPort, type, peer }) => {
      const number = ofport === OFPP.LOCAL ? OVSDB_LOCAL : ofport;
      const what = peer === undefined ? type : `${type}: peer=${peer.name}`;
      return `    ${name} ${number}/${odpPort ?? "none"}: (${what})\n`;
    });
  return `  ${bridge.desired.name}:\n${rows.join("")}`;
}

export const nameOf = ({ dpif }: DpBacker): string => `${dpif.type}@sluice-${dpif.type}`;

/** Datapaths, the bridges on each, and their ports: OpenFlow number / datapath number (type). */
export async function datapaths(bridges: Bridges): Promise<string> {
  let text = "";
  for (const backer of bridges.backers()) {
    const { packets = 0, upcalls = 0 } = await backer.dpif.counters();
    const its = [...bridges.running.values()]
      .filter((bridge) => bridges.backerOf(bridge) === backer)
      .sort((a, b) => a.desired.name.localeCompare(b.desired.name));
    text += `${nameOf(backer)}: hit:${packets - upcalls} missed:${upcalls}\n${its.map(bridgeLines).join("")}`;
  }
  return text;
}

/** Datapaths by name. */
export const datapathNames = (bridges: Bridges): string =>
  [...bridges.backers()].map((backer) => `${nameOf(backer)}\n`).join("");

/** Scripts that know Open vSwitch call the datapath ovs-TYPE, with or without its type in front. */
const isCalled = (backer: DpBacker, name: string): boolean =>
  name
    .replace(/^(\w+@)?ovs-/, `${backer.dpif.type}@sluice-`)
    .replace(/^sluice-/, `${backer.dpif.type}@sluice-`) === nameOf(backer);

/** All datapaths, or the one of that name. Throws one line when there is none. */
export function datapathsNamed(bridges: Bridges, name: string | undefined): DpBacker[] {
  const backers = [...bridges.backers()].filter((backer) => name === undefined || isCalled(backer, name));
  if (backers.length > 0 || name === undefined) return backers;
  const there = datapathNames(bridges).trim().replaceAll("\n", ", ");
  throw new Error(`${name}: no such datapath${there === "" ? "" : ` (there are ${there})`}`);
}

/** Bridges, each with the type of its datapath. */
export const bridgesByDatapath = (bridges: Bridges): string =>
  [...bridges.running.values()]
    .map((bridge) => `${bridges.backerOf(bridge).dpif.type}@${bridge.desired.name}\n`)
    .join("");

export interface ShowOptions {
  /** Whether to tell each port's counters, and every counter of the datapath. */
  readonly statistics: boolean;
  /** Only this datapath. */
  readonly name: string | undefined;
}

/** Datapaths with what they have looked up, their flows and ports, as dpctl/show lays them out. */
export async function datapathDetails(bridges: Bridges, { statistics, name }: ShowOptions): Promise<string> {
  let text = "";
  for (const backer of datapathsNamed(bridges, name)) {
    const counters = await backer.dpif.counters();
    text += `${nameOf(backer)}:\n${lookupLines(counters)}`;
    if (statistics)
      text += `  counters: ${Object.entries(counters)
        .map(([counter, count]) => `${counter}:${count}`)
        .join(" ")}\n`;
    const owners = [...bridges.running.values()].filter((bridge) => bridges.backerOf(bridge) === backer);
    const ports = owners
      .flatMap(({ ofproto }) => ofproto.ports().map((port) => ({ ...port, ofproto })))
      .filter(({ odpPort }) => odpPort !== undefined)
      .sort((a, b) => a.odpPort! - b.odpPort!);
    for (const { odpPort, name: port, type, ofport, ofproto } of ports) {
      text += `  port ${odpPort}: ${port} (${type})\n`;
      if (statistics) text += await portLines(ofproto, ofport);
    }
  }
  return text;
}

function lookupLines(counters: Readonly<Record<string, number>>): string {
  const { packets = 0, upcalls = 0, upcalls_lost = 0, flows = 0, masks = 0, megaflow_probes = 0 } = counters;
  const perPacket = packets === 0 ? 0 : megaflow_probes / packets;
  return (
    `  lookups: hit:${Math.max(0, packets - upcalls)} missed:${upcalls} lost:${upcalls_lost}\n` +
    `  flows: ${flows}\n` +
    `  masks: hit:${megaflow_probes} total:${masks} hit/pkt:${perPacket.toFixed(2)}\n`
  );
}

/** What no device counts is told as "?". */
async function portLines(ofproto: Bridge["ofproto"], port_no: number): Promise<string> {
  const reply = await ofproto.multipart({ type: "OFPMP_PORT_STATS", port_no });
  const [stats] = (reply as unknown as { entries: readonly PortStats[] }).entries;
  if (!stats) return "";
  const of = (key: keyof PortStats): string => (stats[key] === UNKNOWN ? "?" : String(stats[key]));
  return [
    `    RX packets:${of("rx_packets")} errors:${of("rx_errors")} dropped:${of("rx_dropped")} overruns:${of("rx_over_err")} frame:${of("rx_frame_err")}`,
    `    TX packets:${of("tx_packets")} errors:${of("tx_errors")} dropped:${of("tx_dropped")} aborted:? carrier:?`,
    `    collisions:${of("collisions")}`,
    `    RX bytes:${of("rx_bytes")}${inUnits(stats.rx_bytes)}  TX bytes:${of("tx_bytes")}${inUnits(stats.tx_bytes)}`,
    "",
  ].join("\n");
}

const UNITS = ["TiB", "GiB", "MiB", "KiB"];

/** A number of bytes in the largest unit that there is one of. */
function inUnits(bytes: bigint): string {
  if (bytes === UNKNOWN) return "";
  const i = UNITS.findIndex((_, at) => bytes >= 1n << BigInt(10 * (UNITS.length - at)));
  return i < 0 ? "" : ` (${(Number(bytes) / 2 ** (10 * (UNITS.length - i))).toFixed(1)} ${UNITS[i]})`;
}

type PortStats = Readonly<
  Record<
    | "rx_packets"
    | "rx_errors"
    | "rx_dropped"
    | "rx_over_err"
    | "rx_frame_err"
    | "rx_bytes"
    | "tx_packets"
    | "tx_errors"
    | "tx_dropped"
    | "tx_bytes"
    | "collisions",
    bigint
  >
>;
/** 1.3.5 §7.3.5.6: a counter that the port does not have is all ones. */
const UNKNOWN = 0xffff_ffff_ffff_ffffn;
