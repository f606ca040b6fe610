/** What the Ryu book has its readers do in the chapters on REST linkage, rest_firewall, rest_router and rest_qos: networks, requests, the
 *  answers to them, and who then reaches whom. Facts, as data: existing scripts are made of these. Where the book's answers
 *  come from an older program than Ryu 4.34, they are as 4.34 gives them, and it is said what the book has. */

export interface BookHost {
  readonly name: string;
  readonly address: string;
  readonly gateway?: string;
  /** Its frames come to the switch with this tag. */
  readonly vlan?: number;
  /** The number of the switch (its dpid, too), and that of the port. */
  readonly at: readonly [sw: number, port: number];
}

export type Step =
  | {
      readonly method: "GET" | "POST" | "PUT" | "DELETE";
      readonly path: string;
      readonly body?: unknown;
      /** The lists in it may have another order; `undefined`: of whatever it consists. */
      readonly answer?: unknown;
      /** 200 unless given. */
      readonly status?: number;
      /** It is asked until it is so: what is told is found out by and by. Hardware addresses in it are "*". */
      readonly eventually?: true;
    }
  | { readonly ping: readonly [from: string, to: string]; readonly passes: boolean; readonly ttl?: number }
  /** A connection to a port where nobody listens: refused where packets come through, else never answered. */
  | { readonly connect: readonly [from: string, to: string, port: number]; readonly passes: boolean }
  /** A datagram, which a flow of a switch then has counted: `flow` as ovs-ofctl lists it. */
  | {
      readonly udp: readonly [from: string, to: string, port: number];
      readonly flow: readonly [sw: string, text: string];
    };

export interface BookExample {
  readonly title: string;
  readonly apps: readonly string[];
  readonly switches: number;
  readonly hosts: readonly BookHost[];
  readonly links: readonly (readonly [sw: number, port: number, sw: number, port: number])[];
  readonly steps: readonly Step[];
  /** Open vSwitch refuses a part of it. */
  readonly ofSluiceOnly?: true;
}

/** Stands for the address of the switch's database. */
export const DATABASE = Symbol("database");

const [S1, S2, S3] = ["0000000000000001", "0000000000000002", "0000000000000003"] as const;

const get = (path: string, answer: unknown): Step => ({ method: "GET", path, answer });
const put = (path: string, answer: unknown): Step => ({ method: "PUT", path, answer });
const post = (path: string, body: unknown, answer: unknown): Step => ({ method: "POST", path, body, answer });
const remove = (path: string, body: unknown, answer: unknown): Step => ({
  ...{ method: "DELETE", path, body, answer },
});
const pings = (from: string, to: string, ttl?: number): Step => ({
  ...{ ping: [from, to], passes: true, ...(ttl !== undefined && { ttl }) },
});
const cannotPing = (from: string, to: string): Step => ({ ping: [from, to], passes: false });

const ofSwitch = (switch_id: string, command_result: unknown): unknown => [{ switch_id, command_result }];
const success = (switch_id: string, details: string, vlan_id?: number): unknown =>
  ofSwitch(switch_id, [{ result: "success", details, ...(vlan_id !== undefined && { vlan_id }) }]);

// Firewall.

const RULES = `/firewall/rules/${S1}`;
const ENABLE: readonly Step[] = [
  put(`/firewall/module/enable/${S1}`, ofSwitch(S1, { result: "success", details: "firewall running." })),
  get("/firewall/module/status", [{ status: "enable", switch_id: S1 }]),
];
const rules = (list: readonly object[], vlan?: string): unknown => [
  {
    switch_id: S1,
    access_control_list: [{ ...(vlan !== undefined && { vlan_id: vlan }), rules: list }],
  },
];
const addRule = (id: number, body: object, vlan?: number): Step =>
  post(
    vlan === undefined ? RULES : `${RULES}/${vlan}`,
    body,
    success(S1, `Rule added. : rule_id=${id}`, vlan),
  );
const single = (count: number, address: (n: number) => string, vlanOf?: (n: number) => number) =>
  Array.from({ length: count }, (_, i): BookHost => {
    const n = i + 1;
    return {
      ...{ name: `h${n}`, address: address(n), at: [1, n] },
      ...(vlanOf !== undefined && { vlan: vlanOf(n) }),
    };
  });
const ipv4 = (n: number): string => `10.0.0.${n}/8`;
const linkLocal = (n: number): string => `fe80::200:ff:fe00:${n}/64`;
const twoTenants = (n: number): number => (n <= 2 ? 2 : 110);

const FIREWALL: readonly BookExample[] = [
  {
    ...{ title: "firewall, one tenant, IPv4", apps: ["firewall"], switches: 1, links: [] },
    hosts: single(3, ipv4),
    steps: [
      ...ENABLE,
      cannotPing("h1", "10.0.0.2"),
      addRule(1, { nw_src: "10.0.0.1/32", nw_dst: "10.0.0.2/32", nw_proto: "ICMP" }),
      addRule(2, { nw_src: "10.0.0.2/32", nw_dst: "10.0.0.1/32", nw_proto: "ICMP" }),
      addRule(3, { nw_src: "10.0.0.2/32", nw_dst: "10.0.0.3/32" }),
      addRule(4, { nw_src: "10.0.0.3/32", nw_dst: "10.0.0.2/32" }),
      addRule(5, {
        ...{ nw_src: "10.0.0.2/32", nw_dst: "10.0.0.3/32", nw_proto: "ICMP" },
        ...{ actions: "DENY", priority: "10" },
      }),
      addRule(6, {
        ...{ nw_src: "10.0.0.3/32", nw_dst: "10.0.0.2/32", nw_proto: "ICMP" },
        ...{ actions: "DENY", priority: "10" },
      }),
      get(
        RULES,
        rules(
          (
            [
              [3, "10.0.0.2", "10.0.0.3"],
              [4, "10.0.0.3", "10.0.0.2"],
              [5, "10.0.0.2", "10.0.0.3", "ICMP", "DENY"],
              [1, "10.0.0.1", "10.0.0.2", "ICMP"],
              [6, "10.0.0.3", "10.0.0.2", "ICMP", "DENY"],
              [2, "10.0.0.2", "10.0.0.1", "ICMP"],
            ] as const
          ).map(([rule_id, nw_src, nw_dst, nw_proto, actions = "ALLOW"]) => ({
            ...{ priority: actions === "DENY" ? 10 : 1, dl_type: "IPv4", ...(nw_proto && { nw_proto }) },
            ...{ nw_dst, nw_src, rule_id, actions },
          })),
        ),
      ),
      pings("h1", "10.0.0.2", 64),
      { connect: ["h1", "10.0.0.2", 80], passes: false },
      { connect: ["h2", "10.0.0.3", 22], passes: true },
      cannotPing("h2", "10.0.0.3"),
      remove(RULES, { rule_id: "5" }, success(S1, "Rule deleted. : ruleID=5")),
      remove(RULES, { rule_id: "6" }, success(S1, "Rule deleted. : ruleID=6")),
      pings("h2", "10.0.0.3"),
    ],
  },
  {
    ...{ title: "firewall, tenants by VLAN, IPv4", apps: ["firewall"], switches: 1, links: [] },
    hosts: single(4, ipv4, twoTenants),
    steps: [
      ...ENABLE,
      addRule(1, { nw_src: "10.0.0.0/8", nw_proto: "ICMP" }, 2),
      addRule(2, { nw_dst: "10.0.0.0/8", nw_proto: "ICMP" }, 2),
      get(
        `${RULES}/all`,
        rules(
          // The book, which is older here, has the mask as /8 and the VLAN as a number.
          [{ nw_src: "10.0.0.0/255.0.0.0" }, { nw_dst: "10.0.0.0/255.0.0.0" }].map((address, i) => ({
            ...{ priority: 1, dl_type: "IPv4", nw_proto: "ICMP", dl_vlan: "2" },
            ...{ ...address, rule_id: i + 1, actions: "ALLOW" },
          })),
          "2",
        ),
      ),
      pings("h1", "10.0.0.2"),
      cannotPing("h3", "10.0.0.4"),
    ],
  },
  {
    ...{ title: "firewall, one tenant, IPv6", apps: ["firewall"], switches: 1, links: [] },
    hosts: single(3, linkLocal),
    steps: [
      ...ENABLE,
      ...(
        [
          ["fe80::200:ff:fe00:1", "fe80::200:ff:fe00:2"],
          ["fe80::200:ff:fe00:2", "fe80::200:ff:fe00:1"],
          ["fe80::200:ff:fe00:1", "ff02::1:ff00:2"],
          ["fe80::200:ff:fe00:2", "ff02::1:ff00:1"],
        ] as const
      ).map(([ipv6_src, ipv6_dst], i) => addRule(i + 1, { ipv6_src, ipv6_dst, nw_proto: "ICMPv6" })),
      get(
        `${RULES}/all`,
        rules(
          (
            [
              ["fe80::200:ff:fe00:2", "fe80::200:ff:fe00:1"],
              ["fe80::200:ff:fe00:1", "fe80::200:ff:fe00:2"],
              ["ff02::1:ff00:2", "fe80::200:ff:fe00:1"],
              ["ff02::1:ff00:1", "fe80::200:ff:fe00:2"],
            ] as const
          ).map(([ipv6_dst, ipv6_src], i) => ({
            ...{ ipv6_dst, actions: "ALLOW", rule_id: i + 1, ipv6_src },
            ...{ nw_proto: "ICMPv6", dl_type: "IPv6", priority: 1 },
          })),
        ),
      ),
      pings("h1", "fe80::200:ff:fe00:2", 64),
      cannotPing("h1", "fe80::200:ff:fe00:3"),
    ],
  },
  {
    ...{ title: "firewall, tenants by VLAN, IPv6", apps: ["firewall"], switches: 1, links: [] },
    hosts: single(4, linkLocal, twoTenants),
    steps: [
      ...ENABLE,
      addRule(1, { ipv6_src: "fe80::200:ff:fe00:1", nw_proto: "ICMPv6" }, 2),
      addRule(2, { ipv6_src: "fe80::200:ff:fe00:2", nw_proto: "ICMPv6" }, 2),
      get(
        `${RULES}/all`,
        rules(
          [1, 2].map((n) => ({
            ...{ actions: "ALLOW", rule_id: n, dl_vlan: "2", ipv6_src: `fe80::200:ff:fe00:${n}` },
            ...{ nw_proto: "ICMPv6", dl_type: "IPv6", priority: 1 },
          })),
          "2",
        ),
      ),
      pings("h1", "fe80::200:ff:fe00:2", 64),
      cannotPing("h3", "fe80::200:ff:fe00:4"),
    ],
  },
];

// Router.

const address = (sw: string, id: number, text: string, vlan?: number): Step =>
  post(
    vlan === undefined ? `/router/${sw}` : `/router/${sw}/${vlan}`,
    { address: text },
    success(sw, `Add address [address_id=${id}]`, vlan),
  );
const route = (sw: string, id: number, gateway: string, destination?: string, vlan?: number): Step =>
  post(
    vlan === undefined ? `/router/${sw}` : `/router/${sw}/${vlan}`,
    { ...(destination !== undefined && { destination }), gateway },
    success(sw, `Add route [route_id=${id}]`, vlan),
  );
type Routes = readonly (readonly [id: number, gateway: string, destination?: string])[];
type Addresses = readonly (readonly [id: number, address: string])[];
/** A VLAN's part of a router. */
const network = (routes: Routes, addresses: Addresses, vlan_id?: number): object => ({
  ...(vlan_id !== undefined && { vlan_id }),
  route: routes.map(([route_id, gateway, destination = "0.0.0.0/0"]) => ({ route_id, destination, gateway })),
  address: addresses.map(([address_id, address]) => ({ address_id, address })),
});
const router = (switch_id: string, ...internal_network: object[]): object => ({
  switch_id,
  internal_network,
});

const S2_ADDRESSES: Addresses = [
  [2, "172.16.30.1/24"],
  [3, "192.168.10.1/24"],
  [1, "172.16.10.1/24"],
];
const LINE: BookExample["links"] = [
  [1, 2, 2, 2],
  [2, 3, 3, 2],
];
/** Two hosts at each switch. */
const LINE_OF_TWO: BookExample["links"] = [
  [1, 3, 2, 3],
  [2, 4, 3, 3],
];
const tenants = [2, 110] as const;

const ROUTER: readonly BookExample[] = [
  {
    ...{ title: "router, one tenant", apps: ["router"], switches: 3, links: LINE },
    hosts: [
      { name: "h1", address: "172.16.20.10/24", gateway: "172.16.20.1", at: [1, 1] },
      { name: "h2", address: "172.16.10.10/24", gateway: "172.16.10.1", at: [2, 1] },
      { name: "h3", address: "192.168.30.10/24", gateway: "192.168.30.1", at: [3, 1] },
    ],
    steps: [
      address(S1, 1, "172.16.20.1/24"),
      address(S1, 2, "172.16.30.30/24"),
      address(S2, 1, "172.16.10.1/24"),
      address(S2, 2, "172.16.30.1/24"),
      address(S2, 3, "192.168.10.1/24"),
      address(S3, 1, "192.168.30.1/24"),
      address(S3, 2, "192.168.10.20/24"),
      route(S1, 1, "172.16.30.1"),
      route(S2, 1, "172.16.30.30"),
      route(S3, 1, "192.168.10.1"),
      route(S2, 2, "192.168.10.20", "192.168.30.0/24"),
      get(`/router/${S1}`, [
        router(
          S1,
          network(
            [[1, "172.16.30.1"]],
            [
              [1, "172.16.20.1/24"],
              [2, "172.16.30.30/24"],
            ],
          ),
        ),
      ]),
      get(`/router/${S2}`, [
        router(
          S2,
          network(
            [
              [1, "172.16.30.30"],
              [2, "192.168.10.20", "192.168.30.0/24"],
            ],
            S2_ADDRESSES,
          ),
        ),
      ]),
      get(`/router/${S3}`, [
        router(
          S3,
          network(
            [[1, "192.168.10.1"]],
            [
              [1, "192.168.30.1/24"],
              [2, "192.168.10.20/24"],
            ],
          ),
        ),
      ]),
      pings("h2", "192.168.30.10", 62),
      pings("h2", "172.16.20.10", 62),
      remove(`/router/${S2}`, { route_id: "2" }, success(S2, "Delete route [route_id=2]")),
      get(`/router/${S2}`, [router(S2, network([[1, "172.16.30.30"]], S2_ADDRESSES))]),
      cannotPing("h2", "192.168.30.10"),
      remove(`/router/${S1}`, { address_id: "1" }, success(S1, "Delete address [address_id=1]")),
      get(`/router/${S1}`, [router(S1, network([[1, "172.16.30.1"]], [[2, "172.16.30.30/24"]]))]),
      cannotPing("h2", "172.16.20.10"),
    ],
  },
  {
    ...{ title: "router, tenants by VLAN", apps: ["router"], switches: 3, links: LINE_OF_TWO },
    hosts: (
      [
        ["s1", "172.16.10.", 1],
        ["s2", "192.168.30.", 2],
        ["s3", "172.16.20.", 3],
      ] as const
    ).flatMap(([sw, subnet, n]) =>
      tenants.map(
        (vlan, i): BookHost => ({
          ...{ name: `h${i + 1}${sw}`, address: `${subnet}${10 + i}/24`, gateway: `${subnet}1` },
          ...{ vlan, at: [n, i + 1] },
        }),
      ),
    ),
    steps: [
      ...(
        [
          [S1, "172.16.10.1/24", "10.10.10.1/24"],
          [S2, "192.168.30.1/24", "10.10.10.2/24"],
          [S3, "172.16.20.1/24", "10.10.10.3/24"],
        ] as const
      ).flatMap(([sw, first, second]) =>
        tenants.flatMap((vlan) => [address(sw, 1, first, vlan), address(sw, 2, second, vlan)]),
      ),
      ...(
        [
          [S1, "10.10.10.2"],
          [S2, "10.10.10.1"],
          [S3, "10.10.10.2"],
        ] as const
      ).flatMap(([sw, gateway]) => tenants.map((vlan) => route(sw, 1, gateway, undefined, vlan))),
      route(S2, 2, "10.10.10.3", "172.16.20.0/24", 2),
      get(
        "/router/all/all",
        (
          [
            [S1, "10.10.10.2", "172.16.10.1/24", "10.10.10.1/24"],
            [S2, "10.10.10.1", "192.168.30.1/24", "10.10.10.2/24"],
            [S3, "10.10.10.2", "172.16.20.1/24", "10.10.10.3/24"],
          ] as const
        ).map(([sw, gateway, first, second]) => {
          const addresses = [
            [1, first],
            [2, second],
          ] as const;
          const static2 = sw === S2 ? ([[2, "10.10.10.3", "172.16.20.0/24"]] as const) : [];
          return router(
            sw,
            {},
            network([[1, gateway], ...static2], addresses, 2),
            network([[1, gateway]], addresses, 110),
          );
        }),
      ),
      pings("h1s1", "172.16.20.10", 61),
      cannotPing("h2s1", "172.16.20.11"),
    ],
  },
];

// QoS.

const qosRules = (switch_id: string, list: readonly object[]): Step =>
  get(`/qos/rules/${switch_id}`, ofSwitch(switch_id, [{ qos: list }]));
const addQos = (sw: string, id: number, match: object, actions: object): Step =>
  post(`/qos/rules/${sw}`, { match, actions }, success(sw, `QoS added. : qos_id=${id}`));
const setDatabase: Step = {
  ...{ method: "PUT", path: `/v1.0/conf/switches/${S1}/ovsdb_addr`, body: DATABASE, status: 201 },
};
const setQueues = (...queues: { readonly max_rate?: string; readonly min_rate?: string }[]): Step => {
  const details = queues.map(({ max_rate, min_rate }, i) => [
    String(i),
    { config: { ...(max_rate && { "max-rate": max_rate }), ...(min_rate && { "min-rate": min_rate }) } },
  ]);
  const body = { port_name: "s1-eth1", type: "linux-htb", max_rate: "1000000", queues };
  return post(
    `/qos/queue/${S1}`,
    body,
    ofSwitch(S1, { result: "success", details: Object.fromEntries(details) }),
  );
};
/** Of the third example, by DSCP. */
const QUEUES = { 0: "1", 10: "3", 12: "2" } as const;
const IPV4 = { priority: 1, dl_type: "IPv4" };
const udpTo = (nw_dst: string, port: number): object => ({
  ...{ nw_dst, nw_proto: "UDP", tp_dst: String(port) },
});

const meters = (type: "DSCP_REMARK" | "DROP", ofSluiceOnly?: true): BookExample => ({
  ...{ title: `qos, meters at the edge: ${type}`, apps: ["qos", "learning-switch"], switches: 3 },
  ...(ofSluiceOnly && { ofSluiceOnly }),
  links: [
    [1, 2, 2, 2],
    [1, 3, 3, 2],
  ],
  hosts: [
    { name: "h1", address: ipv4(1), at: [1, 1] },
    { name: "h2", address: ipv4(2), at: [2, 1] },
    { name: "h3", address: ipv4(3), at: [3, 1] },
  ],
  steps: [
    ...([2, 3] as const).flatMap((port, i) =>
      ([0, 10, 12] as const).map((dscp, j) =>
        addQos(S1, 3 * i + j + 1, { ip_dscp: String(dscp), in_port: String(port) }, { queue: QUEUES[dscp] }),
      ),
    ),
    // The book adds the rules before their meter, at a switch that takes that.
    ...[S2, S3].flatMap((sw) => [
      post(
        `/qos/meter/${sw}`,
        {
          ...{ meter_id: "1", flags: "KBPS" },
          bands: [{ type, rate: "400", ...(type === "DSCP_REMARK" && { prec_level: "1" }) }],
        },
        success(sw, "Meter added. : Meter ID=1"),
      ),
      addQos(sw, 1, { ip_dscp: "10" }, { meter: "1" }),
    ]),
    qosRules(
      S1,
      [2, 3].flatMap((in_port, i) =>
        ([0, 10, 12] as const).map((ip_dscp, j) => ({
          ...{ ...IPV4, actions: [{ queue: QUEUES[ip_dscp] }], in_port, qos_id: 3 * i + j + 1 },
          // The book, as Ryu, leaves it out where it is 0.
          ip_dscp,
        })),
      ),
    ),
    ...[S2, S3].map((sw) => qosRules(sw, [{ ...IPV4, ip_dscp: 10, actions: [{ meter: "1" }], qos_id: 1 }])),
    pings("h2", "10.0.0.1"),
    pings("h3", "10.0.0.1"),
  ],
});

const QOS: readonly BookExample[] = [
  {
    ...{ title: "qos, by flow", apps: ["qos", "learning-switch"], switches: 1, links: [] },
    hosts: single(2, ipv4),
    steps: [
      setDatabase,
      setQueues({ max_rate: "500000" }, { min_rate: "800000" }),
      addQos(S1, 1, udpTo("10.0.0.1", 5002), { queue: "1" }),
      qosRules(S1, [
        {
          ...{ ...IPV4, nw_proto: "UDP", tp_dst: 5002, qos_id: 1, nw_dst: "10.0.0.1" },
          actions: [{ queue: "1" }],
        },
      ]),
      pings("h2", "10.0.0.1"),
      { udp: ["h2", "10.0.0.1", 5002], flow: ["s1", "tp_dst=5002 actions=set_queue:1"] },
    ],
  },
  {
    ...{ title: "qos, by DiffServ between routers", apps: ["qos", "router"], switches: 2 },
    links: [[1, 2, 2, 2]],
    hosts: [
      { name: "h1", address: "172.16.20.10/24", gateway: "172.16.20.1", at: [1, 1] },
      { name: "h2", address: "172.16.10.10/24", gateway: "172.16.10.1", at: [2, 1] },
    ],
    steps: [
      setDatabase,
      setQueues({ max_rate: "1000000" }, { min_rate: "200000" }, { min_rate: "500000" }),
      address(S1, 1, "172.16.20.1/24"),
      address(S1, 2, "172.16.30.10/24"),
      route(S1, 1, "172.16.30.1"),
      address(S2, 1, "172.16.10.1/24"),
      address(S2, 2, "172.16.30.1/24"),
      route(S2, 1, "172.16.30.10"),
      addQos(S1, 1, { ip_dscp: "26" }, { queue: "1" }),
      addQos(S1, 2, { ip_dscp: "34" }, { queue: "2" }),
      addQos(S2, 1, udpTo("172.16.20.10", 5002), { mark: "26" }),
      addQos(S2, 2, udpTo("172.16.20.10", 5003), { mark: "34" }),
      qosRules(S1, [
        { ...IPV4, ip_dscp: 34, actions: [{ queue: "2" }], qos_id: 2 },
        { ...IPV4, ip_dscp: 26, actions: [{ queue: "1" }], qos_id: 1 },
      ]),
      qosRules(
        S2,
        (
          [
            [1, 5002, "26"],
            [2, 5003, "34"],
          ] as const
        ).map(([qos_id, tp_dst, mark]) => ({
          ...{ ...IPV4, nw_proto: "UDP", tp_dst, qos_id, nw_dst: "172.16.20.10", actions: [{ mark }] },
        })),
      ),
      pings("h2", "172.16.20.10", 62),
      // The book sends with iperf, and reads at the receiver how much came by each queue.
      { udp: ["h2", "172.16.20.10", 5002], flow: ["s1", "nw_tos=104 actions=set_queue:1"] },
      { udp: ["h2", "172.16.20.10", 5003], flow: ["s1", "nw_tos=136 actions=set_queue:2"] },
    ],
  },
  meters("DSCP_REMARK", true),
  // The other kind of band that the chapter's list of requests has, and that Open vSwitch can do.
  meters("DROP"),
];

// REST linkage: the switching hub's table of addresses.

const MAC_TABLE = `/simpleswitch/mactable/${S1}`;
const [M1, M2] = ["00:00:00:00:00:01", "00:00:00:00:00:02"] as const;
const hub = { apps: ["learning-switch"], switches: 1, links: [], hosts: single(2, ipv4) } as const;
const LINKAGE: readonly BookExample[] = [
  {
    ...{ title: "switching hub: what it has learned", ...hub },
    steps: [
      pings("h1", "10.0.0.2"),
      get(MAC_TABLE, { [M1]: 1, [M2]: 2 }),
      { method: "GET", path: MAC_TABLE.replace(S1, S2), status: 404 },
    ],
  },
  {
    ...{ title: "switching hub: what it is told", ...hub },
    steps: [
      { method: "PUT", path: MAC_TABLE, body: { mac: M1, port: 1 }, answer: { [M1]: 1 } },
      { method: "PUT", path: MAC_TABLE, body: { mac: M2, port: 2 }, answer: { [M1]: 1, [M2]: 2 } },
      pings("h1", "10.0.0.2"),
    ],
  },
];

// rest_topology has no chapter: this is what Ryu 4.34 answers of the same network.

const topologyPort = (sw: number, port: number) => ({
  ...{ dpid: `000000000000000${sw}`, port_no: `0000000${port}`, hw_addr: "*", name: `s${sw}-eth${port}` },
});
const topologySwitch = (sw: number) => ({
  ...{ dpid: `000000000000000${sw}`, ports: [topologyPort(sw, 1), topologyPort(sw, 2)] },
});
const topologyHost = (sw: number) => ({
  ...{ mac: `00:00:00:00:00:0${sw}`, ipv4: [`10.0.0.${sw}`], ipv6: [], port: topologyPort(sw, 1) },
});
const topologyLinks = [
  { src: topologyPort(1, 2), dst: topologyPort(2, 2) },
  { src: topologyPort(2, 2), dst: topologyPort(1, 2) },
];
const found = (what: string, answer: unknown): Step => ({
  ...{ method: "GET", path: `/v1.0/topology/${what}`, answer, eventually: true },
});
const TOPOLOGY: readonly BookExample[] = [
  {
    ...{ title: "topology", apps: ["topology", "learning-switch"], switches: 2, links: [[1, 2, 2, 2]] },
    hosts: [1, 2].map((n) => ({ name: `h${n}`, address: ipv4(n), at: [n, 1] })),
    steps: [
      found("links", topologyLinks),
      pings("h1", "10.0.0.2"),
      found("switches", [topologySwitch(1), topologySwitch(2)]),
      found("hosts", [topologyHost(1), topologyHost(2)]),
      found(`switches/${S2}`, [topologySwitch(2)]),
      found(`links/${S1}`, topologyLinks.slice(0, 1)),
      found(`hosts/${S1}`, [topologyHost(1)]),
      found(`switches/${S3}`, []),
    ],
  },
];

export const RYU_BOOK: readonly BookExample[] = [...LINKAGE, ...FIREWALL, ...ROUTER, ...QOS, ...TOPOLOGY];
