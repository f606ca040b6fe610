/** Commands of ovs-vswitchd 3.1 that there are none of here, by how their names begin, and why. */
export const ABSENT: readonly (readonly [names: readonly string[], why: string])[] = [
  [["bond/", "dpif-netdev/bond-show"], "there are no bonds"],
  [["lacp/"], "there is no LACP"],
  [["stp/", "rstp/"], "there is no spanning tree"],
  [["bfd/", "cfm/"], "there is no BFD nor CFM"],
  [["mdb/"], "there is no multicast snooping"],
  [["autoattach/"], "there is no auto-attach"],
  [["tnl/", "ovs/route/", "ofproto/list-tunnels"], "there are no tunnels"],
  [
    ["dpctl/ct-", "dpctl/dump-conntrack", "dpctl/flush-conntrack", "dpctl/ipf-"],
    "there is no connection tracking",
  ],
  [
    ["dpctl/add-dp", "dpctl/del-dp", "dpctl/add-if", "dpctl/del-if", "dpctl/set-if"],
    "datapaths and ports are as the database says (ovs-vsctl add-br, add-port, set interface)",
  ],
  [["dpctl/cache-"], "the sizes of the datapath's caches are fixed"],
  [["dpctl/offload-stats-show"], "no device forwards by itself"],
  [["dpctl/normalize-actions"], "actions are compared as they stand"],
  [["dpif-netlink/"], "there is no kernel datapath"],
  [["dpif/show-dp-features", "dpif/set-dp-features"], "there is one datapath, and it has what it has"],
  [
    [
      "dpif-netdev/dpif-impl-",
      "dpif-netdev/miniflow-parser-",
      "dpif-netdev/subtable-lookup-",
      "odp-execute/",
    ],
    "there is one implementation, none to choose from",
  ],
  [["dpif-netdev/pmd-rxq-rebalance"], "ports are not assigned to threads: packets are spread by flow"],
  [
    ["dpif-netdev/pmd-perf-log-set"],
    "no single turns are kept (dpif-netdev/pmd-perf-show has their histogram)",
  ],
  [["upcall/disable-ufid", "upcall/enable-ufid"], "no flows are dumped to be revalidated"],
  [
    ["netdev-dummy/conn-state", "netdev-dummy/ip4addr", "netdev-dummy/ip6addr"],
    "a dummy port has neither connection nor address",
  ],
  [["time/", "dpif-dummy/"], "the daemon's clock and datapath are real"],
];

/** Why there is no such command, where it is one of Open vSwitch's. */
export const whyAbsent = (command: string): string | undefined =>
  ABSENT.find(([names]) => names.some((name) => command.startsWith(name)))?.[1];
