import { FRAGMENTS, HEADERS, type Header, type OdpMatch, TCP_FLAGS } from "./odp-text.js";

/** Datapath flows read in the syntax of `ovs-appctl dpctl/dump-flows`. */

/** Fields by name, as in a match; addresses as text. */
export type OdpValues = Record<string, number | string>;

/** Gives a datapath port's number by its name. */
export type PortNumber = (name: string) => number | undefined;

/** Words that say nothing of a packet here: what it is marked with, and what it was tracked as. */
const IGNORED = /^(ufid|skb_\w+|ct_\w+|dp_hash|packet_type|tunnel)$/;
const VLAN_PRESENT = 0x1000;

type Given = OdpMatch[string];
type Fields = Record<string, Given>;

/** Reads `in_port(2),eth(src=…),eth_type(0x0800),ipv4(…)`: each field that stands there, with its mask where it has one.
 *  Throws a RangeError of one line. */
export function parseOdpMatch(text: string, portNumber: PortNumber): OdpMatch {
  const fields: Fields = {};
  for (const [word, content] of wordsOf(text)) {
    if (IGNORED.test(word)) continue;
    const single = SINGLE[word];
    const header = HEADERS.find((one) => one.word === word);
    if (word === "encap") {
      // Of several tags the outermost is the one that a match is about.
      const inner = parseOdpMatch(content, portNumber);
      const { vlan_vid: _vid, vlan_pcp: _pcp, ...below } = inner;
      Object.assign(fields, fields.vlan_vid === undefined ? inner : below);
    } else if (word === "in_port") fields.in_port = portOf(content, portNumber);
    else if (word === "vlan") Object.assign(fields, vlanOf(content));
    else if (single) fields[single] = maskedNumber(word, content);
    else if (header) Object.assign(fields, headerOf(header, content));
    else throw new RangeError(`syntax error at ${word}(${content})`);
  }
  return fields;
}

/** The values alone, for what looks at one packet: where a value is masked, the bits that stand there. */
export function parseOdpFlow(text: string, portNumber: PortNumber): OdpValues {
  const values: OdpValues = {};
  for (const [field, given] of Object.entries(parseOdpMatch(text, portNumber)))
    values[field] = (typeof given === "object" ? given.value : given) as number | string;
  return values;
}

/** Words that have one number in their parentheses, and the field that it is. */
const SINGLE: Readonly<Record<string, string | undefined>> = { recirc_id: "recirc_id", eth_type: "eth_type" };

/** The words of a list with what stands in their parentheses or after their colon. */
export function* wordsOf(text: string): IterableIterator<readonly [string, string]> {
  for (let at = 0; at < text.length; ) {
    const word = /^[\s,]*(\w+)(\(|:[^,\s]*)/.exec(text.slice(at));
    if (!word) {
      if (/^[\s,]*$/.test(text.slice(at))) return;
      throw new RangeError(`syntax error at ${text.slice(at)}`);
    }
    const begin = at + word[0].length;
    at = word[2] === "(" ? closing(text, begin) + 1 : begin;
    yield [word[1]!, word[2] === "(" ? text.slice(begin, at - 1) : word[2]!.slice(1)];
  }
}

/** Where the parenthesis closes that was opened before `from`. */
export function closing(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "(") depth++;
    else if (text[at] === ")" && --depth === 0) return at;
  }
  throw new RangeError(`syntax error at ${text.slice(from)}: a parenthesis is not closed`);
}

/** The members of a header, by the fields that they are. */
export function headerOf({ word, members }: Header, content: string): Fields {
  const fields: Fields = {};
  for (const part of content.split(",").filter((one) => one.trim() !== "")) {
    const [name = "", given = ""] = part.includes("=") ? part.split("=") : ["", part];
    const field = Object.keys(members).find((one) => members[one]![0] === name.trim());
    if (field === undefined) throw new RangeError(`syntax error at ${word}(${content})`);
    if (field === "tos") addTos(fields, word, given);
    else fields[field] = field === "tcp_flags" ? flagsOf(word, given) : maskedValue(word, field, given);
  }
  return fields;
}

function maskedValue(word: string, field: string, text: string): Given {
  const read = (one: string): number | string => {
    const value = one.trim();
    if (/[:.]/.test(value)) return value;
    return field === "nw_frag" ? fragmentOf(value) : numberOf(word, value);
  };
  const [value = "", mask] = text.split("/");
  return mask === undefined ? read(value) : { value: read(value), mask: read(mask) };
}

const maskedNumber = (word: string, text: string): Given => maskedValue(word, "", text);

const numberIn = (given: Given): number => Number(typeof given === "object" ? given.value : given);
const maskOf = (given: Given, all: number): number => (typeof given === "object" ? Number(given.mask) : all);

/** Adds the byte that holds DSCP and ECN: each of them may come in a byte of its own. */
function addTos(fields: Fields, word: string, text: string): void {
  const given = maskedNumber(word, text);
  const [value, mask] = [numberIn(given), maskOf(given, 0xff)];
  if (fields.ip_dscp === undefined || mask >>> 2 !== 0) fields.ip_dscp = part(value >>> 2, mask >>> 2, 0x3f);
  if (fields.ip_ecn === undefined || (mask & 3) !== 0) fields.ip_ecn = part(value & 3, mask & 3, 3);
}

const part = (value: number, mask: number, all: number): Given =>
  (mask & all) === all ? value : { value, mask: mask & all };

function vlanOf(content: string): Fields {
  const of = new Map(content.split(",").map((one) => one.split("=") as [string, string]));
  const fields: Fields = {};
  for (const [name, text] of of) {
    const given = maskedNumber("vlan", text ?? "");
    const [value, mask] = [numberIn(given), maskOf(given, 0xffff)];
    if (name === "vid") fields.vlan_vid = part(VLAN_PRESENT | value, VLAN_PRESENT | mask, 0x1fff);
    else if (name === "pcp") fields.vlan_pcp = part(value, mask, 7);
    else if (name !== "cfi") throw new RangeError(`syntax error at vlan(${content})`);
  }
  return { vlan_vid: { value: VLAN_PRESENT, mask: VLAN_PRESENT }, ...fields };
}

function portOf(content: string, portNumber: PortNumber): number {
  const text = content.split("/")[0]!;
  const port = /^\d+$/.test(text) ? Number(text) : portNumber(text);
  if (port === undefined) throw new RangeError(`in_port(${content}): there is no such port`);
  return port;
}

/** A whole number that stands after a word or within it. */
export function numberOf(word: string, text: string): number {
  const value = text.trim();
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(value)) throw new RangeError(`syntax error at ${word}(${text})`);
  return Number(value);
}

function fragmentOf(text: string): number {
  const found = Object.keys(FRAGMENTS).find((value) => FRAGMENTS[value] === text);
  return found === undefined ? numberOf("frag", text) : Number(found);
}

/** A number; names joined by "|", of all flags; or names with the sign that each has to have, of those flags alone. */
function flagsOf(word: string, text: string): Given {
  if (/^(0x|\d)/.test(text)) return maskedNumber(word, text);
  let [value, mask] = [0, 0];
  for (const [, sign, name] of text.matchAll(/([-+|]?)([a-z]+)/g)) {
    const bit = TCP_FLAGS.indexOf(name!);
    if (bit < 0) throw new RangeError(`syntax error at ${word}(${text})`);
    if (sign !== "-") value |= 1 << bit;
    mask |= 1 << bit;
  }
  return /[-+]/.test(text) ? { value, mask } : value;
}
