/** A transaction's operations (RFC 7047 §5.2), as JSON. */
export type Operations = readonly Readonly<Record<string, unknown>>[];

/** Names of the bridge's ports, which the simulated hosts are plugged into. */
export const portNames = (hosts: number): string[] => Array.from({ length: hosts }, (_, i) => `p${i + 1}`);

/** The database as it is left by
 *  `ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev -- set-fail-mode br0 secure -- set-controller br0
 *  TARGET -- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 …`: the same rows, in one transaction. */
export function configureBridge(bridge: string, ports: readonly string[], controller: string): Operations {
  const portRows = [bridge, ...ports].flatMap((name, index) => [
    {
      op: "insert",
      table: "Interface",
      "uuid-name": `iface${index}`,
      row: index === 0 ? { name, type: "internal" } : { name, type: "dummy", ofport_request: index },
    },
    {
      op: "insert",
      table: "Port",
      "uuid-name": `port${index}`,
      row: { name, interfaces: ["named-uuid", `iface${index}`] },
    },
  ]);
  return [
    ...portRows,
    { op: "insert", table: "Controller", "uuid-name": "controller", row: { target: controller } },
    {
      op: "insert",
      table: "Bridge",
      "uuid-name": "bridge",
      row: {
        name: bridge,
        datapath_type: "netdev",
        fail_mode: "secure",
        protocols: "OpenFlow13",
        controller: ["named-uuid", "controller"],
        ports: ["set", [bridge, ...ports].map((_, index) => ["named-uuid", `port${index}`])],
      },
    },
    {
      op: "mutate",
      table: "Open_vSwitch",
      where: [],
      mutations: [
        ["bridges", "insert", ["named-uuid", "bridge"]],
        ["next_cfg", "+=", 1],
      ],
    },
    { op: "select", table: "Open_vSwitch", where: [], columns: ["next_cfg"] },
  ];
}
