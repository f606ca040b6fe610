import { ETH_PBB, ETH_VLAN } from "../flow/extract.js";
import { flowField, getFieldBytes } from "../flow/flow-key.js";
import { matchToKey } from "../flow/match.js";
import type { OdpAction } from "./actions.js";
import { closing, headerOf, numberOf, type PortNumber } from "./odp-parse.js";
import { HEADERS, type Header, type OdpMatch } from "./odp-text.js";

/** Datapath actions read in the syntax in which formatOdpActions writes them, which is that of ovs-dpctl(8). */

/** Lists within lists that there may be. */
const MAX_DEPTH = 16;

/** Reads `set(eth(dst=…)),push_vlan(vid=3,pcp=0),2`. Throws a RangeError of one line. */
export function parseOdpActions(text: string, portNumber: PortNumber, depth = 0): OdpAction[] {
  if (/^\s*(drop)?\s*$/.test(text)) return [];
  if (depth > MAX_DEPTH) throw new RangeError(`actions are nested more than ${MAX_DEPTH} deep`);
  const actions: OdpAction[] = [];
  for (const [word, content] of wordsOf(text)) {
    if (actions.some(({ type }) => type === "check_pkt_len"))
      throw new RangeError(`${word}: nothing can follow check_pkt_len`);
    actions.push(
      ...actionsOf(word, content, (inner) => parseOdpActions(inner, portNumber, depth + 1), portNumber),
    );
  }
  return actions;
}

/** What stands beside each other, with what is in its parentheses where it has any. */
function* wordsOf(text: string): IterableIterator<readonly [string, string | undefined]> {
  for (let at = 0; at < text.length; ) {
    const separator = /^[\s,]+/.exec(text.slice(at));
    if (separator) at += separator[0].length;
    if (at === text.length) return;
    const word = /^[\w.@-]+/.exec(text.slice(at))?.[0];
    if (word === undefined) throw new RangeError(`syntax error at ${text.slice(at)}`);
    at += word.length;
    if (text[at] !== "(") yield [word, undefined];
    else {
      const end = closing(text, at + 1);
      yield [word, text.slice(at + 1, end)];
      at = end + 1;
    }
  }
}

function actionsOf(
  word: string,
  content: string | undefined,
  inner: ReadInner,
  portNumber: PortNumber,
): OdpAction[] {
  if (content === undefined) {
    const plain = PLAIN.find((type) => type === word);
    return [plain ? { type: plain } : { type: "output", port: portOf(word, portNumber) }];
  }
  const read = Object.hasOwn(READ, word) ? READ[word] : undefined;
  if (!read) throw new RangeError(`${word}(${content}): no such action`);
  return read(content, inner);
}

/** Reads a list within a list. */
type ReadInner = (text: string) => OdpAction[];

const PLAIN = ["pop_vlan", "copy_ttl_out", "copy_ttl_in", "pop_pbb"] as const;

/** Actions with parentheses, by what is in them. */
const READ: Readonly<Record<string, (content: string, inner: ReadInner) => OdpAction[]>> = {
  set: setFields,
  push_vlan: (content) => {
    const { tpid, vid, pcp } = members("push_vlan", content, { tpid: ETH_VLAN, vid: 0, pcp: 0, cfi: 1 });
    return [{ type: "push_vlan", tpid, tci: within("vid", vid, 0xfff) | (within("pcp", pcp, 7) << 13) }];
  },
  push_mpls: (content) => {
    const all = { label: 0, tc: 0, ttl: 64, bos: 0, eth_type: 0x8847 };
    const { label, tc, ttl, bos, eth_type } = members("push_mpls", content, all);
    const low = (within("tc", tc, 7) << 9) | (within("bos", bos, 1) << 8) | within("ttl", ttl, 0xff);
    return [{ type: "push_mpls", ethertype: eth_type, lse: within("label", label, 0xfffff) * 0x1000 + low }];
  },
  pop_mpls: (content) => [
    { type: "pop_mpls", ethertype: members("pop_mpls", content, { eth_type: 0 }).eth_type },
  ],
  push_pbb: (content) => {
    const { isid } = members("push_pbb", content, { isid: 0 });
    return [{ type: "push_pbb", ethertype: ETH_PBB, isid: within("isid", isid, 0xff_ffff) }];
  },
  userspace: (content) => [
    {
      type: "userspace",
      cookie: members("userspace", content, { cookie: 0 }).cookie,
      max_len: WHOLE_PACKET,
    },
  ],
  meter: (content) => [{ type: "meter", meter_id: numberOf("meter", content) }],
  set_queue: (content) => [{ type: "set_queue", queue_id: numberOf("set_queue", content) }],
  recirc: (content) => [{ type: "recirc", id: numberOf("recirc", content) }],
  trunc: (content) => [{ type: "trunc", max_len: numberOf("trunc", content) }],
  clone: (content, inner) => [{ type: "clone", actions: inner(content) }],
  sample: (content, inner) => {
    const [, percent, list] = /^\s*sample=([\d.]+)%\s*,\s*actions\((.*)\)\s*$/.exec(content) ?? [];
    if (list === undefined || Number(percent) > 100)
      throw new RangeError(`syntax error at sample(${content})`);
    const probability = Math.round((Number(percent) / 100) * 0xffff_ffff);
    return [{ type: "sample", probability, actions: inner(list) }];
  },
  check_pkt_len: (content, inner) => {
    const [, size, rest = ""] = /^\s*size=(\d+)\s*,\s*(gt\(.*)$/.exec(content) ?? [];
    if (size === undefined) throw new RangeError(`syntax error at check_pkt_len(${content})`);
    const lists = new Map(wordsOf(rest));
    // What comes after is for the others.
    return [
      { type: "check_pkt_len", pkt_len: Number(size), actions: inner(lists.get("gt") ?? "") },
      ...inner(lists.get("le") ?? ""),
    ];
  },
};

const WHOLE_PACKET = 0xffff;

/** Ports of a packet whose transport is not told. */
const TRANSPORT: Header = { word: "tp", members: { tp_src: ["src"], tp_dst: ["dst"] } };

function setFields(content: string): OdpAction[] {
  const [, word, inner] = /^\s*(\w+)\((.*)\)\s*$/.exec(content) ?? [];
  if (word === undefined) return [setOf(...bare(content))];
  if (word === "vlan") {
    const { vid, pcp } = members("vlan", inner!, { vid: -1, pcp: -1 });
    return [
      ...(vid < 0 ? [] : [setOf("vlan_vid", within("vid", vid, 0xfff))]),
      ...(pcp < 0 ? [] : [setOf("vlan_pcp", within("pcp", pcp, 7))]),
    ];
  }
  const header = [TRANSPORT, ...HEADERS].find((one) => one.word === word);
  const fields = Object.entries(header ? headerOf(header, inner!) : {});
  if (fields.length === 0) throw new RangeError(`syntax error at set(${content})`);
  return fields.flatMap(([field, given]) => (maskIsEmpty(given) ? [] : [setOf(field, given)]));
}

const maskIsEmpty = (given: OdpMatch[string]): boolean => typeof given === "object" && given.mask === 0;

const BARE: ReadonlySet<string> = new Set(["eth_type", "pbb_isid"]);

/** A field that Open vSwitch has no word for: `set(pbb_isid=0x5)`. */
function bare(content: string): [string, OdpMatch[string]] {
  const [, field, value, mask] = /^\s*(\w+)=([^/]+)(?:\/(.+))?$/.exec(content) ?? [];
  if (field === undefined || !BARE.has(field)) throw new RangeError(`syntax error at set(${content})`);
  const number = numberOf(field, value!);
  return [field, mask === undefined ? number : { value: number, mask: numberOf(field, mask) }];
}

/** Fields of a header that no action sets. */
const FIXED: ReadonlySet<string> = new Set(["ip_proto", "nw_frag", "tcp_flags"]);

function setOf(field: string, given: OdpMatch[string]): OdpAction {
  if (FIXED.has(field)) throw new RangeError(`set: ${field} cannot be set`);
  const bytes = (value: number | bigint | string): Uint8Array =>
    getFieldBytes(matchToKey({ [field]: value }).key, flowField(field));
  return typeof given === "object"
    ? { type: "set_field", field, value: bytes(given.value), mask: bytes(given.mask) }
    : { type: "set_field", field, value: bytes(given) };
}

function portOf(text: string, portNumber: PortNumber): number {
  const port = /^\d+$/.test(text) ? Number(text) : portNumber(text);
  if (port === undefined) throw new RangeError(`${text}: no such action, nor a port`);
  return port;
}

/** `name=number` by commas; what is not told is as in `all`. */
function members<T extends Record<string, number>>(word: string, content: string, all: T): T {
  const read: Record<string, number> = { ...all };
  for (const part of content.split(",").filter((one) => one.trim() !== "")) {
    const [name = "", value = ""] = part.split("=");
    if (!Object.hasOwn(all, name.trim())) throw new RangeError(`syntax error at ${word}(${content})`);
    read[name.trim()] = numberOf(word, value);
  }
  return read as T;
}

function within(name: string, value: number, most: number): number {
  if (value > most) throw new RangeError(`${name}=${value}: at most ${most}`);
  return value;
}
