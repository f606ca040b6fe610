import { writeU16 } from "../address.js";
import { checksumFold } from "../checksum.js";
import { header, u16 } from "./header.js";
import { checksumFor, type LayerCodec, malformed, NO_BYTES, sumWithPseudo, tooShort } from "./layer.js";

/** UDP (RFC 768). */
export interface Udp extends UdpInit {
  readonly kind: "udp";
  readonly payload: Uint8Array;
}

export interface UdpInit {
  src_port: number;
  dst_port: number;
  /** Only when it is not the right one; 0 means that there is none. */
  checksum?: number;
  /** The length field, only when it is not header and payload. */
  length?: number;
}

export const udp = (init: UdpInit, payload: Uint8Array = NO_BYTES): Udp => ({
  kind: "udp",
  ...init,
  payload,
});

const udpHeader = header(8, { src_port: u16(0), dst_port: u16(2), length: u16(4), checksum: u16(6) });
const CHECKSUM_AT = 6;

export const udpCodec: LayerCodec<Udp> = {
  size: (layer) => udpHeader.size + layer.payload.length,
  write: (layer, bytes, at, pseudo) => {
    const size = udpCodec.size(layer);
    udpHeader.write(bytes, at, { ...layer, length: layer.length ?? size, checksum: 0 });
    bytes.set(layer.payload, at + udpHeader.size);
    // A computed zero is sent as all ones, because zero says "no checksum".
    const computed = checksumFold(sumWithPseudo(bytes, at, at + size, pseudo)) || 0xffff;
    writeU16(bytes, at + CHECKSUM_AT, layer.checksum ?? computed);
  },
  parse: (bytes, at, end, pseudo) => {
    if (end - at < udpHeader.size) return tooShort("udp", udpHeader.size, bytes, at, end);
    const { length, checksum, ...ports } = udpHeader.read(bytes, at);
    if (length < udpHeader.size) return malformed("udp", `length ${length} is less than 8`, bytes, at, end);
    const isWhole = length === end - at;
    const isRight =
      isWhole && checksum === (checksumFor(sumWithPseudo(bytes, at, end, pseudo), checksum) || 0xffff);
    return {
      layer: {
        kind: "udp",
        ...ports,
        ...(isRight ? {} : { checksum }),
        ...(isWhole ? {} : { length }),
        payload: bytes.slice(at + udpHeader.size, end),
      },
      end,
    };
  },
};
