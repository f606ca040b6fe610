import { FRAGMENTS, HEADERS, type Header } from "./odp-text.js";

/** Datapath flows read in the syntax of `ovs-appctl dpctl/dump-flows`: the values, for what looks at one packet. */

/** Fields by name, as in a match; addresses as text. */
export type OdpValues = Record<string, number | string>;

/** Words that say nothing of a packet here: what it is marked with, and what it was tracked as. */
const IGNORED = /^(ufid|skb_\w+|ct_\w+|dp_hash|packet_type|tunnel)$/;
const TCP_FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"];
const VLAN_PRESENT = 0x1000;

/** Reads `in_port(2),eth(src=…),eth_type(0x0800),ipv4(…)`: where a value is masked, the bits that are asked for. Throws a
 *  RangeError of one line. `portNumber` gives a datapath port's number by its name. */
export function parseOdpFlow(text: string, portNumber: (name: string) => number | undefined): OdpValues {
  const values: OdpValues = {};
  for (const [word, content] of words(text)) {
    if (IGNORED.test(word)) continue;
    const single = SINGLE[word];
    const header = HEADERS.find((one) => one.word === word);
    if (word === "encap") {
      // Of several tags the outermost is the one that a match is about.
      const inner = parseOdpFlow(content, portNumber);
      const { vlan_vid: _vid, vlan_pcp: _pcp, ...below } = inner;
      Object.assign(values, values.vlan_vid === undefined ? inner : below);
    } else if (word === "in_port") values.in_port = portOf(content, portNumber);
    else if (word === "vlan") Object.assign(values, vlanOf(content));
    else if (single) values[single] = numberOf(word, content);
    else if (header) Object.assign(values, headerOf(header, content));
    else throw new RangeError(`syntax error at ${word}(${content})`);
  }
  return values;
}

/** Words that have one number in their parentheses, and the field that it is. */
const SINGLE: Readonly<Record<string, string | undefined>> = { recirc_id: "recirc_id", eth_type: "eth_type" };

/** The words of a list with what stands in their parentheses. */
function* words(text: string): IterableIterator<readonly [string, string]> {
  for (let at = 0; at < text.length; ) {
    const word = /^[\s,]*(\w+)(\(|:[^,]*)/.exec(text.slice(at));
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
function closing(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "(") depth++;
    else if (text[at] === ")" && --depth === 0) return at;
  }
  throw new RangeError(`syntax error at ${text.slice(from)}: a parenthesis is not closed`);
}

function headerOf({ word, members }: Header, content: string): OdpValues {
  const values: OdpValues = {};
  for (const part of content.split(",").filter((one) => one !== "")) {
    const [name = "", given] = part.includes("=") ? part.split("=") : ["", part];
    const field = Object.keys(members).find((one) => members[one]![0] === name.trim());
    if (field === undefined) throw new RangeError(`syntax error at ${word}(${content})`);
    const value = given!.split("/")[0]!.trim();
    if (field === "tos") {
      const tos = numberOf(word, value);
      Object.assign(values, { ip_dscp: tos >>> 2, ip_ecn: tos & 3 });
    } else if (field === "nw_frag") values[field] = fragmentOf(value);
    else if (field === "tcp_flags") values[field] = flagsOf(word, value);
    else values[field] = /[:.]/.test(value) ? value : numberOf(word, value);
  }
  return values;
}

function vlanOf(content: string): OdpValues {
  const of = new Map(content.split(",").map((part) => part.split("=") as [string, string]));
  const vid = numberOf("vlan", of.get("vid") ?? "0");
  return {
    vlan_vid: VLAN_PRESENT | vid,
    ...(of.has("pcp") ? { vlan_pcp: numberOf("vlan", of.get("pcp")!) } : {}),
  };
}

function portOf(content: string, portNumber: (name: string) => number | undefined): number {
  const text = content.split("/")[0]!;
  const port = /^\d+$/.test(text) ? Number(text) : portNumber(text);
  if (port === undefined) throw new RangeError(`in_port(${content}): there is no such port`);
  return port;
}

function numberOf(word: string, text: string): number {
  const value = text.split("/")[0]!.trim();
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(value)) throw new RangeError(`syntax error at ${word}(${text})`);
  return Number(value);
}

function fragmentOf(text: string): number {
  const found = Object.keys(FRAGMENTS).find((value) => FRAGMENTS[value] === text);
  return found === undefined ? numberOf("frag", text) : Number(found);
}

/** A number, or names joined by "|"; those after "-" are not set. */
function flagsOf(word: string, text: string): number {
  if (/^(0x|\d)/.test(text)) return numberOf(word, text);
  let flags = 0;
  for (const [, sign, name] of text.matchAll(/([-+|]?)([a-z]+)/g)) {
    const bit = TCP_FLAGS.indexOf(name!);
    if (bit < 0) throw new RangeError(`syntax error at ${word}(${text})`);
    if (sign !== "-") flags |= 1 << bit;
  }
  return flags;
}
