/** ovs-ofctl's words for the actions in a bitmap of action types. */
export const ACTION_BITS: readonly (readonly [bit: number, word: string])[] = [
  [0, "output"],
  [22, "group"],
  [25, "set_field"],
  [18, "strip_vlan"],
  [17, "push_vlan"],
  [23, "mod_nw_ttl"],
  [24, "dec_ttl"],
  [15, "set_mpls_ttl"],
  [16, "dec_mpls_ttl"],
  [19, "push_mpls"],
  [20, "pop_mpls"],
  [21, "set_queue"],
  [11, "copy_ttl_out"],
  [12, "copy_ttl_in"],
  [26, "push_pbb"],
  [27, "pop_pbb"],
];
