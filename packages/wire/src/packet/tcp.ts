import { writeU16 } from "../address.js";
import { checksumFold } from "../checksum.js";
import { bits, header, u16, u32 } from "./header.js";
import { checksumFor, type LayerCodec, malformed, NO_BYTES, sumWithPseudo, tooShort } from "./layer.js";

/** TCP (RFC 9293 §3.1). */
export interface Tcp extends Required<Omit<TcpInit, "checksum">> {
  readonly kind: "tcp";
  /** Only when it is not the right one. */
  readonly checksum?: number;
  readonly payload: Uint8Array;
}

export interface TcpInit {
  src_port: number;
  dst_port: number;
  seq?: number;
  ack?: number;
  /** Twelve bits: `TCP_FLAGS` below and the reserved ones above them. */
  flags?: number;
  window?: number;
  checksum?: number;
  urgent?: number;
  /** As on the wire, a multiple of four bytes, at most 40. */
  options?: Uint8Array;
}

export const TCP_FLAGS = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;

export const tcp = (init: TcpInit, payload: Uint8Array = NO_BYTES): Tcp => ({
  kind: "tcp",
  seq: 0,
  ack: 0,
  flags: 0,
  window: 0xffff,
  urgent: 0,
  options: NO_BYTES,
  ...init,
  payload,
});

const tcpHeader = header(20, {
  src_port: u16(0),
  dst_port: u16(2),
  seq: u32(4),
  ack: u32(8),
  data_offset: bits(12, 28, 4),
  flags: bits(12, 16, 12),
  window: u16(14),
  checksum: u16(16),
  urgent: u16(18),
});
const CHECKSUM_AT = 16;

export const tcpCodec: LayerCodec<Tcp> = {
  size: (layer) => tcpHeader.size + layer.options.length + layer.payload.length,
  write: (layer, bytes, at, pseudo) => {
    const headerSize = tcpHeader.size + layer.options.length;
    tcpHeader.write(bytes, at, { ...layer, data_offset: headerSize >>> 2, checksum: 0 });
    bytes.set(layer.options, at + tcpHeader.size);
    bytes.set(layer.payload, at + headerSize);
    const computed = checksumFold(sumWithPseudo(bytes, at, at + tcpCodec.size(layer), pseudo));
    writeU16(bytes, at + CHECKSUM_AT, layer.checksum ?? computed);
  },
  parse: (bytes, at, end, pseudo) => {
    if (end - at < tcpHeader.size) return tooShort("tcp", tcpHeader.size, bytes, at, end);
    const { data_offset, checksum, ...fields } = tcpHeader.read(bytes, at);
    const headerSize = data_offset * 4;
    if (headerSize < tcpHeader.size || headerSize > end - at) {
      return malformed("tcp", `data offset ${data_offset} in ${end - at} bytes`, bytes, at, end);
    }
    const isRight =
      pseudo?.isWhole !== false && checksumFor(sumWithPseudo(bytes, at, end, pseudo), checksum) === checksum;
    return {
      layer: {
        kind: "tcp",
        ...fields,
        ...(isRight ? {} : { checksum }),
        options: bytes.slice(at + tcpHeader.size, at + headerSize),
        payload: bytes.slice(at + headerSize, end),
      },
      end,
    };
  },
};
