// Hot path: `MatchReader.read` runs per flow_mod. Typed arrays only, nothing is allocated.
import { type OxmField, oxmField, oxmFields } from "@sluice/openflow-codec";
import {
  type FlowKey,
  type FlowMask,
  fieldLaneMask,
  flowField,
  flowFields,
  newFlowKey,
} from "../flow/flow-key.js";

/** # Matches from the wire
 *
 *  **What.** The OXM fields of a match as key and mask, with no values in between: what `decode`, `parseMatch` and
 *  `matchToKey` make together, for matches with nothing unusual about them.
 *
 *  **Why.** A table of a hundred thousand flows is added in as many flow_mods, and to write addresses as text in order
 *  to read them again takes longer than all the rest.
 *
 *  **Design.** A table by OXM header, made from the codec's rows and the key's layout, says where a field's bits go and
 *  which exact fields have to be there before it. Whatever is not plainly right (a field that is not in the table, one
 *  before its prerequisite, two in one place, a wrong length or stray bits) is left to the plain way, which finds the
 *  error or the meaning: no error is found here. */

/** A match that is key and mask already. Prerequisites hold. */
export class KeyedMatch {
  readonly key: FlowKey = newFlowKey();
  readonly mask: FlowMask = newFlowKey();
}

/** A field of at most 32 bits that has to be exact, with one of these values. */
interface Need {
  readonly lane: number;
  readonly shift: number;
  readonly ones: number;
  readonly allowed: readonly number[];
}

/** Where a field goes. */
interface Place {
  readonly bytes: number;
  readonly maskable: boolean;
  readonly lane: number;
  readonly lanes: number;
  readonly shift: number;
  /** The largest value of a field in one lane. */
  readonly ones: number;
  /** Its bits in each of its lanes. */
  readonly laneMasks: readonly number[];
  readonly needs: readonly Need[];
}

const onesOf = (bits: number): number => (bits >= 32 ? 0xffff_ffff : 2 ** bits - 1);

/** All that a field needs: what its prerequisites need as well. undefined: it is more than exact values. */
function needsOf(row: OxmField): Need[] | undefined {
  const needs: Need[] = [];
  for (const [name, allowed] of Object.entries(row.prerequisites)) {
    const { lane, lanes, shift, bits } = flowField(name);
    const further = needsOf(oxmField(name)!);
    if (allowed.length === 0 || lanes !== 1 || further === undefined) return undefined;
    needs.push({ lane, shift, ones: onesOf(bits), allowed }, ...further);
  }
  return needs;
}

function placeOf(row: OxmField): Place | undefined {
  if (row.experimenter !== undefined || row.variable !== undefined || !Object.hasOwn(flowFields, row.name))
    return undefined;
  const field = flowField(row.name);
  const { lane, lanes, shift, bits } = field;
  const isWhole = shift % 8 === 0 && bits === 8 * row.bytes;
  const needs = needsOf(row);
  if (needs === undefined || (lanes > 1 && !isWhole)) return undefined;
  const laneMasks = Array.from({ length: lanes }, (_, i) => fieldLaneMask(field, i));
  const { bytes, maskable } = row;
  return { bytes, maskable, lane, lanes, shift, ones: onesOf(bits), laneMasks, needs };
}

/** Places by class and number. */
const PLACES = new Map<number, (Place | undefined)[]>();
for (const row of oxmFields) {
  const place = placeOf(row);
  if (place === undefined) continue;
  let places = PLACES.get(row.class);
  if (places === undefined) {
    places = new Array<Place | undefined>(128).fill(undefined);
    PLACES.set(row.class, places);
  }
  places[row.field] = place;
}

/** Reads matches into one that it keeps: what it answers is good until the next. */
export class MatchReader {
  readonly #match = new KeyedMatch();

  /** The OXM fields at [at, end); undefined when they are not for this way. */
  read(b: Uint8Array, at: number, end: number): KeyedMatch | undefined {
    const { key, mask } = this.#match;
    key.fill(0);
    mask.fill(0);
    let places: readonly (Place | undefined)[] | undefined;
    let placesClass = -1;
    for (let p = at; p < end; ) {
      if (end - p < 4) return undefined;
      const oxmClass = (b[p]! << 8) | b[p + 1]!;
      if (oxmClass !== placesClass) {
        places = PLACES.get(oxmClass);
        placesClass = oxmClass;
      }
      const place = places?.[b[p + 2]! >> 1];
      if (place === undefined) return undefined;
      const isMasked = (b[p + 2]! & 1) === 1;
      const size = isMasked ? 2 * place.bytes : place.bytes;
      if (b[p + 3] !== size || size > end - p - 4 || (isMasked && !place.maskable)) return undefined;
      if (!isFree(mask, place) || !hasNeeds(key, mask, place)) return undefined;
      const isRight =
        place.lanes === 1
          ? putWord(key, mask, place, b, p + 4, isMasked)
          : putBytes(key, mask, place, b, p + 4, isMasked);
      if (!isRight) return undefined;
      p += 4 + size;
    }
    return this.#match;
  }
}

/** Whether no field before has its place here. */
function isFree(mask: FlowMask, { lane, lanes, laneMasks }: Place): boolean {
  for (let i = 0; i < lanes; i++) if ((mask[lane + i]! & laneMasks[i]!) !== 0) return false;
  return true;
}

function hasNeeds(key: FlowKey, mask: FlowMask, { needs }: Place): boolean {
  for (let i = 0; i < needs.length; i++) {
    const { lane, shift, ones, allowed } = needs[i]!;
    if (((mask[lane]! >>> shift) & ones) >>> 0 !== ones) return false;
    if (!allowed.includes(((key[lane]! >>> shift) & ones) >>> 0)) return false;
  }
  return true;
}

function word(b: Uint8Array, at: number, bytes: number): number {
  let value = 0;
  for (let i = 0; i < bytes; i++) value = (value << 8) | b[at + i]!;
  return value >>> 0;
}

/** A mask without a bit is left to the plain way too: it does not show that its field was there. */
function putWord(
  key: FlowKey,
  mask: FlowMask,
  { bytes, lane, shift, ones }: Place,
  b: Uint8Array,
  at: number,
  isMasked: boolean,
): boolean {
  const value = word(b, at, bytes);
  const bits = isMasked ? word(b, at + bytes, bytes) : ones;
  if (value > ones || bits > ones || bits === 0 || (value & ~bits) !== 0) return false;
  key[lane]! |= value << shift;
  mask[lane]! |= bits << shift;
  return true;
}

/** A field of whole bytes over several lanes. */
function putBytes(
  key: FlowKey,
  mask: FlowMask,
  { bytes, lane, lanes, shift }: Place,
  b: Uint8Array,
  at: number,
  isMasked: boolean,
): boolean {
  let any = 0;
  for (let i = 0, bit = shift + 8 * bytes - 8; i < bytes; i++, bit -= 8) {
    const value = b[at + i]!;
    const bits = isMasked ? b[at + bytes + i]! : 0xff;
    if ((value & ~bits) !== 0) return false;
    any |= bits;
    const to = lane + lanes - 1 - (bit >>> 5);
    key[to]! |= value << (bit & 31);
    mask[to]! |= bits << (bit & 31);
  }
  return any !== 0;
}
