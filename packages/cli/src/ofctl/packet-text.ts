import {
  type Arp,
  type Frame,
  type Icmpv6,
  type IpPayload,
  type Ipv4,
  type Ipv6,
  linkAddressOf,
  MAC_ZERO,
  ND_OPTION,
  parseFrame,
  readU16,
} from "@sluice/wire";

/** A frame in one line, as ovs-ofctl shows what is in a packet-in: the flow that it belongs to, in the words of a match,
 *  and the checksum that it carries. */
export function packetLine(bytes: Uint8Array): string {
  const frame = parseFrame(bytes);
  if (frame.kind === "malformed") return `(${frame.reason})\n`;
  const { payload } = frame;
  const layer = payload instanceof Uint8Array || payload.kind === "lldp" ? undefined : payload;
  const ends = [...vlanWords(frame), `dl_src=${frame.src}`, `dl_dst=${frame.dst}`];
  if (layer === undefined) return `${[...ends, `dl_type=${hex(frame.eth_type, 4)}`].join(",")}\n`;
  if (layer.kind === "malformed") return `${layer.layer},${ends.join(",")} (${layer.reason})\n`;
  if (layer.kind === "arp") return `${["arp", ...ends, ...arpWords(layer)].join(",")}\n`;
  const words = [protocolWord(layer), ...ends, ...ipWords(layer), ...transportWords(layer.payload)];
  return `${words.filter((word) => word !== "").join(",")}${checksumWord(bytes, frame, layer)}\n`;
}

const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, "0")}`;

function vlanWords({ vlans: [first] }: Frame): string[] {
  if (first === undefined) return ["vlan_tci=0x0000"];
  return [`dl_vlan=${first.vid}`, `dl_vlan_pcp=${first.pcp}`, "vlan_tci1=0x0000"];
}

const arpWords = ({ spa, tpa, op, sha, tha }: Arp): string[] => [
  `arp_spa=${spa}`,
  `arp_tpa=${tpa}`,
  `arp_op=${op}`,
  `arp_sha=${sha}`,
  `arp_tha=${tha}`,
];

const WORDS: Readonly<Record<string, string>> = { icmpv4: "icmp", icmpv6: "icmp6" };

function protocolWord(ip: Ipv4 | Ipv6): string {
  const six = ip.kind === "ipv6" ? "6" : "";
  const { payload } = ip;
  if (payload instanceof Uint8Array || payload.kind === "malformed") return six ? "ipv6" : "ip";
  return WORDS[payload.kind] ?? payload.kind + six;
}

function ipWords(ip: Ipv4 | Ipv6): string[] {
  const tos = ip.kind === "ipv4" ? ip.tos : ip.traffic_class;
  const ttl = ip.kind === "ipv4" ? ip.ttl : ip.hop_limit;
  const addresses =
    ip.kind === "ipv4"
      ? [`nw_src=${ip.src}`, `nw_dst=${ip.dst}`]
      : [`ipv6_src=${ip.src}`, `ipv6_dst=${ip.dst}`, `ipv6_label=${hex(ip.flow_label, 5)}`];
  const isBytes = ip.payload instanceof Uint8Array || ip.payload.kind === "malformed";
  const proto = isBytes ? [`nw_proto=${ip.proto}`] : [];
  return [
    ...addresses,
    ...proto,
    `nw_tos=${tos & 0xfc}`,
    `nw_ecn=${tos & 3}`,
    `nw_ttl=${ttl}`,
    `nw_frag=${fragment(ip)}`,
  ];
}

const IPV6_FRAGMENT = 44;

function fragment(ip: Ipv4 | Ipv6): string {
  if (ip.kind === "ipv4") return ip.frag_offset > 0 ? "later" : ip.flags & 1 ? "first" : "no";
  const extension = ip.extensions.find(({ type }) => type === IPV6_FRAGMENT);
  if (extension === undefined) return "no";
  return readU16(extension.data, 1) >> 3 > 0 ? "later" : "first";
}

const TCP_FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"];

function transportWords(payload: IpPayload): string[] {
  if (payload instanceof Uint8Array || payload.kind === "malformed") return [];
  if (payload.kind === "icmpv4") return [`icmp_type=${payload.type}`, `icmp_code=${payload.code}`];
  if (payload.kind === "icmpv6") return icmpv6Words(payload);
  const ports = [`tp_src=${payload.src_port}`, `tp_dst=${payload.dst_port}`];
  if (payload.kind === "udp") return ports;
  const flags = TCP_FLAGS.filter((_, bit) => payload.flags & (1 << bit)).join("|");
  return [...ports, `tcp_flags=${flags || "0"}`];
}

function icmpv6Words({ type, code, body }: Icmpv6): string[] {
  const words = [`icmp_type=${type}`, `icmp_code=${code}`];
  if (body instanceof Uint8Array || body.kind !== "neighbor") return words;
  const link = (option: number): string => linkAddressOf(body, option) ?? MAC_ZERO;
  const { SOURCE_LINK_ADDRESS, TARGET_LINK_ADDRESS } = ND_OPTION;
  return [
    ...words,
    `nd_target=${body.target}`,
    `nd_sll=${link(SOURCE_LINK_ADDRESS)}`,
    `nd_tll=${link(TARGET_LINK_ADDRESS)}`,
  ];
}

/** Name and place of a transport's checksum. */
const CHECKSUMS: Readonly<Record<string, readonly [name: string, offset: number]>> = {
  tcp: ["tcp_csum", 16],
  udp: ["udp_csum", 6],
  icmpv4: ["icmp_csum", 2],
  icmpv6: ["icmp6_csum", 2],
};

function checksumWord(bytes: Uint8Array, { vlans }: Frame, ip: Ipv4 | Ipv6): string {
  if (ip.payload instanceof Uint8Array) return "";
  const [name, offset] = CHECKSUMS[ip.payload.kind] ?? ["", 0];
  if (name === "") return "";
  const options =
    ip.kind === "ipv4"
      ? ip.options.length
      : ip.extensions.reduce((sum, { data }) => sum + data.length + (data.length % 8 === 7 ? 1 : 2), 0);
  const at = 14 + 4 * vlans.length + (ip.kind === "ipv4" ? 20 : 40) + options + offset;
  return ` ${name}:${readU16(bytes, at).toString(16)}`;
}
