import { experimenterErrorName, experimenterErrorNumbers } from "./ext/errors.js";
import { compile } from "./schema/compile.js";
import { BAD_LEN } from "./schema/declare.js";
import { EncodeError } from "./schema/error.js";
import { interpreter } from "./schema/interpret.js";
import { type Json, JsonError, jsonCodec } from "./schema/json.js";
import { fail } from "./schema/runtime.js";
import { actionUnion } from "./v13/actions.js";
import { instructionUnion } from "./v13/instructions.js";
import { oxmFields } from "./v13/match.js";
import { BAD_VERSION } from "./v13/message.js";
import { FlowMod, messageUnion, type OfMessage, type OfMessageInit } from "./v13/messages.js";
import { OFP_HEADER_SIZE, OFP_MAX_LENGTH, OFP_VERSION } from "./v13/numbers.js";

const refs = new Map([["ofp_action", actionUnion]]);
const compiled = compile(messageUnion, oxmFields, refs);

/** The generated source, to read and to print. */
export const codecSource: string = compiled.source;

/** Reads one whole message. Throws OfDecodeError, and nothing else, when the bytes are not one. */
export const decode = (bytes: Uint8Array): OfMessage => read(bytes, compiled.decode);

/** `decode` for whoever has a form of matches of its own: flow_mods have theirs read by `readMatch`, which gets the OXM
 *  fields at [at, end) and answers undefined for those that it leaves to the codec; their instructions are one object
 *  for all that have the same, which nobody may write to. Everything else, a flow_mod with any fault above all, is
 *  what `decode` makes of it. */
export function decoderWith<M>(
  readMatch: (bytes: Uint8Array, at: number, end: number) => M | undefined,
): (bytes: Uint8Array) => OfMessage | FlowModWith<M> {
  const flowMod = compile(FlowMod, oxmFields, refs, { readMatch, memo: instructionUnion });
  return (bytes) => {
    if (bytes[1] !== OFPT_FLOW_MOD) return decode(bytes);
    try {
      const message = read(bytes, flowMod.decode) as OfMessage & { match?: M };
      return message.match === undefined ? decode(bytes) : (message as FlowModWith<M>);
    } catch {
      return decode(bytes);
    }
  };
}
const OFPT_FLOW_MOD = 14;
export type FlowModWith<M> = Omit<Extract<OfMessage, { type: "OFPT_FLOW_MOD" }>, "match"> & {
  readonly match: M;
};

const walk = interpreter(messageUnion, oxmFields, refs);

/** The same by the interpreter: slow, and made without `new Function`. The tests hold the two together. */
export const interpret = (bytes: Uint8Array): OfMessage => read(bytes, walk);

function read(given: Uint8Array, body: (b: Uint8Array, at: number, end: number) => unknown): OfMessage {
  // A Buffer's slice() shares memory and stays a Buffer: read through a plain view.
  const bytes =
    given.constructor === Uint8Array
      ? given
      : new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  if (bytes.length < OFP_HEADER_SIZE)
    fail(BAD_LEN, 0, `${bytes.length} bytes, not at least ${OFP_HEADER_SIZE}`);
  const length = (bytes[2]! << 8) | bytes[3]!;
  if (length !== bytes.length) fail(BAD_LEN, 2, `length ${length} of a message of ${bytes.length} bytes`);
  // HELLO and ERROR are 0 and 1 in every version.
  if (bytes[0] !== OFP_VERSION && bytes[1]! > 1) {
    fail(BAD_VERSION, 0, `version ${bytes[0]} is not ${OFP_VERSION}`);
  }
  return body(bytes, 0, bytes.length) as OfMessage;
}

/** Writes a message at `at`; answers where it ends. Throws EncodeError for a value that has no encoding, and
 *  RangeError when the target is too small (bytes from `at` on are then undefined). */
export const encodeInto = (message: OfMessageInit, target: Uint8Array, at = 0): number =>
  checkedEnd(compiled.encode(target, at, message), target, at);

/** As `encodeInto`, for a message that somebody wrote: the fields of its matches may stand in any order, and go out with
 *  those first that others need, as switches ask (OpenFlow 1.3.5 §7.2.3.6). A message that was decoded is written byte
 *  for byte by `encodeInto` only. */
export const encodeOrderedInto = (message: OfMessageInit, target: Uint8Array, at = 0): number =>
  checkedEnd(compiled.encodeOrdered(target, at, message), target, at);

function checkedEnd(end: number, target: Uint8Array, at: number): number {
  if (end - at > OFP_MAX_LENGTH) {
    throw new EncodeError("length", `the message takes ${end - at} bytes, of at most ${OFP_MAX_LENGTH}`);
  }
  if (end > target.length) throw new RangeError(`the message ends at ${end}, the target at ${target.length}`);
  return end;
}

// encode writes to a pool and answers a view of it, as node's Buffer does: a new buffer for each message would
// take longer than the encoding. A view that is kept keeps its pool, of this many bytes or one message.
const POOL_SIZE = 32 * 1024;
let pool = new Uint8Array(POOL_SIZE);
let used = 0;

/** The message's bytes. Throws EncodeError. */
export function encode(message: OfMessageInit): Uint8Array {
  let end = compiled.encode(pool, used, message);
  const size = end - used;
  if (size > OFP_MAX_LENGTH) {
    throw new EncodeError("length", `the message takes ${size} bytes, of at most ${OFP_MAX_LENGTH}`);
  }
  if (end > pool.length) {
    pool = new Uint8Array(Math.max(POOL_SIZE, size));
    used = 0;
    end = compiled.encode(pool, 0, message);
  }
  const bytes = pool.subarray(used, end);
  used = end;
  return bytes;
}

const json = jsonCodec(messageUnion, oxmFields, refs);

/** A message as JSON: no bigint, no bytes, names where numbers have names. */
export function toJson(message: OfMessageInit): Json {
  const value = json.toJson(message);
  if (message.type === "OFPT_ERROR" && message.error_type === "OFPET_EXPERIMENTER") {
    const { error_code, data } = message;
    const name =
      typeof error_code === "number" && data !== undefined
        ? experimenterErrorName(error_code, data)
        : undefined;
    if (name !== undefined) (value as { error_code: Json }).error_code = name;
  }
  return value;
}

/** The message that JSON tells of. Throws JsonError, with the path. Values are checked by `encode`. */
export function fromJson(value: unknown): OfMessageInit {
  const message = json.fromJson(value) as OfMessageInit;
  if (message.type !== "OFPT_ERROR" || message.error_type !== "OFPET_EXPERIMENTER") return message;
  // The name says whose error it is too; the data, which begins with that number, must agree.
  const { error_code, data = new Uint8Array() } = message;
  if (typeof error_code !== "string") return message;
  const numbers = experimenterErrorNumbers(error_code as string);
  if (numbers === undefined || experimenterErrorName(numbers.code, data) !== error_code) {
    throw new JsonError(`error_code: "${error_code}" is no error of the experimenter that data begins with`);
  }
  return { ...message, error_code: numbers.code };
}
