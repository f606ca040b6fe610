import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type MessageOf, OFPG, OFPP, type OfMessageInit } from "@sluice/openflow-codec";
import { checksumAdd, checksumFold } from "@sluice/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OfClient } from "../support/conformance/client.js";
import { flowMod, groupMod, meterMod } from "../support/conformance/session.js";
import { type SwitchUnderTest, scratchDir, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, SLUICE } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** Hosts a and b leave all their offloads on, so that what goes through the switch are super-frames with unfinished
 *  checksums. On its way from a to b a packet goes through the switch twice: `away` changes it between a's port and a
 *  cable, what `back` says at the cable's other end undoes that. All of it also leaves by port 5, which takes no
 *  offloads: what is captured there must be whole frames with right checksums. */

const TRANSFER = fileURLToPath(new URL("../support/transfer.py", import.meta.url));
const PORT = 7000;
/** The first source port of a journey's transfers, and how far those of the next are. */
const SOURCE = 20_000;
const SOURCES = 100;
const CABLE_MTU = 1600;
const A4 = "10.9.0.1";
const B4 = "10.9.0.2";
const A6 = "fd00:9::1";
const B6 = "fd00:9::2";
const MAC = { a: "0a:00:00:00:00:01", b: "0a:00:00:00:00:02" } as const;

type Kind = "tcp" | "udp" | "uso" | "big";

interface Journey {
  readonly name: string;
  readonly groups?: readonly string[];
  readonly meters?: readonly string[];
  /** Actions between a's port and the cable. Words in braces are filled in for each family and transport: FILL. */
  readonly away?: string;
  /** Where they then go to, if not to the cable and to port 5. */
  readonly to?: string;
  /** Flows for what comes out of the cable, without "in_port=4"; else it goes to b as it is. */
  readonly back?: readonly string[];
  /** Other flows. */
  readonly flows?: readonly string[];
  /** Of a super-frame at most. */
  readonly segments?: number;
  /** Without "big", datagrams that a sends in fragments, unless it is named. */
  readonly kinds?: readonly Kind[];
  /** Between which addresses, if not the hosts' own: those of a tunnel. */
  readonly over?: keyof typeof TUNNELS;
  /** What tshark must call one of the frames that are captured. */
  readonly seen?: string;
  /** What must be so at the end. */
  readonly after?: (bench: Bench) => Promise<void>;
}

interface Bench {
  readonly client: OfClient;
  readonly sut: SwitchUnderTest;
}

const FAMILIES = [4, 6] as const;
const TRANSPORTS = ["tcp", "udp"] as const;
const FILL = {
  v: ["4", "6"],
  six: ["", "6"],
  ip: ["ip", "ipv6"],
  type: ["0x0800", "0x86dd"],
  a: [A4, A6],
  b: [B4, B6],
  x: ["10.9.0.77", "fd00:9::77"],
  y: ["10.9.0.88", "fd00:9::88"],
} as const;

/** Tunnels of the hosts, which they send super-frames into: IPv4 addresses in them, and IPv6 after that. */
const TUNNELS = {
  vxlan: { options: "type vxlan id 5 dstport 4789 local {a4} remote {b4} dev eth0", net: 10 },
  vxlan6: { options: "type vxlan id 6 dstport 4789 local {a6} remote {b6} dev eth0", net: 11 },
} as const;

const ALL: readonly Kind[] = ["tcp", "udp", "uso", "big"];
const TAG = "push_vlan:0x8100,set_field:4101->vlan_vid";
const LABEL = "push_mpls:0x8847,set_field:{v}->mpls_label";
const NAT = "set_field:{x}->{ip}_src,set_field:{y}->{ip}_dst";
const UNDO_NAT = "set_field:{a}->{ip}_src,set_field:{b}->{ip}_dst";

const JOURNEYS: readonly Journey[] = [
  // First, while the hosts know nothing of each other: what they send at once grows with what they have learnt.
  { name: "in super-frames of two segments, which the kernel hands on in one piece", segments: 2 },
  { name: "as it is", kinds: ALL },
  { name: "in a VLAN", kinds: ALL, away: TAG, back: ["dl_vlan=5,actions=pop_vlan,output:2"], seen: "vlan" },
  {
    name: "in a VLAN of a service provider (802.1ad)",
    kinds: ALL,
    away: `${TAG},push_vlan:0x88a8,set_field:4102->vlan_vid`,
    back: ["dl_vlan=6,actions=pop_vlan,pop_vlan,output:2"],
    seen: "ieee8021ad:ethertype:vlan",
  },
  {
    name: "802.1ad tags that the kernel has taken off keep their type",
    away: "push_vlan:0x88a8,set_field:4102->vlan_vid",
    to: "output:3",
    back: ["dl_vlan=6,actions=output:5,pop_vlan,output:2"],
    seen: "ieee8021ad:ethertype:ip",
  },
  {
    name: "under a label",
    kinds: ALL,
    away: LABEL,
    back: ["mpls,mpls_label={v},actions=pop_mpls:{type},output:2"],
    seen: "mpls",
  },
  {
    name: "under two labels",
    away: `${LABEL},push_mpls:0x8847,set_field:9->mpls_label,dec_mpls_ttl`,
    back: ["mpls,mpls_label=9,actions=pop_mpls:0x8847,resubmit(,1)"],
    flows: ["table=1,mpls,mpls_label={v},actions=pop_mpls:{type},output:2"],
    seen: "mpls",
  },
  {
    name: "under a label in a VLAN",
    away: `${LABEL},${TAG}`,
    back: ["mpls,dl_vlan=5,mpls_label={v},actions=pop_vlan,pop_mpls:{type},output:2"],
    seen: "vlan:ethertype:mpls",
  },
  {
    name: "a label pushed under a VLAN tag",
    away: `${TAG},${LABEL}`,
    back: ["mpls,dl_vlan=5,mpls_label={v},actions=pop_mpls:{type},pop_vlan,output:2"],
    seen: "vlan:ethertype:mpls",
  },
  {
    name: "in a backbone (PBB)",
    kinds: ALL,
    away: "push_pbb:0x88e7,set_field:{v}->pbb_isid",
    back: ["dl_type=0x88e7,actions=pop_pbb,output:2"],
    seen: "ieee8021ah",
  },
  {
    name: "with other MAC addresses",
    kinds: ALL,
    away: "set_field:0a:00:00:00:00:77->eth_src,set_field:0a:00:00:00:00:88->eth_dst",
    back: [
      `dl_dst=0a:00:00:00:00:88,actions=set_field:${MAC.a}->eth_src,set_field:${MAC.b}->eth_dst,output:2`,
    ],
  },
  {
    name: "with other IP addresses",
    kinds: ALL,
    away: NAT,
    back: [`{l4}{six},{ip}_dst={y},actions=${UNDO_NAT},output:2`],
  },
  {
    name: "with another port",
    away: "set_field:99->{l4}_dst",
    back: [`{l4}{six},{l4}_dst=99,actions=set_field:${PORT}->{l4}_dst,output:2`],
  },
  {
    name: "with another TTL, DSCP and ECN",
    kinds: ALL,
    away: "dec_ttl,set_field:46->ip_dscp,set_field:2->ip_ecn",
    back: ["{l4}{six},ip_dscp=46,actions=dec_ttl,set_field:0->ip_dscp,set_field:0->ip_ecn,output:2"],
  },
  {
    name: "with all of it at once",
    away: `${NAT},dec_ttl,set_field:99->{l4}_dst,${LABEL},${TAG},push_vlan:0x88a8,set_field:4102->vlan_vid`,
    back: ["mpls,dl_vlan=6,mpls_label={v},actions=pop_vlan,pop_vlan,pop_mpls:{type},resubmit(,1)"],
    flows: [`table=1,{l4}{six},{l4}_dst=99,actions=${UNDO_NAT},set_field:${PORT}->{l4}_dst,output:2`],
    seen: "ieee8021ad:ethertype:vlan:ethertype:mpls",
  },
  {
    name: "through meters that drop and that remark",
    meters: [
      "meter=1,kbps,band=type=drop,rate=10000000",
      "meter=2,kbps,band=type=dscp_remark,rate=1,prec_level=1",
    ],
    away: "meter:1,set_field:10->ip_dscp",
    back: ["{l4}{six},actions=meter:2,output:2"],
  },
  {
    name: "to a group of type all whose buckets change it",
    groups: [
      "group_id=1,type=all,bucket=actions=set_field:0a:00:00:00:00:99->eth_src,dec_ttl,output:5,bucket=actions=push_vlan:0x8100,output:5,bucket=actions=output:3",
    ],
    to: "group:1,output:5",
    seen: "vlan",
  },
  ...["select", "indirect", "ff"].map(
    (type): Journey => ({
      name: `through a group of type ${type}`,
      groups: [`group_id=1,type=${type},bucket=watch_port:3,actions=${TAG},output:3`].map((line) =>
        type === "ff" ? line : line.replace("watch_port:3,", ""),
      ),
      to: "group:1,output:5",
      back: ["dl_vlan=5,actions=pop_vlan,output:2"],
    }),
  ),
  {
    name: "through a patch port and back",
    kinds: ALL,
    to: "output:6",
    flows: ["priority=10,in_port=6,actions=output:3,output:5"],
  },
  {
    name: "to the controller, too",
    away: "controller(max_len=65535)",
    after: async ({ client }) => {
      const packetIns = (await client.unasked()).filter(({ type }) => type === "OFPT_PACKET_IN");
      expect(packetIns.length).toBeGreaterThan(4);
      for (const { data } of packetIns as MessageOf<"OFPT_PACKET_IN">[]) {
        expect(data.length).toBeLessThanOrEqual(1514);
        expect(l4ChecksumIsRight(data)).toBe(true);
      }
    },
  },
  {
    name: "with changed and cut copies beside it",
    away: `clone(set_field:0a:00:00:00:00:99->eth_dst,${NAT},${LABEL},output:5),output(port=5,max_len=100)`,
    seen: "mpls",
  },
  {
    name: "by a port whose MTU is too small, which counts what it drops, and by one that is a TAP device",
    to: "output:7,output:LOCAL,output:3,output:5",
    after: async ({ client, sut }) => {
      const { entries } = await client.multipart({ type: "OFPMP_PORT_STATS", port_no: OFPP.ANY });
      const small = entries.find(({ port_no }) => port_no === 7)!;
      expect(Number(small.tx_dropped)).toBeGreaterThan(0);
      // Datagrams and short segments fit.
      expect(Number(small.tx_packets)).toBeGreaterThan(0);
      expect(entries.every(({ tx_errors, rx_errors }) => tx_errors + rx_errors === 0n)).toBe(true);
      expect(await counter(sut, "datapath_drop_bad_offload")).toBe(0);
    },
  },
  ...Object.keys(TUNNELS).flatMap((tunnel): Journey[] => {
    const over = tunnel as keyof typeof TUNNELS;
    const match = { vxlan: "udp", vxlan6: "udp6" }[over];
    const away = (actions: string): string =>
      `priority=20,in_port=1,${match},actions=${actions}output:3,output:5`;
    const pushed = `push_mpls:0x8847,set_field:7->mpls_label,`;
    const type = over === "vxlan6" ? "0x86dd" : "0x0800";
    return [
      { name: `in the hosts' own tunnel (${over})`, over, flows: [away("")] },
      {
        name: `in the hosts' own tunnel (${over}), in a VLAN`,
        over,
        flows: [away(`${TAG},`)],
        back: ["dl_vlan=5,actions=pop_vlan,output:2"],
      },
      {
        name: `in the hosts' own tunnel (${over}), under a label`,
        over,
        flows: [away(pushed)],
        back: [`mpls,mpls_label=7,actions=pop_mpls:${type},output:2`],
      },
    ];
  }),
];

async function counter({ rundir }: SwitchUnderTest, name: string): Promise<number> {
  const appctl = ["node", SLUICE, "appctl", "coverage/read-counter", name];
  return Number(await check(appctl, { env: { SLUICE_RUNDIR: rundir } }));
}

/** Whether a frame of TCP or UDP has the right checksum. */
function l4ChecksumIsRight(frame: Uint8Array): boolean {
  const isV6 = frame[12] === 0x86;
  const proto = frame[isV6 ? 20 : 23]!;
  const l4 = isV6 ? 54 : 34;
  const end = isV6 ? l4 + ((frame[18]! << 8) | frame[19]!) : 14 + ((frame[16]! << 8) | frame[17]!);
  const pseudo = checksumAdd(frame, isV6 ? 22 : 26, l4, proto + end - l4);
  return checksumFold(checksumAdd(frame, l4, end, pseudo)) === 0;
}

const fill = (text: string, v: 4 | 6, l4: string): string =>
  text.replace(/\{(\w+)\}/g, (_, word: string) =>
    word === "l4" ? l4 : FILL[word as keyof typeof FILL][v === 4 ? 0 : 1],
  );

function flowsOf(journey: Journey): string[] {
  const { away, to = "output:3,output:5", back = ["actions=output:2"], flows = [] } = journey;
  const templates = [
    `priority=10,in_port=1,{l4}{six},actions=${away === undefined ? "" : `${away},`}${to}`,
    ...back.map((line) => `priority=10,in_port=4,${line}`),
    ...flows,
  ];
  const lines = FAMILIES.flatMap((v) =>
    TRANSPORTS.flatMap((l4) => templates.map((template) => fill(template, v, l4))),
  );
  return [...new Set(lines), "priority=1,in_port=2,actions=output:1"];
}

const needs = { root: true, programs: ["ovs-vsctl", "ip", "ethtool", "python3", "tcpdump", "tshark"] };

describeWith(needs, "offloads of hosts, through every action", () => {
  const net = new Topology();
  const captures = scratchDir();
  const capture = join(captures, "port5.pcap");
  let sut: SwitchUnderTest;
  let server: Daemon;
  let sniffer: Daemon;
  let client: OfClient;

  beforeAll(async () => {
    const netns = await net.add("sw");
    for (const [host, v4, v6, port] of [
      ["a", A4, A6, "p1"],
      ["b", B4, B6, "p2"],
    ] as const) {
      await net.addHost(host, `${v4}/24`, port, "sw", { mac: MAC[host] });
      await net.check(host, ["sh", "-c", `echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6`]);
      await net.check(host, ["ip", "addr", "add", `${v6}/64`, "dev", "eth0", "nodad"]);
    }
    for (const [host, mac, ...addresses] of [
      ["a", MAC.b, B4, B6],
      ["b", MAC.a, A4, A6],
    ] as const)
      for (const address of addresses)
        await net.check(host, ["ip", "neigh", "add", address, "lladdr", mac, "dev", "eth0"]);
    for (const [name, { options, net: n }] of Object.entries(TUNNELS)) {
      const ends = { a: [A4, B4, A6, B6], b: [B4, A4, B6, A6] } as const;
      for (const [host, [a4, b4, a6, b6]] of Object.entries(ends)) {
        const device = `t-${name}`;
        const filled = options
          .replace("{a4}", a4)
          .replace("{b4}", b4)
          .replace("{a6}", a6)
          .replace("{b6}", b6);
        await net.check(host, ["ip", "link", "add", device, ...filled.split(" ")]);
        await net.check(host, [
          "ip",
          "link",
          "set",
          device,
          "address",
          `0a:00:00:00:${n}:0${host === "a" ? 1 : 2}`,
        ]);
        await net.check(host, ["ip", "addr", "add", `10.${n}.0.${host === "a" ? 1 : 2}/24`, "dev", device]);
        await net.check(host, ["ip", "link", "set", device, "up"]);
      }
    }
    await net.addHost("c", "10.9.1.3/24", "p5", "sw", { offloads: false });
    const mtu = String(CABLE_MTU);
    for (const command of [
      `ip link add p3 mtu ${mtu} type veth peer name p4 mtu ${mtu} && ip link set p3 up && ip link set p4 up`,
      "ip link add p7 mtu 1400 type veth peer name p8 mtu 1400 && ip link set p7 up && ip link set p8 up",
      `ip link set p5 mtu ${mtu}`,
    ])
      await net.check("sw", ["sh", "-c", command]);
    await net.check("c", ["ip", "link", "set", "eth0", "mtu", mtu]);
    sut = await startSluice({ netns });
    const bridge = (name: string): string[] => {
      const set = ["set", "bridge", name, "datapath_type=netdev", "fail-mode=secure"];
      return ["add-br", name, "--", ...set];
    };
    const port = (of: string, name: string, ofport: number, ...more: string[]): string[] => {
      const set = ["set", "interface", name, `ofport_request=${ofport}`, ...more];
      return ["--", "add-port", of, name, "--", ...set];
    };
    await sut.vsctl(
      ...[...bridge("br0"), "--", ...bridge("br1")],
      ...[1, 2, 3, 4, 7].flatMap((n) => port("br0", `p${n}`, n)),
      ...port("br0", "p5", 5, "options:xdp-mode=generic"),
      ...port("br0", "to1", 6, "type=patch", "options:peer=to0"),
      ...port("br1", "to0", 1, "type=patch", "options:peer=to1"),
      // The bridge's would else be that of p7; and matches see both tags of a frame.
      ..."-- set interface br0 mtu_request=1500 -- set Open_vSwitch . other_config:vlan-limit=2".split(" "),
    );
    for (const ip of ["ip", "ipv6"]) await sut.ofctl("add-flow", "br1", `${ip},actions=dec_ttl,in_port`);
    await net.check("sw", ["ip", "link", "set", "br0", "up"]);
    client = await OfClient.connect(`unix:${sut.rundir}/br0.mgmt`);
    server = new Daemon(["python3", TRANSFER, "serve", String(PORT)], { netns: net.netns("b") });
    sniffer = new Daemon(["tcpdump", "-i", "eth0", "-w", capture, "-U", "-B", "16384", "--immediate-mode"], {
      netns: net.netns("c"),
    });
    await server.prints(/ready/);
    await sniffer.prints(/listening on eth0/);
  });

  afterAll(async () => {
    client?.close();
    await server?.stop();
    await sniffer?.stop();
    await sut?.stop();
    await net.destroy();
    rmSync(captures, { recursive: true, force: true });
  });

  async function ok(...messages: readonly OfMessageInit[]): Promise<void> {
    for (const answer of await client.exchange(...messages))
      if (answer.type === "OFPT_ERROR") throw new Error(`refused: ${answer.error_type} ${answer.error_code}`);
  }

  test.each(JOURNEYS.map((journey, i) => ({ ...journey, source: SOURCE + i * SOURCES })))(
    "$name",
    async ({ source, ...journey }) => {
      const { groups = [], meters = [], kinds = ["tcp", "udp", "uso"], segments = 64, over, after } = journey;
      await net.check("a", ["ip", "link", "set", "eth0", "gso_max_segs", String(segments)]);
      await ok(
        {
          type: "OFPT_FLOW_MOD",
          command: "OFPFC_DELETE",
          table_id: 0xff,
          out_port: OFPP.ANY,
          out_group: OFPG.ANY,
        },
        { type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_type: "OFPGT_ALL", group_id: OFPG.ALL },
        ...meters.map((line) => meterMod(line)),
        ...groups.map((line) => groupMod(line)),
        ...flowsOf(journey).map((line) => flowMod(line)),
      );
      const targets = over === undefined ? [B4, B6] : [`10.${TUNNELS[over].net}.0.2`];
      const transfers = targets.flatMap((target) => kinds.map((kind) => `${kind}@${target}`));
      const send = [String(PORT), String(source), ...transfers];
      await net.check("a", ["python3", TRANSFER, "send", ...send]);
      await after?.({ client, sut });
    },
  );

  test("nothing was too long but for the port whose MTU is too small", async () => {
    const { entries } = await client.multipart({ type: "OFPMP_PORT_STATS", port_no: OFPP.ANY });
    const oversize = await counter(sut, "datapath_drop_oversize");
    expect(oversize).toBeGreaterThan(0);
    expect(oversize).toBeLessThanOrEqual(Number(entries.find(({ port_no }) => port_no === 7)!.tx_dropped));
  });

  test("what left by the port without offloads were whole frames with right checksums", async () => {
    await sniffer.stop("SIGINT");
    const preferences = ["ip", "tcp", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`]);
    const fields = FIELDS.flatMap((name) => ["-e", name]);
    const text = await check(["tshark", "-r", capture, ...preferences, "-T", "fields", ...fields]);
    const rows = text
      .trim()
      .split("\n")
      .map((line) => line.split("\t"));
    const wrong = rows.filter(
      ([size, , , , ...statuses]) =>
        Number(size) > CABLE_MTU + 14 + 8 || (size !== CUT && statuses.some(isBad)),
    );
    expect(wrong.slice(0, 10)).toEqual([]);
    expect(rows.some(([size]) => size === "1514")).toBe(true);
    for (const [i, { name, seen }] of JOURNEYS.entries()) {
      const from = SOURCE + i * SOURCES;
      const its = rows.filter(([, , tcp, udp]) => {
        const port = Number(tcp || udp!.split(",").at(-1));
        return port >= from && port < from + SOURCES;
      });
      expect(its.length, `frames of ${name}`).toBeGreaterThan(0);
      if (seen !== undefined)
        expect(
          its.map(([, protocols]) => protocols),
          name,
        ).toContainEqual(expect.stringContaining(seen));
    }
  });
});

const FIELDS = [
  ...["frame.len", "frame.protocols", "tcp.srcport", "udp.srcport"],
  ...["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"],
];
/** Bytes of frames that were cut on purpose. */
const CUT = "100";
/** As tshark says of checksums. */
const isBad = (status: string): boolean => /\b[04]\b/.test(status);
