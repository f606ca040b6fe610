import { flowField, getField, getFieldBig } from "../../flow/flow-key.js";
import { scramble } from "./buckets.js";
import type { Context } from "./context.js";
import { look } from "./field.js";
import { isIp, see } from "./header-actions.js";

const L2 = ["eth_src", "eth_dst", "vlan_vid", "eth_type"].map(flowField);
const IPV4 = ["ipv4_src", "ipv4_dst"].map(flowField);
const IPV6 = ["ipv6_src", "ipv6_dst", "ipv6_flabel"].map(flowField);
const L4 = ["tp_src", "tp_dst"].map(flowField);
/** TCP, UDP, SCTP. */
const PORTED = [6, 17, 132];

/** A number for the flow that a select group spreads by: the same for every packet of a connection, and spread
 *  over MAC addresses, IP addresses and ports. What it is made of is un-wildcarded. */
export function flowHash(ctx: Context): number {
  const eth_type = see(ctx, "eth_type");
  const fields = [...L2];
  if (isIp(eth_type)) {
    fields.push(...(eth_type === 0x0800 ? IPV4 : IPV6), flowField("ip_proto"));
    if (PORTED.includes(see(ctx, "ip_proto")) && see(ctx, "nw_frag") === 0) fields.push(...L4);
  }
  let hash = 0x511c_e000;
  for (const field of fields) {
    look(ctx.wildcards, field);
    if (field.bits <= 32) hash = scramble(hash ^ getField(ctx.key, field));
    else
      for (let rest = getFieldBig(ctx.key, field); rest > 0n; rest >>= 32n)
        hash = scramble(hash ^ Number(rest & 0xffff_ffffn));
  }
  return hash;
}
