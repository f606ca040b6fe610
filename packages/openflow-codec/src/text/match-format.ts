import type { Match } from "../v13/match.js";
import { oxmField } from "../v13/match.js";
import { fieldBits, formatFieldValue, isExact, isMasked, textField } from "./fields.js";
import type { PortNames } from "./ports.js";
import { altHex, hexText } from "./scan.js";

/** A match as ovs-ofctl prints it: its order of fields, "tcp" for two of them, dl_vlan for one and a bit. */

const ETHERTYPES: Readonly<Record<number, string>> = {
  2048: "ip",
  34525: "ipv6",
  2054: "arp",
  32821: "rarp",
  34887: "mpls",
  34888: "mplsm",
};
const PROTOCOLS: Readonly<Record<number, Readonly<Record<number, string>>>> = {
  2048: { 1: "icmp", 6: "tcp", 17: "udp", 132: "sctp" },
  34525: { 58: "icmp6", 6: "tcp6", 17: "udp6", 132: "sctp6" },
};

/** The order of what is printed, by the fields' `text`; "" stands for the protocol's shorthand. */
const ORDER = [
  "pkt_mark",
  "recirc_id",
  "dp_hash",
  "conj_id",
  "actset_output",
  "ct_state",
  "ct_zone",
  "ct_mark",
  "ct_label",
  "ct_nw_src",
  "ct_ipv6_src",
  "ct_nw_dst",
  "ct_ipv6_dst",
  "ct_nw_proto",
  "ct_tp_src",
  "ct_tp_dst",
  "packet_type",
  "",
  ...Array.from({ length: 16 }, (_, i) => `reg${i}`),
  ...Array.from({ length: 8 }, (_, i) => `xreg${i}`),
  ...Array.from({ length: 4 }, (_, i) => `xxreg${i}`),
  "tun_id",
  "tun_src",
  "tun_dst",
  "tun_ipv6_src",
  "tun_ipv6_dst",
  "tun_gbp_id",
  "tun_gbp_flags",
  "tun_erspan_ver",
  "tun_erspan_idx",
  "tun_erspan_dir",
  "tun_erspan_hwid",
  "tun_gtpu_flags",
  "tun_gtpu_msgtype",
  "tun_flags",
  ...Array.from({ length: 64 }, (_, i) => `tun_metadata${i}`),
  "metadata",
  "in_port",
  "in_phy_port",
  "vlan_tci",
  "vlan_vid",
  "vlan_pcp",
  "dl_src",
  "dl_dst",
  "dl_type",
  "pbb_isid",
  "nw_src",
  "nw_dst",
  "ipv6_src",
  "ipv6_dst",
  "ipv6_label",
  "ipv6_exthdr",
  "arp_spa",
  "arp_tpa",
  "nsh_flags",
  "nsh_ttl",
  "nsh_mdtype",
  "nsh_np",
  "nsh_spi",
  "nsh_si",
  "nsh_c1",
  "nsh_c2",
  "nsh_c3",
  "nsh_c4",
  "nw_proto",
  "arp_op",
  "arp_sha",
  "arp_tha",
  "nw_tos",
  "ip_dscp",
  "nw_ecn",
  "nw_ttl",
  "mpls_label",
  "mpls_tc",
  "mpls_ttl",
  "mpls_bos",
  "nw_frag",
  "tp_src",
  "tp_dst",
  "icmp_type",
  "icmp_code",
  "nd_target",
  "nd_sll",
  "nd_tll",
  "tcp_flags",
];
const RANK = new Map(ORDER.map((text, i) => [text, i]));
const SHORTHAND = RANK.get("")!;

/** The match's fields, comma separated; "" for a match of everything. */
export function formatMatch(match: Match, ports: PortNames = {}): string {
  const parts: { rank: number; text: string }[] = [];
  const ethType = exactNumber(match.eth_type ?? match.nxm_of_eth_type);
  const ipProto = exactNumber(match.ip_proto ?? match.nxm_of_ip_proto);
  const type = ethType === undefined ? undefined : ETHERTYPES[ethType];
  const proto = ethType === undefined || ipProto === undefined ? undefined : PROTOCOLS[ethType]?.[ipProto];
  if (type !== undefined) parts.push({ rank: SHORTHAND, text: proto ?? type });
  const vlan = formatVlan(match);
  if (vlan !== "") parts.push({ rank: RANK.get("vlan_vid")!, text: vlan });

  for (const [name, value] of Object.entries(match)) {
    if (value === undefined) continue;
    const field = oxmField(name);
    const text = field?.text ?? name;
    // Ethernet packets: what a match without packet_type means too.
    if (name === "packet_type" && value === 0) continue;
    if (text === "dl_type" && type !== undefined) continue;
    if (text === "nw_proto" && proto !== undefined) continue;
    if (vlan !== "" && (name === "vlan_vid" || name === "vlan_pcp")) continue;
    if (field !== undefined && isMasked(value) && fieldBits(field, value.mask) === 0n) continue;
    parts.push({ rank: RANK.get(text) ?? ORDER.length, text: formatOne(name, value, ports) });
  }
  return parts
    .sort((a, b) => a.rank - b.rank)
    .map((part) => part.text)
    .join(",");
}

const exactNumber = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

/** dl_vlan and dl_vlan_pcp where the two OXM fields say no more, else vlan_tci with its mask. */
function formatVlan(match: Match): string {
  if (match.vlan_vid === undefined) return "";
  const { value, mask } = isMasked(match.vlan_vid)
    ? (match.vlan_vid as { value: number; mask: number })
    : { value: match.vlan_vid as number, mask: 0x1fff };
  const pcp = match.vlan_pcp;
  const vidMask = mask & 0x0fff;
  const present = (mask & 0x1000) !== 0 && (value & 0x1000) !== 0;
  if (present && (vidMask === 0xfff || vidMask === 0) && (vidMask !== 0 || pcp !== undefined)) {
    return [
      ...(vidMask === 0 ? [] : [`dl_vlan=${value & 0xfff}`]),
      ...(pcp === undefined ? [] : [`dl_vlan_pcp=${pcp}`]),
    ].join(",");
  }
  const tci = value | ((pcp ?? 0) << 13);
  const tciMask = (mask & 0x1fff) | (pcp === undefined ? 0 : 0xe000);
  const hex = (word: number): string => `0x${word.toString(16).padStart(4, "0")}`;
  return tciMask === 0xffff ? `vlan_tci=${hex(tci)}` : `vlan_tci=${hex(tci)}/${hex(tciMask)}`;
}

const hex = (value: number | bigint, digits: number): string =>
  `0x${value.toString(16).padStart(digits, "0")}`;

function formatOne(name: string, given: unknown, ports: PortNames): string {
  const field = oxmField(name);
  if (field === undefined) {
    return isMasked(given) ? `${name}=0x${given.value}/0x${given.mask}` : `${name}=0x${given}`;
  }
  const { value, mask } = isMasked(given) ? given : { value: given, mask: undefined };
  const exact = mask === undefined || isExact(field, mask);
  if (name === "ip_dscp") return `nw_tos=${(value as number) << 2}`;
  if (field.text === "vlan_tci") {
    return `vlan_tci=${hex(value as number, 4)}${exact ? "" : `/${hex(mask as number, 4)}`}`;
  }
  if (field.text === "dl_type") return `dl_type=${hex(value as number, 4)}`;
  if (field.text === "ipv6_label") {
    return `ipv6_label=${hex(value as number, 5)}${exact ? "" : `/${hex(mask as number, 5)}`}`;
  }
  if (field.fmt === "decimal" && field.kind === "uint" && !exact) {
    return `${field.text}=${hexText(value as number)}/${hexText(mask as number)}`;
  }
  // The rest of the numbers in hex, as C's %#x writes them.
  if (field.fmt === "hex" && field.name !== "ct_label" && !field.name.startsWith("xx")) {
    return `${field.text}=${altHex(value as number | bigint)}${exact ? "" : `/${altHex(mask as number | bigint)}`}`;
  }
  if (field.fmt === "tun_flags") return `tun_flags=${(value as number) & 1 ? "+" : "-"}oam`;
  if (field.fmt === "tcp_flags" || field.fmt === "ct_state") {
    const text = formatFieldValue(field, given, ports);
    return `${field.text}=${text}`;
  }
  return `${textField(name)?.oxm.text ?? field.text}=${formatFieldValue(field, exact ? value : given, ports)}`;
}
