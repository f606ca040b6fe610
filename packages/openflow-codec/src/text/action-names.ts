/** ovs-actions(7)'s words for numbers in Nicira's actions; a number is a place in a list unless it is said otherwise. */

export const PACKET_IN_REASONS = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];
export const HASH_FIELDS = [
  "eth_src",
  "symmetric_l4",
  "symmetric_l3l4",
  "symmetric_l3l4+udp",
  "nw_src",
  "nw_dst",
  "symmetric_l3",
];
export const MULTIPATH_ALGORITHMS = ["modulo_n", "hash_threshold", "hrw", "iter_hash"];
export const BUNDLE_ALGORITHMS = ["active_backup", "hrw"];

/** ct's `alg` by the well-known port that stands for it. */
export const ALG_NAMES: Readonly<Record<number, string>> = { 21: "ftp", 69: "tftp" };
export const ALG_PORTS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(ALG_NAMES).map(([port, name]) => [name, Number(port)]),
);
