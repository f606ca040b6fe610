import { fromHex } from "@sluice/wire";
import { hexDump, writeBytes } from "./bytes.js";
import { EncodeError, type ErrorRef, OfDecodeError, within } from "./error.js";
import type { CustomNode } from "./nodes.js";
import { type OxmCodec, show } from "./oxm-wire.js";

/** Layouts that the declaration language cannot say, by name. */

export interface CustomCodec {
  read(b: Uint8Array, p: number, end: number, oxm: OxmCodec): unknown;
  write(b: Uint8Array, p: number, value: unknown, oxm: OxmCodec): number;
}

const BAD_LEN: ErrorRef = ["OFPET_BAD_ACTION", "OFPBAC_BAD_LEN"];
const BAD_ARGUMENT: ErrorRef = ["OFPET_BAD_ACTION", "OFPBAC_BAD_ARGUMENT"];

// The header of a part of NXAST_LEARN: 11 bits of count, 2 of destination, 1 of source.
const N_BITS = 0x7ff;
const IMMEDIATE = 1 << 13;
const DESTINATIONS = ["match", "load", "output"] as const;

interface Spec {
  n_bits: number;
  src: { field: string; ofs: number } | { value: string };
  dst: (typeof DESTINATIONS)[number];
  dst_field?: string;
  dst_ofs?: number;
}

const learnSpecs: CustomCodec = {
  read(b, start, end, oxm) {
    const specs: Spec[] = [];
    let p = start;
    const need = (bytes: number): void => {
      if (end - p < bytes) throw new OfDecodeError(BAD_LEN, p, `${bytes} bytes wanted, ${end - p} left`);
    };
    const place = (): { field: string; ofs: number } => {
      const { name, next } = oxm.readId(b, p, end);
      p = next;
      need(2);
      const ofs = (b[p]! << 8) | b[p + 1]!;
      p += 2;
      return { field: name, ofs };
    };
    while (end - p >= 2) {
      const header = (b[p]! << 8) | b[p + 1]!;
      if (header === 0) break;
      const at = p;
      p += 2;
      const dst = DESTINATIONS[(header >> 11) & 3];
      if (header >> 14 !== 0 || dst === undefined || (header & N_BITS) === 0) {
        throw new OfDecodeError(BAD_ARGUMENT, at, `0x${header.toString(16)} heads no learn spec`);
      }
      const spec: Spec = { n_bits: header & N_BITS, src: { value: "" }, dst };
      if (header & IMMEDIATE) {
        const size = 2 * Math.ceil(spec.n_bits / 16);
        need(size);
        spec.src = { value: hexDump(b, p, p + size) };
        p += size;
      } else {
        spec.src = place();
      }
      if (dst !== "output") {
        const { field, ofs } = place();
        spec.dst_field = field;
        spec.dst_ofs = ofs;
      }
      specs.push(spec);
    }
    for (; p < end; p++) {
      if (b[p] !== 0) throw new OfDecodeError(BAD_ARGUMENT, p, "bytes after the last learn spec");
    }
    return specs;
  },

  write(b, start, value, oxm) {
    let p = start;
    if (value === undefined) return p;
    if (!Array.isArray(value)) throw new EncodeError("", `${show(value)} is not a list`);
    const put16 = (word: number): void => {
      b[p] = word >>> 8;
      b[p + 1] = word;
      p += 2;
    };
    const place = (field: unknown, ofs: unknown): void => {
      p = oxm.writeId(b, p, field);
      if (typeof ofs !== "number" || ofs >>> 0 !== ofs || ofs > 0xffff) {
        throw new EncodeError("ofs", `${show(ofs)} is not a bit offset`);
      }
      put16(ofs);
    };
    value.forEach((spec: Spec, i) => {
      try {
        const dst = DESTINATIONS.indexOf(spec.dst);
        if (dst < 0) throw new EncodeError("dst", `${show(spec.dst)} is none of ${DESTINATIONS.join(", ")}`);
        if (!Number.isInteger(spec.n_bits) || spec.n_bits < 1 || spec.n_bits > N_BITS) {
          throw new EncodeError("n_bits", `${show(spec.n_bits)} is not a number from 1 to ${N_BITS}`);
        }
        const immediate = "value" in spec.src;
        put16(spec.n_bits | (dst << 11) | (immediate ? IMMEDIATE : 0));
        if ("value" in spec.src) {
          const bytes = hexBytes(spec.src.value);
          if (bytes.length !== 2 * Math.ceil(spec.n_bits / 16)) {
            throw new EncodeError(
              "src.value",
              `${bytes.length} bytes do not hold ${spec.n_bits} bits in 16-bit words`,
            );
          }
          writeBytes(b, p, bytes);
          p += bytes.length;
        } else {
          place(spec.src.field, spec.src.ofs);
        }
        if (spec.dst !== "output") place(spec.dst_field, spec.dst_ofs);
      } catch (error) {
        throw within(error, `[${i}]`);
      }
    });
    return p;
  },
};

function hexBytes(text: unknown): Uint8Array {
  try {
    return fromHex(String(text));
  } catch {
    throw new EncodeError("src.value", `${show(text)} is not hex digits`);
  }
}

export const customCodecs: Readonly<Record<CustomNode["name"], CustomCodec>> = { learnSpecs };
