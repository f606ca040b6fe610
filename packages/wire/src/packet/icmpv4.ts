import { writeU16 } from "../address.js";
import { checksum as checksumOf } from "../checksum.js";
import { header, u8, u16 } from "./header.js";
import { checksumFor, type LayerCodec, NO_BYTES, sumWithPseudo, tooShort } from "./layer.js";

/** ICMP (RFC 792). The four bytes behind the checksum are the identifier and sequence number of an echo;
 *  in other messages `seq` is the second half of that word (the next hop's MTU in "fragmentation needed"). */
export interface Icmpv4 extends Required<Omit<Icmpv4Init, "checksum">> {
  readonly kind: "icmpv4";
  /** Only when it is not the right one. */
  readonly checksum?: number;
  readonly payload: Uint8Array;
}

export interface Icmpv4Init {
  type: number;
  code?: number;
  id?: number;
  seq?: number;
  checksum?: number;
}

export const ICMPV4 = { ECHO_REPLY: 0, UNREACHABLE: 3, ECHO_REQUEST: 8, TIME_EXCEEDED: 11 } as const;

export const icmpv4 = (init: Icmpv4Init, payload: Uint8Array = NO_BYTES): Icmpv4 => ({
  kind: "icmpv4",
  code: 0,
  id: 0,
  seq: 0,
  ...init,
  payload,
});

const icmpHeader = header(8, { type: u8(0), code: u8(1), checksum: u16(2), id: u16(4), seq: u16(6) });
const CHECKSUM_AT = 2;

export const icmpv4Codec: LayerCodec<Icmpv4> = {
  size: (layer) => icmpHeader.size + layer.payload.length,
  write: (layer, bytes, at) => {
    icmpHeader.write(bytes, at, { ...layer, checksum: 0 });
    bytes.set(layer.payload, at + icmpHeader.size);
    const computed = checksumOf(bytes, at, at + icmpv4Codec.size(layer));
    writeU16(bytes, at + CHECKSUM_AT, layer.checksum ?? computed);
  },
  parse: (bytes, at, end, pseudo) => {
    if (end - at < icmpHeader.size) return tooShort("icmpv4", icmpHeader.size, bytes, at, end);
    const { checksum, ...fields } = icmpHeader.read(bytes, at);
    const isRight =
      pseudo?.isWhole !== false && checksumFor(sumWithPseudo(bytes, at, end), checksum) === checksum;
    return {
      layer: {
        kind: "icmpv4",
        ...fields,
        ...(isRight ? {} : { checksum }),
        payload: bytes.slice(at + icmpHeader.size, end),
      },
      end,
    };
  },
};
