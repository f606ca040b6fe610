import { toHex } from "@sluice/wire";
import { decode, encode, fromJson, interpret, toJson } from "./codec.js";
import { OfDecodeError } from "./schema/error.js";
import type { OfMessage } from "./v13/messages.js";

/** The codec's laws as functions that throw when one is broken: for tests and for fuzzing. */

type Outcome = { readonly message: OfMessage } | { readonly error: OfDecodeError };

function attempt(read: (bytes: Uint8Array) => OfMessage, bytes: Uint8Array): Outcome {
  try {
    return { message: read(bytes) };
  } catch (error) {
    if (error instanceof OfDecodeError) return { error };
    throw error;
  }
}

const text = (message: OfMessage): string => JSON.stringify(toJson(message));

/** Any bytes: a value or an OfDecodeError, the same from the compiled decoder and from the interpreter; a value
 *  encodes to those bytes but for padding, which becomes zero, and survives JSON. Answers the value, if there is one. */
export function checkBytes(bytes: Uint8Array): OfMessage | undefined {
  const fast = attempt(decode, bytes);
  const slow = attempt(interpret, bytes);
  if ("error" in fast) {
    if (!("error" in slow)) throw new Error(`only the compiled decoder refuses: ${fast.error.message}`);
    const [a, b] = [fast.error, slow.error];
    if (a.error_code !== b.error_code || a.offset !== b.offset || a.path !== b.path) {
      throw new Error(`refused as ${a.message}, by the interpreter as ${b.message}`);
    }
    if (a.offset < 0 || a.offset > bytes.length) throw new Error(`offset ${a.offset} of ${bytes.length}`);
    return undefined;
  }
  if ("error" in slow) throw new Error(`only the interpreter refuses: ${slow.error.message}`);
  const { message } = fast;
  if (text(message) !== text(slow.message)) {
    throw new Error(`decoded to ${text(message)}, by the interpreter to ${text(slow.message)}`);
  }
  const again = encode(message);
  if (again.length !== bytes.length || again.some((byte, i) => byte !== bytes[i] && byte !== 0)) {
    throw new Error(`encoded to ${toHex(again)}: more than padding differs`);
  }
  const second = encode(decode(again));
  if (toHex(again) !== toHex(second)) throw new Error(`${toHex(again)} became ${toHex(second)}`);
  const byJson = encode(fromJson(JSON.parse(text(message))));
  if (toHex(again) !== toHex(byJson)) throw new Error(`${toHex(again)} became ${toHex(byJson)} through JSON`);
  return message;
}

/** `count` mutations of the seeds, drawn by a generator that starts at `seed`: bytes changed, cut, doubled,
 *  and lengths set to edges. Answers how many still decode. */
export function fuzz(seeds: readonly Uint8Array[], count: number, seed: number): number {
  const random = mulberry32(seed);
  const below = (n: number): number => Math.floor(random() * n);
  let decoded = 0;
  for (let i = 0; i < count; i++) {
    let bytes = Uint8Array.from(seeds[below(seeds.length)]!);
    for (let k = below(4); k >= 0; k--) bytes = mutate(bytes, below);
    if (below(8) !== 0 && bytes.length >= 4) {
      bytes[2] = bytes.length >>> 8;
      bytes[3] = bytes.length;
    }
    try {
      if (checkBytes(bytes) !== undefined) decoded++;
    } catch (error) {
      throw new Error(`seed ${seed}, turn ${i}, ${toHex(bytes)}: ${String(error)}`);
    }
  }
  return decoded;
}

const EDGES = [0, 1, 3, 4, 7, 8, 9, 16, 0x7f, 0x80, 0xff] as const;

function mutate(bytes: Uint8Array<ArrayBuffer>, below: (n: number) => number): Uint8Array<ArrayBuffer> {
  const at = below(bytes.length);
  switch (below(6)) {
    case 0:
      bytes[at]! ^= 1 << below(8);
      return bytes;
    case 1:
      bytes[at] = below(256);
      return bytes;
    case 2:
      bytes[at] = EDGES[below(EDGES.length)]!;
      return bytes;
    case 3:
      return bytes.slice(0, at);
    case 4: {
      const from = below(bytes.length);
      const part = bytes.subarray(from, from + below(32));
      return Uint8Array.from([...bytes.subarray(0, at), ...part, ...bytes.subarray(at)]);
    }
    default:
      return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + below(16))]);
  }
}

/** Tommy Ettinger's generator: a sequence from a 32-bit seed. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
