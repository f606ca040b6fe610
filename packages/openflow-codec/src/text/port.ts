import type { PortStats } from "../v13/multipart.js";
import { OFPPC, OFPPF, OFPPS } from "../v13/numbers.js";
import type { Port } from "../v13/structs.js";
import { named, refuse } from "./error.js";
import { formatDuration } from "./flow.js";
import { formatPort, type PortNames, parsePort } from "./ports.js";
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
/** The bits that `formatBits` printed. */
function parseBits(names: Readonly<Record<string, number>>, text: string): number {
  if (text === "0") return 0;
  return text
    .split(" ")
    .reduce((bits, word) => bits | (Object.hasOwn(names, word) ? names[word]! : hexBits(word)), 0);
}
const hexBits = (word: string): number =>
  /^0x[0-9a-f]{1,8}$/i.test(word) ? Number(word) : refuse(`${word} is not a name of a bit`);

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

/** A port from the lines that `formatPortDesc` made, or ovs-ofctl show printed. Speeds are printed in Mb/s: what a
 *  kb/s number had below that is gone. Throws TextError. */
export function parsePortDesc(text: string): Port {
  const [head = "", ...lines] = text.trim().split(/\n\s*/);
  const [, number, name, hw_addr] =
    /^([^\s(]+)\((.*)\): addr:([0-9a-f]{2}(?::[0-9a-f]{2}){5})$/i.exec(head) ??
    refuse(`"${head}" is not PORT(NAME): addr:ADDRESS`);
  const port = {
    port_no: parsePort(number!),
    hw_addr: hw_addr!.toLowerCase(),
    name: name!,
    config: 0,
    state: 0,
    curr: 0,
    advertised: 0,
    supported: 0,
    peer: 0,
    curr_speed: 0,
    max_speed: 0,
  };
  for (const line of lines) {
    const [, key = "", value = ""] = /^(\w+): *(.+)$/.exec(line) ?? refuse(`"${line}" is not NAME: VALUE`);
    if (key === "speed") {
      const [, now, most] =
        /^(\d+) Mbps now, (\d+) Mbps max$/.exec(value) ??
        refuse(`speed: "${value}" is not N Mbps now, N Mbps max`);
      port.curr_speed = Number(now) * 1000;
      port.max_speed = Number(most) * 1000;
      continue;
    }
    const bits = PORT_BITS.get(key) ?? refuse(`unknown keyword ${key}`);
    port[bits.member] = named(key, () => parseBits(bits.names, value)) >>> 0;
  }
  return port;
}

type BitsMember = "config" | "state" | "curr" | "advertised" | "supported" | "peer";

/** What the lines of a port hold. */
const PORT_BITS = new Map<string, { member: BitsMember; names: Readonly<Record<string, number>> }>([
  ["config", { member: "config", names: OFPPC }],
  ["state", { member: "state", names: OFPPS }],
  ["current", { member: "curr", names: FEATURES }],
  ["advertised", { member: "advertised", names: FEATURES }],
  ["supported", { member: "supported", names: FEATURES }],
  ["peer", { member: "peer", names: FEATURES }],
]);

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
