// Hot path: per flow of a dump nothing is allocated where flows are alike.
import { encode, OFPMPF } from "@sluice/openflow-codec";
import { type FlowField, type FlowKey, getField, getFieldBytes, newFlowKey } from "../flow/flow-key.js";
import { type Shown, shapeOf } from "../flow/match.js";
import { formatRuleKey } from "./match.js";
import type { FlowMod, Instruction, Match } from "./of.js";
import type { OfTable } from "./oftable.js";
import type { Rule } from "./rule.js";
import { OFPFF } from "./xlate/reserved.js";

/** # Flow statistics as bytes (1.3.5 §7.3.5.2)
 *
 *  **Why.** Controllers dump tables of a hundred thousand flows every few seconds. By the codec each costs a match with
 *  text for its addresses, which is parsed again at once.
 *
 *  **Design.** Flows of one mask and sort of packet have their matches encoded alike but for the values: the codec
 *  encodes the first one, the others are copies of it with their own values, whose places its OXM headers tell. Instructions
 *  are encoded once for all flows that share them. The head, which is all numbers, is written here; a test holds all
 *  to what the codec makes of the same flow. */

/** struct ofp_flow_stats up to its match. */
const HEAD = 48;
/** Where the match begins in a flow_mod. */
const FLOW_MOD_MATCH = 48;
const MAX_PART = 0xffff;
const OXM_HEADER = 4;
const EXPERIMENTER_CLASS = 0xffff;
const ALL_ONES = 0xffff_ffff;
const TWO_TO_32 = 0x1_0000_0000;

/** The encoded match of flows that are alike, and where the value of each field is. */
interface Template {
  readonly bytes: Uint8Array;
  readonly values: readonly { readonly field: FlowField; readonly at: number; readonly size: number }[];
}

const templates = new WeakMap<readonly Shown[], Template>();
const encodedInstructions = new WeakMap<readonly Instruction[], Uint8Array>();

const flowModWith = (match: Match, instructions: FlowMod["instructions"]): Uint8Array =>
  encode({ type: "OFPT_FLOW_MOD", xid: 0, command: "OFPFC_ADD", match, instructions: instructions ?? [] });

function templateOf(shape: readonly Shown[], key: FlowKey, mask: Uint32Array): Template {
  const known = templates.get(shape);
  if (known) return known;
  const bytes = flowModWith(formatRuleKey(key, mask), []).slice(FLOW_MOD_MATCH);
  const view = new DataView(bytes.buffer);
  let at = OXM_HEADER;
  const values = shape.map(({ field }) => {
    const isExperimenter = view.getUint16(at) === EXPERIMENTER_CLASS;
    const hasMask = (bytes[at + 2]! & 1) !== 0;
    const start = at + OXM_HEADER + (isExperimenter ? 4 : 0);
    at += OXM_HEADER + bytes[at + 3]!;
    return { field, at: start, size: (at - start) / (hasMask ? 2 : 1) };
  });
  const template = { bytes, values };
  templates.set(shape, template);
  return template;
}

const MATCH_OF_NOTHING = 8;

function bytesOf(instructions: readonly Instruction[]): Uint8Array {
  let bytes = encodedInstructions.get(instructions);
  if (!bytes) {
    bytes = flowModWith({}, instructions as FlowMod["instructions"]).slice(FLOW_MOD_MATCH + MATCH_OF_NOTHING);
    encodedInstructions.set(instructions, bytes);
  }
  return bytes;
}

/** Writes flows into parts of a multipart reply. */
export class FlowStatsWriter {
  readonly #xid: number;
  readonly #nowMs: number;
  readonly #start: number;
  readonly #key = newFlowKey();
  #part = new Uint8Array(MAX_PART);
  #view = new DataView(this.#part.buffer);
  #end: number;

  constructor(xid: number, nowMs: number) {
    this.#xid = xid;
    this.#nowMs = nowMs;
    this.#start = this.#head(true).length;
    this.#end = this.#start;
  }

  /** Adds a rule that is in `table`. Gives a part that is full, when this one does not fit into it any more. */
  add(table: OfTable, rule: Rule): Uint8Array | undefined {
    const key = table.rules.keyOf(rule, this.#key);
    const { mask } = rule.subtable!;
    const { bytes, values } = templateOf(shapeOf(key, mask), key, mask);
    const instructions = bytesOf(rule.instructions);
    const length = HEAD + bytes.length + instructions.length;
    const full =
      this.#end + length > this.#part.length && this.#end > this.#start ? this.#finish(true) : undefined;
    if (this.#end + length > this.#part.length) this.#begin(this.#start + length);
    const start = this.#end;
    this.#writeHead(start, length, rule);
    const match = start + HEAD;
    this.#part.set(bytes, match);
    for (let i = 0; i < values.length; i++) {
      const { field, at, size } = values[i]!;
      this.#writeValue(match + at, size, field, key);
    }
    this.#part.set(instructions, match + bytes.length);
    this.#end = start + length;
    return full;
  }

  /** The last part. */
  end(): Uint8Array {
    return this.#finish(false);
  }

  #begin(size: number): void {
    this.#part = new Uint8Array(Math.max(MAX_PART, size));
    this.#view = new DataView(this.#part.buffer);
    this.#end = this.#start;
  }

  #finish(more: boolean): Uint8Array {
    const part = this.#part.subarray(0, this.#end);
    part.set(this.#head(more));
    this.#view.setUint16(2, this.#end);
    this.#begin(MAX_PART);
    return part;
  }

  #head(more: boolean): Uint8Array {
    return encode({
      type: "OFPT_MULTIPART_REPLY",
      xid: this.#xid,
      flags: more ? OFPMPF.REPLY_MORE : 0,
      body: { type: "OFPMP_FLOW", entries: [] },
    });
  }

  #writeHead(at: number, length: number, rule: Rule): void {
    const view = this.#view;
    const ms = Math.max(0, this.#nowMs - rule.createdMs);
    const seconds = Math.floor(ms / 1000);
    view.setUint16(at, length);
    view.setUint8(at + 2, rule.table_id);
    view.setUint32(at + 4, seconds);
    view.setUint32(at + 8, Math.floor((ms - seconds * 1000) * 1e6));
    view.setUint16(at + 12, rule.priority);
    view.setUint16(at + 14, rule.idle_timeout);
    view.setUint16(at + 16, rule.hard_timeout);
    view.setUint16(at + 18, rule.flags);
    view.setBigUint64(at + 24, rule.cookie);
    this.#writeCount(at + 32, rule.packets, (rule.flags & OFPFF.NO_PKT_COUNTS) === 0);
    this.#writeCount(at + 40, rule.bytes, (rule.flags & OFPFF.NO_BYT_COUNTS) === 0);
  }

  /** Counters that are not kept read as all ones (1.3.5 §5.8). */
  #writeCount(at: number, count: number, isKept: boolean): void {
    this.#view.setUint32(at, isKept ? Math.floor(count / TWO_TO_32) : ALL_ONES);
    this.#view.setUint32(at + 4, isKept ? count % TWO_TO_32 : ALL_ONES);
  }

  #writeValue(at: number, size: number, field: FlowField, key: FlowKey): void {
    const { lane, lanes, shift } = field;
    if (lanes === 1 && size === 4) this.#view.setUint32(at, getField(key, field));
    else if (lanes === 1 && size === 2) this.#view.setUint16(at, getField(key, field));
    else if (lanes === 1 && size === 1) this.#view.setUint8(at, getField(key, field));
    else if (shift === 0 && size === 4 * lanes)
      for (let i = 0; i < lanes; i++) this.#view.setUint32(at + 4 * i, key[lane + i]!);
    else if (field.kind === "mac" && shift === 0) {
      this.#view.setUint16(at, key[lane]! & 0xffff);
      this.#view.setUint32(at + 2, key[lane + 1]!);
    } else if (field.kind === "mac") {
      this.#view.setUint32(at, key[lane]!);
      this.#view.setUint16(at + 4, key[lane + 1]! >>> 16);
    } else {
      const bytes = getFieldBytes(key, field);
      this.#part.fill(0, at, at + size);
      this.#part.set(bytes, at + size - bytes.length);
    }
  }
}
