import { readMac, writeU16 } from "../address.js";
import { checksumFold } from "../checksum.js";
import { header, ip6, u8, u16, u32 } from "./header.js";
import { checksumFor, type LayerCodec, NO_BYTES, sumWithPseudo, tooShort } from "./layer.js";

/** ICMPv6 (RFC 4443), with the bodies of echo and of neighbour solicitation and advertisement (RFC 4861);
 *  the body of any other message is its bytes. */
export interface Icmpv6 {
  readonly kind: "icmpv6";
  readonly type: number;
  readonly code: number;
  /** Only when it is not the right one. */
  readonly checksum?: number;
  readonly body: Icmpv6Echo | Neighbor | Uint8Array;
}

export interface Icmpv6Init {
  type: number;
  code?: number;
  checksum?: number;
}

export interface Icmpv6Echo {
  readonly kind: "echo";
  readonly id: number;
  readonly seq: number;
  readonly payload: Uint8Array;
}

export interface Neighbor {
  readonly kind: "neighbor";
  /** `NA_FLAGS`; zero in a solicitation. */
  readonly flags: number;
  readonly target: string;
  readonly options: readonly NdOption[];
}

/** `data` is 6 bytes, or 8 n more. */
export interface NdOption {
  readonly type: number;
  readonly data: Uint8Array;
}

export const ICMPV6 = {
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  NEIGHBOR_SOLICITATION: 135,
  NEIGHBOR_ADVERTISEMENT: 136,
} as const;
export const NA_FLAGS = { ROUTER: 0x8000_0000, SOLICITED: 0x4000_0000, OVERRIDE: 0x2000_0000 } as const;
export const ND_OPTION = { SOURCE_LINK_ADDRESS: 1, TARGET_LINK_ADDRESS: 2 } as const;

export const icmpv6 = (init: Icmpv6Init, body: Icmpv6["body"] = NO_BYTES): Icmpv6 => ({
  kind: "icmpv6",
  code: 0,
  ...init,
  body,
});

export const icmpv6Echo = (
  init: { id: number; seq: number },
  payload: Uint8Array = NO_BYTES,
): Icmpv6Echo => ({ kind: "echo", ...init, payload });

export const neighbor = (init: {
  target: string;
  flags?: number;
  options?: readonly NdOption[];
}): Neighbor => ({ kind: "neighbor", flags: 0, options: [], ...init });

/** The link-layer address in a neighbour message's options, if there is one. */
export function linkAddressOf(body: Neighbor, type: number): string | undefined {
  const option = body.options.find((one) => one.type === type);
  return option && readMac(option.data, 0);
}

const icmpHeader = header(4, { type: u8(0), code: u8(1), checksum: u16(2) });
const echoHeader = header(4, { id: u16(0), seq: u16(2) });
const neighborHeader = header(20, { flags: u32(0), target: ip6(4) });
const CHECKSUM_AT = 2;

export const icmpv6Codec: LayerCodec<Icmpv6> = {
  size: (layer) => icmpHeader.size + bodySize(layer.body),
  write: (layer, bytes, at, pseudo) => {
    icmpHeader.write(bytes, at, { ...layer, checksum: 0 });
    writeBody(layer.body, bytes, at + icmpHeader.size);
    const computed = checksumFold(sumWithPseudo(bytes, at, at + icmpv6Codec.size(layer), pseudo));
    writeU16(bytes, at + CHECKSUM_AT, layer.checksum ?? computed);
  },
  parse: (bytes, at, end, pseudo) => {
    if (end - at < icmpHeader.size) return tooShort("icmpv6", icmpHeader.size, bytes, at, end);
    const { checksum, ...fields } = icmpHeader.read(bytes, at);
    const isRight =
      pseudo?.isWhole !== false && checksumFor(sumWithPseudo(bytes, at, end, pseudo), checksum) === checksum;
    const body = parseBody(fields.type, bytes, at + icmpHeader.size, end);
    return { layer: { kind: "icmpv6", ...fields, ...(isRight ? {} : { checksum }), body }, end };
  },
};

function bodySize(body: Icmpv6["body"]): number {
  if (body instanceof Uint8Array) return body.length;
  if (body.kind === "echo") return echoHeader.size + body.payload.length;
  return body.options.reduce((size, option) => size + 2 + option.data.length, neighborHeader.size);
}

function writeBody(body: Icmpv6["body"], bytes: Uint8Array, at: number): void {
  if (body instanceof Uint8Array) bytes.set(body, at);
  else if (body.kind === "echo") {
    echoHeader.write(bytes, at, body);
    bytes.set(body.payload, at + echoHeader.size);
  } else {
    neighborHeader.write(bytes, at, body);
    let next = at + neighborHeader.size;
    for (const option of body.options) {
      bytes[next] = option.type;
      bytes[next + 1] = (option.data.length + 2) >>> 3;
      bytes.set(option.data, next + 2);
      next += 2 + option.data.length;
    }
  }
}

/** A body that does not hold together stays bytes: its type is known, so nothing is lost. */
function parseBody(type: number, bytes: Uint8Array, at: number, end: number): Icmpv6["body"] {
  if ((type === ICMPV6.ECHO_REQUEST || type === ICMPV6.ECHO_REPLY) && end - at >= echoHeader.size) {
    return icmpv6Echo(echoHeader.read(bytes, at), bytes.slice(at + echoHeader.size, end));
  }
  const isNeighbor = type === ICMPV6.NEIGHBOR_SOLICITATION || type === ICMPV6.NEIGHBOR_ADVERTISEMENT;
  if (isNeighbor && end - at >= neighborHeader.size) {
    const options = parseOptions(bytes, at + neighborHeader.size, end);
    if (options) return neighbor({ ...neighborHeader.read(bytes, at), options });
  }
  return bytes.slice(at, end);
}

function parseOptions(bytes: Uint8Array, at: number, end: number): NdOption[] | undefined {
  const options: NdOption[] = [];
  for (let next = at; next < end; ) {
    const size = end - next < 2 ? 0 : bytes[next + 1]! * 8;
    if (size === 0 || size > end - next) return undefined;
    options.push({ type: bytes[next]!, data: bytes.slice(next + 2, next + size) });
    next += size;
  }
  return options;
}
