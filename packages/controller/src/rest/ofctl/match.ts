import { EncodeError, encode, type Match, OFPVID, type OxmField, oxmField } from "@sluice/openflow-codec";
import {
  IPV4_SIZE,
  IPV6_SIZE,
  ipv4FromNumber,
  MAC_SIZE,
  readIpv4,
  readIpv6,
  readMac,
  writeIpv4,
  writeIpv6,
  writeMac,
} from "@sluice/wire";
import { badField } from "../problem.js";
import { PORT } from "./names.js";
import { type Body, isBody, readBig, readInt, readReserved, showReserved } from "./read.js";

/** Names of OpenFlow 1.0 that are taken, and used in answers. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  dl_src: "eth_src",
  dl_dst: "eth_dst",
  dl_type: "eth_type",
  dl_vlan: "vlan_vid",
  nw_src: "ipv4_src",
  nw_dst: "ipv4_dst",
  nw_proto: "ip_proto",
};
const SHOWN: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(OLD_NAMES).map(([old, name]) => [name, old])),
  tcp_src: "tp_src",
  tcp_dst: "tp_dst",
  udp_src: "tp_src",
  udp_dst: "tp_dst",
};
const ARP_NAMES: Readonly<Record<string, string>> = { nw_src: "arp_spa", nw_dst: "arp_tpa" };
const ETH_ARP = 0x0806;
const TRANSPORT: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };

/** The OXM field that a name means; tp_src is of the protocol that the same match names, nw_src of ARP is its spa. */
function fieldName(given: string, match: Body, field: string): string {
  const of = (old: string, name: string): number =>
    readInt(match[old] ?? match[name] ?? 0, field.replace(/[^.]*$/, old));
  if (Object.hasOwn(ARP_NAMES, given) && of("dl_type", "eth_type") === ETH_ARP) return ARP_NAMES[given]!;
  if (given !== "tp_src" && given !== "tp_dst")
    return Object.hasOwn(OLD_NAMES, given) ? OLD_NAMES[given]! : given;
  const protocol = TRANSPORT[of("nw_proto", "ip_proto")];
  if (protocol === undefined) throw badField(field, "needs ip_proto 6, 17 or 132");
  return given.replace("tp", protocol);
}

/** Where a field stands among others: a field's prerequisites have lower numbers, and are to come before it (OpenFlow
 *  1.3.5 §7.2.3.6). */
const orderOf = (name: string): number => {
  const { class: oxmClass = 0, field = 0 } = oxmField(name) ?? {};
  // OpenFlow's own class is the first, experimenters' the last, Nicira's between.
  return (oxmClass === OPENFLOW_BASIC ? 0 : oxmClass + 1) * 0x100 + field;
};
const OPENFLOW_BASIC = 0x8000;

/** A match as Ryu's clients write it. Throws a Problem that names the field. */
export function readMatch(value: unknown, path = "match"): Match {
  if (!isBody(value)) throw badField(path, "is not an object");
  const match: Record<string, unknown> = {};
  for (const [given, raw] of Object.entries(value)) {
    const at = path ? `${path}.${given}` : given;
    const name = fieldName(given, value, at);
    if (Object.hasOwn(match, name)) throw badField(at, `says ${name} a second time`);
    match[name] = readField(name, raw, at);
  }
  return Object.fromEntries(Object.entries(match).sort(([a], [b]) => orderOf(a) - orderOf(b))) as Match;
}

/** The value of one field, checked as the codec checks it. */
export function readField(name: string, raw: unknown, at: string): unknown {
  const field = oxmField(name);
  if (field === undefined) throw badField(at, "is not a field that is known");
  const value = name === "vlan_vid" ? readVlan(raw, at) : readValue(field, raw, at);
  try {
    encode({ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", match: { [name]: value } as Match });
  } catch (error) {
    if (error instanceof EncodeError) throw badField(at, `is not allowed: ${error.detail}`);
    throw error;
  }
  return value;
}

function readValue(field: OxmField, raw: unknown, at: string): unknown {
  if (field.name === "in_port") return readReserved(raw, at, PORT);
  if (typeof raw !== "string" || !raw.includes("/")) return readPlain(field, raw, at);
  const [value, mask] = [raw.slice(0, raw.indexOf("/")), raw.slice(raw.indexOf("/") + 1)];
  return masked(field, readPlain(field, value, at), readMask(field, mask, at));
}

/** Text of addresses, to bytes and back. */
const ADDRESSES = {
  mac: { size: MAC_SIZE, write: writeMac, read: readMac },
  ipv4: { size: IPV4_SIZE, write: writeIpv4, read: readIpv4 },
  ipv6: { size: IPV6_SIZE, write: writeIpv6, read: readIpv6 },
} as const;

/** A value with its mask. Bits of it that the mask leaves out are cleared, as in Ryu: people write 10.0.0.1/24. */
function masked({ kind }: OxmField, value: unknown, mask: unknown): { value: unknown; mask: unknown } {
  if (kind === "big") return { value: (value as bigint) & (mask as bigint), mask };
  if (kind === "uint") return { value: ((value as number) & (mask as number)) >>> 0, mask };
  if (kind === "bytes") return { value, mask };
  const { size, write, read } = ADDRESSES[kind];
  const bytes = [new Uint8Array(size), new Uint8Array(size)] as const;
  try {
    write(bytes[0], 0, value as string);
    write(bytes[1], 0, mask as string);
  } catch {
    // The codec says which of them is none.
    return { value, mask };
  }
  return {
    value: read(
      Uint8Array.from(bytes[0], (byte, i) => byte & bytes[1][i]!),
      0,
    ),
    mask,
  };
}

function readPlain({ kind }: OxmField, raw: unknown, at: string): unknown {
  if (kind === "big") return readBig(raw, at);
  if (kind === "uint") return readInt(raw, at);
  if (typeof raw !== "string") throw badField(at, "is not text");
  return raw;
}

/** A mask, or for an IP address the number of its leading ones. */
function readMask(field: OxmField, mask: string, at: string): unknown {
  const isPrefix = /^\d{1,3}$/.test(mask);
  if (!isPrefix || (field.kind !== "ipv4" && field.kind !== "ipv6")) return readPlain(field, mask, at);
  const size = field.bytes * 8;
  const ones = readInt(mask, at, size);
  if (field.kind === "ipv4") return ipv4FromNumber(ones === 0 ? 0 : (-1 << (32 - ones)) >>> 0);
  const bytes = Uint8Array.from({ length: field.bytes }, (_, i) => {
    const left = Math.min(8, Math.max(0, ones - 8 * i));
    return 0xff & (0xff << (8 - left));
  });
  return readIpv6(bytes, 0);
}

/** A decimal VLAN id is that of a tagged packet; hexadecimal text is the OXM value as it is, OFPVID_PRESENT and all. */
function readVlan(raw: unknown, at: string): unknown {
  if (typeof raw === "string" && raw.includes("/")) {
    const [value, mask] = raw.split("/");
    return { value: readInt(value, at, 0x1fff), mask: readInt(mask, at, 0x1fff) };
  }
  const vid = readInt(raw, at, 0x1fff);
  return typeof raw === "string" && /^0x/i.test(raw) ? vid : vid | OFPVID.PRESENT;
}

const hex4 = (value: number): string => `0x${value.toString(16).padStart(4, "0")}`;

/** A match as Ryu's clients read it. */
export function showMatch(match: Match): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(match)) {
    const key = SHOWN[name] ?? name;
    if (name === "vlan_vid") shown[key] = showVlan(value as MaskedVlan);
    else if (name === "in_port") shown[key] = showReserved(value as number, PORT);
    else if (isMasked(value)) shown[key] = `${value.value}/${value.mask}`;
    else shown[key] = value;
  }
  return shown;
}

type MaskedVlan = number | { value: number; mask: number };
const isMasked = (value: unknown): value is { value: unknown; mask: unknown } =>
  typeof value === "object" && value !== null && "mask" in value;

function showVlan(value: MaskedVlan): string {
  if (typeof value === "object") return `${hex4(value.value)}/${hex4(value.mask)}`;
  return (value & OFPVID.PRESENT) !== 0 ? String(value & ~OFPVID.PRESENT) : hex4(value);
}
