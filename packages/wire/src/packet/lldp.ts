import { writeU16 } from "../address.js";
import { type LayerCodec, malformed } from "./layer.js";

/** LLDP (IEEE 802.1AB): a list of TLVs; the end-of-LLDPDU TLV is implied. */
export interface Lldp {
  readonly kind: "lldp";
  readonly tlvs: readonly LldpTlv[];
}

/** `type` 0..127, at most 511 bytes of `value`. */
export interface LldpTlv {
  readonly type: number;
  readonly value: Uint8Array;
}

export const LLDP_TLV = {
  END: 0,
  CHASSIS_ID: 1,
  PORT_ID: 2,
  TTL: 3,
  PORT_DESCRIPTION: 4,
  SYSTEM_NAME: 5,
  SYSTEM_DESCRIPTION: 6,
  ORGANIZATION: 127,
} as const;
/** Subtypes of chassis and port ids that are plain local text. */
export const LLDP_CHASSIS_LOCAL = 7;
export const LLDP_PORT_LOCAL = 7;
/** The nearest-bridge group address: not forwarded by 802.1D bridges. */
export const LLDP_MAC = "01:80:c2:00:00:0e";

export const lldp = (tlvs: readonly LldpTlv[]): Lldp => ({ kind: "lldp", tlvs });

/** A chassis-id or port-id TLV: a subtype byte, then the id. */
export const lldpId = (type: number, subtype: number, id: Uint8Array): LldpTlv => ({
  type,
  value: Uint8Array.of(subtype, ...id),
});

export const lldpTtl = (seconds: number): LldpTlv => ({
  type: LLDP_TLV.TTL,
  value: Uint8Array.of(seconds >>> 8, seconds),
});

export const lldpText = (type: number, text: string): LldpTlv => ({
  type,
  value: new TextEncoder().encode(text),
});

const HEADER_SIZE = 2;

export const lldpCodec: LayerCodec<Lldp> = {
  size: (layer) => layer.tlvs.reduce((size, tlv) => size + HEADER_SIZE + tlv.value.length, HEADER_SIZE),
  write: (layer, bytes, at) => {
    let next = at;
    for (const { type, value } of layer.tlvs) {
      writeU16(bytes, next, (type << 9) | value.length);
      bytes.set(value, next + HEADER_SIZE);
      next += HEADER_SIZE + value.length;
    }
  },
  parse: (bytes, at, end) => {
    const tlvs: LldpTlv[] = [];
    for (let next = at; next + HEADER_SIZE <= end; ) {
      const type = bytes[next]! >>> 1;
      const size = ((bytes[next]! & 1) << 8) | bytes[next + 1]!;
      const valueAt = next + HEADER_SIZE;
      if (size > end - valueAt) {
        return malformed(
          "lldp",
          `TLV ${type} of ${size} bytes where ${end - valueAt} are left`,
          bytes,
          at,
          end,
        );
      }
      if (type === LLDP_TLV.END && size > 0) {
        return malformed("lldp", `an end-of-LLDPDU TLV of ${size} bytes`, bytes, at, end);
      }
      next = valueAt + size;
      if (type === LLDP_TLV.END) return { layer: lldp(tlvs), end: next };
      tlvs.push({ type, value: bytes.slice(valueAt, next) });
    }
    return malformed("lldp", "no end-of-LLDPDU TLV", bytes, at, end);
  },
};
