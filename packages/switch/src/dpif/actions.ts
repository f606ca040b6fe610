/** What a datapath can be told to do with a packet. A list is carried out in order on one packet, which later
 *  actions see as earlier ones left it; an empty list drops. Datapath port numbers are the datapath's own. */
export type OdpAction =
  | { type: "output"; port: number }
  /** `field` is a name of flow/flow-key.ts; `value` and `mask` are as wide as the field, in network order. Checksums
   *  are put right. A packet that lacks the header is left as it is. tp_src and tp_dst mean TCP, UDP or SCTP. */
  | { type: "set_field"; field: string; value: Uint8Array; mask?: Uint8Array }
  /** `tci`: PCP, DEI and VID as on the wire. */
  | { type: "push_vlan"; tpid: number; tci: number }
  | { type: "pop_vlan" }
  /** `lse`: the whole label stack entry: label, TC, BOS, TTL. */
  | { type: "push_mpls"; ethertype: number; lse: number }
  /** `ethertype`: what follows once the outermost label is gone. */
  | { type: "pop_mpls"; ethertype: number }
  /** Copies the TTL of what the outermost MPLS label covers (a label, IPv4, IPv6) into it, or the other way. */
  | { type: "copy_ttl_out" }
  | { type: "copy_ttl_in" }
  /** Adds a backbone header (IEEE 802.1ah) with the packet's own MAC addresses; `isid` has 24 bits. */
  | { type: "push_pbb"; ethertype: number; isid: number; pcp?: number }
  | { type: "pop_pbb" }
  /** An upcall of kind "action", with at most `max_len` bytes of the packet. */
  | { type: "userspace"; cookie: number; max_len: number }
  /** Drops the packet, or marks it down, when the meter says so. */
  | { type: "meter"; meter_id: number }
  /** Which of a port's queues later outputs go to; 0 is the default. */
  | { type: "set_queue"; queue_id: number }
  /** Does `actions` on a copy. */
  | { type: "clone"; actions: readonly OdpAction[] }
  /** Does `actions` on a copy of a share of the packets: `probability` of 2^32-1. */
  | { type: "sample"; probability: number; actions: readonly OdpAction[] }
  /** Does `actions` with a frame longer than `pkt_len`, and nothing that comes after. Of a super-frame its segments count. */
  | { type: "check_pkt_len"; pkt_len: number; actions: readonly OdpAction[] }
  /** Looks the packet up again, with its present headers and this recirc_id. */
  | { type: "recirc"; id: number }
  /** Cuts what the next output or userspace action sends to `max_len` bytes. */
  | { type: "trunc"; max_len: number };

export type OdpActions = readonly OdpAction[];

/** Whether two lists do the same. */
export function sameActions(a: OdpActions, b: OdpActions): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!sameAction(a[i]!, b[i]!)) return false;
  return true;
}

function sameAction(a: OdpAction, b: OdpAction): boolean {
  // The frequent ones first, each by what it has.
  if (a.type === "output") return b.type === "output" && a.port === b.port;
  if (a.type === "set_field")
    return (
      b.type === "set_field" &&
      a.field === b.field &&
      sameBytes(a.value, b.value) &&
      sameBytes(a.mask, b.mask)
    );
  if (a.type === "clone") return b.type === "clone" && sameActions(a.actions, b.actions);
  if (a.type === "sample")
    return b.type === "sample" && a.probability === b.probability && sameActions(a.actions, b.actions);
  if (a.type === "check_pkt_len")
    return b.type === "check_pkt_len" && a.pkt_len === b.pkt_len && sameActions(a.actions, b.actions);
  if (a.type !== b.type) return false;
  const names = Object.keys(a) as (keyof typeof a)[];
  return names.length === Object.keys(b).length && names.every((name) => a[name] === (b as typeof a)[name]);
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
