import { flowField, getField, getFieldBig } from "../../flow/flow-key.js";
import { scramble } from "./buckets.js";
import type { Context } from "./context.js";
import { look } from "./field.js";
import { isIp, see } from "./header-actions.js";

/** Choices of Nicira's actions that depend on a hash of the flow (ovs-actions(7), "multipath", "bundle"). Which link or
 *  member a flow gets is this switch's own; that a flow keeps it, and what it depends on, is the action's word. */

const TCP = 6;
const UDP = 17;
const SCTP = 132;

const ETHERNET = [["eth_src", "eth_dst"]] as const;
const ADDRESSES = [
  ["ipv4_src", "ipv4_dst"],
  ["ipv6_src", "ipv6_dst"],
] as const;
const PORTS = [["tp_src", "tp_dst"]] as const;

type Pair = readonly [string, string];

/** Of what a flow's hash is made, by NX_HASH_FIELDS_*: single fields, and pairs that count the same either way round. */
interface HashFields {
  readonly single: (ctx: Context) => readonly string[];
  readonly pairs: (ctx: Context) => readonly Pair[];
}

const NONE = (): readonly never[] => [];

/** The pair of IP addresses, where there is one. */
function addresses(ctx: Context): readonly Pair[] {
  const eth_type = see(ctx, "eth_type");
  return isIp(eth_type) ? [ADDRESSES[eth_type === 0x0800 ? 0 : 1]!] : [];
}

const transport =
  (...protocols: readonly number[]) =>
  (ctx: Context): readonly Pair[] =>
    isIp(see(ctx, "eth_type")) && protocols.includes(see(ctx, "ip_proto")) ? PORTS : [];

const ofProtocol = (ctx: Context): readonly string[] =>
  isIp(see(ctx, "eth_type")) ? ["eth_type", "ip_proto"] : ["eth_type"];

const tcpOrSctp = transport(TCP, SCTP);
const tcpUdpOrSctp = transport(TCP, UDP, SCTP);

const oneAddress =
  (index: 0 | 1) =>
  (ctx: Context): readonly string[] =>
    addresses(ctx).map((pair) => pair[index]);

const HASH_FIELDS: readonly HashFields[] = [
  // eth_src
  { single: () => ["eth_src"], pairs: NONE },
  // symmetric_l4
  {
    single: (ctx) => ["vlan_vid", ...ofProtocol(ctx)],
    pairs: (ctx) => [...ETHERNET, ...addresses(ctx), ...tcpOrSctp(ctx)],
  },
  // symmetric_l3l4
  { single: ofProtocol, pairs: (ctx) => [...addresses(ctx), ...tcpOrSctp(ctx)] },
  // symmetric_l3l4+udp
  { single: ofProtocol, pairs: (ctx) => [...addresses(ctx), ...tcpUdpOrSctp(ctx)] },
  // nw_src
  { single: oneAddress(0), pairs: NONE },
  // nw_dst
  { single: oneAddress(1), pairs: NONE },
  // symmetric_l3
  { single: NONE, pairs: addresses },
];

export const N_HASH_FIELDS = HASH_FIELDS.length;

/** A hash of the flow's fields, un-wildcarded, and of `basis`: 32 bits. */
export function hashFields(ctx: Context, fields: number, basis: number): number {
  const { single, pairs } = HASH_FIELDS[fields]!;
  let hash = scramble(basis ^ 0x6d75_6c74);
  for (const name of single(ctx)) hash = scramble(hash ^ hashOf(ctx, name));
  for (const [source, target] of pairs(ctx))
    hash = scramble(hash ^ (hashOf(ctx, source) + hashOf(ctx, target)));
  return hash;
}

function hashOf(ctx: Context, name: string): number {
  const field = flowField(name);
  look(ctx.wildcards, field);
  if (field.bits <= 32) return scramble(getField(ctx.key, field));
  let hash = 0;
  for (let rest = getFieldBig(ctx.key, field); rest > 0n; rest >>= 32n)
    hash = scramble(hash ^ Number(rest & 0xffff_ffffn));
  return hash;
}

/** The number of highest score among some: when one of them goes, the flows of the others stay. */
export function byHighestScore(hash: number, numbers: Iterable<number>): number {
  let best = 0;
  let bestScore = -1;
  for (const number of numbers) {
    const score = scramble(hash ^ Math.imul(number + 1, 0x9e37_79b1));
    if (score > bestScore) [best, bestScore] = [number, score];
  }
  return best;
}

/** Draws of iter_hash before it takes what it has. */
const MAX_DRAWS = 32;

/** Draws from 0 to `arg` less 1 until one is below `count`: links may come up to `arg` with few flows moved. */
function drawn(hash: number, count: number, arg: number): number {
  const among = Math.max(count, arg === 0 ? 0x1_0000_0000 : arg);
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const link = scramble(hash ^ Math.imul(draw + 1, 0x85eb_ca6b)) % among;
    if (link < count) return link;
  }
  return hash % count;
}

/** By NX_MP_ALG_*: a link from 0 to `count` less 1. */
const ALGORITHMS: readonly ((hash: number, count: number, arg: number) => number)[] = [
  // modulo_n
  (hash, count) => hash % count,
  // hash_threshold
  (hash, count) => Math.floor((hash / 0x1_0000_0000) * count),
  // hrw
  (hash, count) => byHighestScore(hash, Array(count).keys()),
  // iter_hash
  drawn,
];

export const N_ALGORITHMS = ALGORITHMS.length;

export const chooseLink = (algorithm: number, hash: number, count: number, arg: number): number =>
  ALGORITHMS[algorithm]!(hash, count, arg);
