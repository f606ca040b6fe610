import type { PortStats } from "../v13/multipart.js";
import { OFPPC, OFPPF, OFPPS } from "../v13/numbers.js";
import type { Port } from "../v13/structs.js";
import { formatDuration } from "./flow.js";
import { formatPort, type PortNames } from "./ports.js";
import { hexText } from "./scan.js";

/** Ports as ovs-ofctl show and dump-ports print them. */

/** Names of bits, the unnamed rest in hex; "0" for none. */
export function formatBits(names: Readonly<Record<string, number>>, bits: number): string {
  if (bits === 0) return "0";
  const words: string[] = [];
  let rest = bits;
  for (const [name, bit] of Object.entries(names)) {
    if (bits & bit) {
      words.push(name);
      rest &= ~bit;
    }
  }
  if (rest !== 0) words.push(hexText(rest >>> 0));
  return words.join(" ");
}

/** "10GB_FD" is "10GB-FD" here, and PAUSE is AUTO_PAUSE. */
const FEATURES = Object.fromEntries(
  Object.entries(OFPPF).map(([name, bit]) => [
    { PAUSE: "AUTO_PAUSE", PAUSE_ASYM: "AUTO_PAUSE_ASYM", AUTONEG: "AUTO_NEG" }[name] ??
      name.replace("_", "-"),
    bit,
  ]),
);
export const formatFeatures = (bits: number): string => formatBits(FEATURES, bits);
export const formatPortConfig = (bits: number): string => formatBits(OFPPC, bits);

/** The lines about a port, each ended. */
export function formatPortDesc(port: Port): string {
  const lines = [
    ` ${formatPort(port.port_no)}(${port.name}): addr:${port.hw_addr}`,
    `     config:     ${formatPortConfig(port.config)}`,
    `     state:      ${formatBits(OFPPS, port.state)}`,
  ];
  const feature = (name: string, bits: number): void => {
    if (bits !== 0) lines.push(`     ${`${name}:`.padEnd(12)}${formatFeatures(bits)}`);
  };
  feature("current", port.curr);
  feature("advertised", port.advertised);
  feature("supported", port.supported);
  feature("peer", port.peer);
  const mbps = (kbps: number): number => Math.floor(kbps / 1000);
  lines.push(`     speed: ${mbps(port.curr_speed)} Mbps now, ${mbps(port.max_speed)} Mbps max`);
  return lines.map((line) => `${line}\n`).join("");
}

export const formatCounter = (value: bigint): string =>
  value === 0xffff_ffff_ffff_ffffn ? "?" : String(value);

/** The lines about a port's counters, each ended. */
export function formatPortStats(stats: PortStats, ports: PortNames = {}): string {
  const count = formatCounter;
  const port = `${stats.port_no < 10 ? " " : ""}${formatPort(stats.port_no, ports)}`;
  const duration =
    stats.duration_sec === 0xffffffff
      ? ""
      : `           duration=${formatDuration(stats.duration_sec, stats.duration_nsec)}\n`;
  return (
    `  port ${port}: rx pkts=${count(stats.rx_packets)}, bytes=${count(stats.rx_bytes)}, drop=${count(stats.rx_dropped)}, errs=${count(stats.rx_errors)}, frame=${count(stats.rx_frame_err)}, over=${count(stats.rx_over_err)}, crc=${count(stats.rx_crc_err)}\n` +
    `           tx pkts=${count(stats.tx_packets)}, bytes=${count(stats.tx_bytes)}, drop=${count(stats.tx_dropped)}, errs=${count(stats.tx_errors)}, coll=${count(stats.collisions)}\n${duration}`
  );
}
