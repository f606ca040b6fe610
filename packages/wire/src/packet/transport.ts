import { type Icmpv4, icmpv4Codec } from "./icmpv4.js";
import { type Icmpv6, icmpv6Codec } from "./icmpv6.js";
import { type LayerCodec, type Malformed, type Parsed, type PseudoHeader, rawCodec } from "./layer.js";
import { type Tcp, tcpCodec } from "./tcp.js";
import { type Udp, udpCodec } from "./udp.js";

/** What rides on IP, by IANA protocol number: one row a protocol. */
const transports = {
  icmpv4: { proto: 1, codec: icmpv4Codec },
  tcp: { proto: 6, codec: tcpCodec },
  udp: { proto: 17, codec: udpCodec },
  icmpv6: { proto: 58, codec: icmpv6Codec },
};

export const IP_PROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;

export type Transport = Icmpv4 | Icmpv6 | Tcp | Udp;
/** Any payload of an IP packet: bytes when the protocol is unknown or the packet is a fragment. */
export type IpPayload = Transport | Malformed | Uint8Array;

const byProto = new Map(Object.values(transports).map(({ proto, codec }) => [proto, codec]));

const codecOf = (payload: Transport): LayerCodec<Transport> =>
  transports[payload.kind].codec as LayerCodec<Transport>;

const bytesOf = (payload: IpPayload): Uint8Array | undefined => {
  if (payload instanceof Uint8Array) return payload;
  return payload.kind === "malformed" ? payload.bytes : undefined;
};

/** The protocol number that a payload calls for, if it is one of ours. */
export const protoOf = (payload: IpPayload): number | undefined =>
  payload instanceof Uint8Array || payload.kind === "malformed" ? undefined : transports[payload.kind].proto;

export const ipPayloadSize = (payload: IpPayload): number =>
  bytesOf(payload)?.length ?? codecOf(payload as Transport).size(payload as Transport);

export function writeIpPayload(
  payload: IpPayload,
  bytes: Uint8Array,
  at: number,
  pseudo: PseudoHeader,
): void {
  const raw = bytesOf(payload);
  if (raw) bytes.set(raw, at);
  else codecOf(payload as Transport).write(payload as Transport, bytes, at, pseudo);
}

export function parseIpPayload(
  bytes: Uint8Array,
  at: number,
  end: number,
  pseudo: PseudoHeader,
): Parsed<Transport | Uint8Array> {
  const codec: LayerCodec<Transport> | LayerCodec<Uint8Array> =
    (byProto.get(pseudo.proto) as LayerCodec<Transport> | undefined) ?? rawCodec;
  return codec.parse(bytes, at, end, pseudo);
}
