import { asReceived, frameBytes, packetFromFrame, SwitchTables, traceSwitch } from "@sluice/controller";
import { formatMessage, type Port } from "@sluice/openflow-codec";
import { parseFrame, toHex } from "@sluice/wire";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Bench } from "../support/conformance/bench.js";
import * as f from "../support/conformance/frames.js";
import { OvsBench } from "../support/conformance/ovs-bench.js";
import { flowMod, groupMod, Session } from "../support/conformance/session.js";
import { SluiceBench } from "../support/conformance/sluice-bench.js";
import { describeWith } from "../support/requirements.js";

/** Random tables and packets, on our switch and on Open vSwitch: the same frames and packet-ins must come out. What
 *  the cases of the other chapters list as a difference is left out of what is drawn. */

const RUNS = Number(process.env.DIFFERENTIAL_RUNS ?? 60);
/** The same in every run, unless another one is asked for. */
const SEED = Number(process.env.DIFFERENTIAL_SEED ?? 1);
const TABLES = 3;

const port = fc.integer({ min: 1, max: 4 });
const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

type Layer = "any" | "arp" | "ip" | "udp" | "tcp" | "icmp" | "ipv6" | "udp6" | "tcp6" | "icmp6" | "mpls";
type Tagging = "any" | "none" | "tagged";

const IPS = ["10.1.0.1", "10.1.0.2", "10.2.0.1", "192.168.0.1"];
const IP6S = ["fd00::a:1", "fd00::a:2", "2001:db8::1"];
const PORT_NUMBERS = [53, 80, 1000, 2000];
const DSCPS = [0, 10, 46];

const isIp4 = (layer: Layer): boolean => ["ip", "udp", "tcp", "icmp"].includes(layer);
const isIp6 = (layer: Layer): boolean => ["ipv6", "udp6", "tcp6", "icmp6"].includes(layer);
const l4Of = (layer: Layer): string | undefined => /^(udp|tcp)/.exec(layer)?.[0];

/** Parts of a match that a layer may have. */
function fieldsOf(layer: Layer): fc.Arbitrary<string>[] {
  const l4 = l4Of(layer);
  return [
    ...(layer === "arp"
      ? [
          oneOf(1, 2).map((op) => `arp_op=${op}`),
          oneOf(...IPS).map((ip) => `arp_spa=${ip}`),
          oneOf("10.0.0.0/8", "10.1.0.0/16").map((ip) => `arp_tpa=${ip}`),
        ]
      : []),
    ...(isIp4(layer)
      ? [
          oneOf(...IPS, "10.0.0.0/8", "10.1.0.0/16", "0.0.0.1/0.0.0.1").map((ip) => `nw_src=${ip}`),
          oneOf(...IPS, "10.0.0.0/8", "0.0.0.0/1").map((ip) => `nw_dst=${ip}`),
        ]
      : []),
    ...(isIp6(layer)
      ? [
          oneOf(...IP6S, "fd00::/8", "::1/::1").map((ip) => `ipv6_src=${ip}`),
          oneOf(...IP6S, "2001:db8::/32").map((ip) => `ipv6_dst=${ip}`),
        ]
      : []),
    ...(isIp4(layer) || isIp6(layer) ? [oneOf(...DSCPS).map((dscp) => `ip_dscp=${dscp}`)] : []),
    ...(l4
      ? [
          oneOf<number | string>(...PORT_NUMBERS, "0/1", "0/0xff00").map((number) => `${l4}_src=${number}`),
          oneOf<number | string>(...PORT_NUMBERS, "80/0xfff0").map((number) => `${l4}_dst=${number}`),
        ]
      : []),
    ...(layer === "mpls"
      ? [oneOf(7, 8).map((label) => `mpls_label=${label}`), oneOf(0, 1).map((bos) => `mpls_bos=${bos}`)]
      : []),
    ...(layer === "icmp" ? [oneOf(0, 8).map((type) => `icmp_type=${type}`)] : []),
  ];
}

/** Actions that a flow may have whose packets are of this layer and tagging. */
function actionsOf(layer: Layer, tagging: Tagging): fc.Arbitrary<string>[] {
  const l4 = l4Of(layer);
  return [
    port.map((to) => `output:${to}`),
    port.map((to) => `output:${to}`),
    oneOf("in_port", "all", "flood", "controller", "group:1", "group:2", "group:3"),
    oneOf("0a:00:00:00:00:77", "01:00:00:00:00:01").map((mac) => `set_field:${mac}->eth_dst`),
    ...(layer === "mpls"
      ? [
          fc.constant("dec_mpls_ttl"),
          oneOf(7, 8).map((label) => `set_field:${label}->mpls_label`),
          oneOf(1, 5).map((tc) => `set_field:${tc}->mpls_tc`),
        ]
      : []),
    ...(layer === "arp" ? [oneOf(...IPS).map((ip) => `set_field:${ip}->arp_tpa`)] : []),
    ...(isIp4(layer)
      ? [
          oneOf(...IPS).map((ip) => `set_field:${ip}->ip_src`),
          oneOf(...IPS).map((ip) => `set_field:${ip}->ip_dst`),
        ]
      : []),
    ...(isIp6(layer) ? [oneOf(...IP6S).map((ip) => `set_field:${ip}->ipv6_dst`)] : []),
    ...(isIp4(layer) || isIp6(layer)
      ? [
          fc.constant("dec_ttl"),
          oneOf(1, 7).map((ttl) => `mod_nw_ttl:${ttl}`),
          oneOf(...DSCPS).map((dscp) => `set_field:${dscp}->ip_dscp`),
        ]
      : []),
    ...(l4
      ? [
          oneOf(...PORT_NUMBERS).map((number) => `set_field:${number}->${l4}_src`),
          oneOf(...PORT_NUMBERS).map((number) => `set_field:${number}->${l4}_dst`),
        ]
      : []),
    ...(tagging === "tagged"
      ? [
          oneOf(5, 6).map((vid) => `set_field:${0x1000 + vid}->vlan_vid`),
          oneOf(0, 3).map((pcp) => `set_field:${pcp}->vlan_pcp`),
        ]
      : []),
  ];
}

const LAYERS: readonly Layer[] = [
  ...(["any", "arp", "ip", "udp", "tcp", "icmp", "ipv6", "udp6", "tcp6", "icmp6", "mpls"] as const),
];
const TAGGINGS: Readonly<Record<Tagging, readonly string[]>> = {
  any: [""],
  none: ["vlan_vid=0"],
  tagged: [
    "dl_vlan=5",
    "dl_vlan=6",
    "vlan_vid=0x1000/0x1000",
    "dl_vlan=5,dl_vlan_pcp=3",
    "vlan_vid=0x1001/0x1001",
  ],
};

const flow = (table: number): fc.Arbitrary<string> =>
  fc
    .tuple(oneOf(...LAYERS), oneOf<Tagging>("any", "any", "none", "tagged"))
    .chain(([layer, tagging]) => {
      const fields = fieldsOf(layer);
      const one = fc.oneof(...actionsOf(layer, tagging));
      return fc.record({
        in_port: fc.option(
          port.map((number) => `in_port=${number}`),
          { nil: "" },
        ),
        metadata:
          table === 0
            ? fc.constant("")
            : fc.option(oneOf("metadata=1", "metadata=0/1", "metadata=2/3"), { nil: "" }),
        vlan: oneOf(...TAGGINGS[tagging]),
        layer: fc.constant(layer === "any" ? "" : layer),
        fields:
          fields.length === 0
            ? fc.constant([])
            : fc.tuple(...fields.map((field) => fc.option(field, { nil: "" }))),
        apply: fc.array(one, { maxLength: 4 }),
        retag: fc.boolean(),
        unlabel: fc.boolean(),
        of: fc.constant(layer),
        // Whose cookie a packet-in from the action set has differs.
        write: fc.array(
          one.filter((action) => action !== "controller"),
          { maxLength: 3 },
        ),
        clear: fc.boolean(),
        write_metadata: fc.option(oneOf("1", "2", "1/1"), { nil: undefined }),
        goto: fc.option(fc.integer({ min: 1, max: TABLES - 1 }), { nil: 0 }),
        tagging: fc.constant(tagging),
      });
    })
    .map((parts) => {
      // What pop_mpls to 0x0800 makes of a packet with another label below is nobody's business.
      const pops = parts.unlabel && parts.of === "mpls";
      const fields = pops
        ? [...(parts.fields as string[]).filter((field) => !field.startsWith("mpls_bos")), "mpls_bos=1"]
        : (parts.fields as string[]);
      const match = [parts.in_port, parts.metadata, parts.vlan, parts.layer, ...fields];
      const retag =
        parts.tagging === "tagged" ? ["pop_vlan"] : ["push_vlan:0x8100", "set_field:0x1006->vlan_vid"];
      const last = parts.retag && parts.tagging !== "any" ? [...retag, "output:3"] : [];
      // Labels are not pushed: Open vSwitch 3.1 may fall over the packets when a later table pops them.
      const unlabelled = pops ? ["pop_mpls:0x0800", "output:2"] : [];
      const instructions = [
        ...parts.apply,
        ...last,
        ...unlabelled,
        ...(parts.clear ? ["clear_actions"] : []),
        // A header that is gone cannot be written to.
        ...(parts.write.length > 0 && last.length === 0 && !pops
          ? [`write_actions(${parts.write.join(",")})`]
          : []),
        ...(parts.write_metadata ? [`write_metadata:${parts.write_metadata}`] : []),
        ...(parts.goto > table ? [`goto_table:${parts.goto}`] : []),
      ];
      return `table=${table},${match.filter((part) => part !== "").join(",")}${match.some((part) => part !== "") ? "," : ""}actions=${instructions.length > 0 ? instructions.join(",") : "drop"}`;
    });

/** The parts of a conjunction, all of one priority, and flows that it leads to; at most one a table, for of several that a
 *  packet is in any may win. */
const conjunction = (table: number): fc.Arbitrary<string[]> => {
  const part = oneOf(...LAYERS).chain((layer) =>
    fc.record({
      match: fc.oneof(
        port.map((number) => `in_port=${number}`),
        fc.constant("vlan_vid=0x1000/0x1000"),
        ...fieldsOf(layer).map((field) => field.map((text) => `${layer},${text}`)),
      ),
      clause: oneOf(1, 2),
    }),
  );
  return fc
    .record({
      priority: oneOf(50, 97),
      parts: fc.uniqueArray(part, { maxLength: 8, selector: ({ match }) => match }),
      answers: fc.array(flow(table), { maxLength: 2 }),
    })
    .map(({ priority, parts, answers }) => [
      ...parts.map(
        ({ match, clause }, i) =>
          `cookie=${0x100 + i},priority=${priority},table=${table},${match},actions=conjunction(1,${clause}/2)`,
      ),
      ...answers.map((line, i) => `cookie=${0x200 + i},priority=${[60, 40][i]},conj_id=1,${line}`),
    ]);
};

/** Where a part has the match of a plain flow below it, Open vSwitch does not see that one (conjunction.test.ts). */
const matchOf = (line: string): string => /,table=\d,(.*?),?actions=/.exec(line)![1]!;

const tables = fc.tuple(
  ...Array.from({ length: TABLES }, (_, table) =>
    fc.array(flow(table), { minLength: table === 0 ? 2 : 0, maxLength: 6 }),
  ),
);

const frame = fc
  .record({
    kind: oneOf("udp4", "tcp4", "icmp4", "udp6", "tcp6", "arp", "mpls", "other"),
    tag: fc.option(fc.record({ vid: oneOf(5, 6, 7), pcp: oneOf(0, 3) }), { nil: undefined }),
    src: oneOf(0, 1, 2),
    dst: oneOf(0, 1, 2),
    src_port: oneOf(...PORT_NUMBERS),
    dst_port: oneOf(...PORT_NUMBERS),
    ttl: oneOf(1, 2, 64),
    dscp: oneOf(...DSCPS),
    type: oneOf(0, 8),
    op: oneOf(1, 2),
  })
  .map(({ kind, tag, src, dst, src_port, dst_port, ttl, dscp, type, op }): Uint8Array => {
    const eth = tag ? f.tagged(tag) : {};
    const four = { src: IPS[src]!, dst: IPS[dst]!, ttl, tos: dscp << 2 };
    const six = { src: IP6S[src]!, dst: IP6S[dst]!, hop_limit: ttl, traffic_class: dscp << 2 };
    switch (kind) {
      case "udp4":
        return f.udp4({ eth, ip: four, src_port, dst_port });
      case "tcp4":
        return f.tcp4({ eth, ip: four, src_port, dst_port });
      case "icmp4":
        return f.icmp4({ eth, ip: four, type });
      case "udp6":
        return f.udp6({ eth, ip: six, src_port, dst_port });
      case "tcp6":
        return f.tcp6({ eth, ip: six, src_port, dst_port });
      case "mpls":
        return f.mpls(
          [
            { label: 7 + (src % 2), ttl },
            { label: 8, tc: 3, ttl: 5 },
          ].slice(0, op),
          f.udp4({ eth, ip: { ...four, ttl: 9 }, src_port, dst_port }),
        );
      case "arp":
        return f.arpFrame({ eth, op, spa: IPS[src]!, tpa: IPS[dst]! });
      default:
        return f.other(0x88b5, f.DATA, eth);
    }
  });

const GROUPS = [
  "group_id=1,type=all,bucket=actions=output:1,bucket=actions=set_field:0a:00:00:00:00:55->eth_src,output:2",
  "group_id=2,type=indirect,bucket=actions=output:3",
  "group_id=3,type=ff,bucket=watch_port:4,actions=output:4,bucket=watch_port:2,actions=output:2",
];

/** What comes out for each packet, as text that can be compared and read. */
async function outcome(
  bench: Bench,
  flows: readonly string[],
  packets: readonly (readonly [number, Uint8Array])[],
): Promise<unknown[]> {
  await bench.reset();
  const session = new Session(bench, await bench.connect());
  await session.ok(...GROUPS.map((line) => groupMod(line)));
  const verdicts = [];
  for (const line of flows) verdicts.push(await session.verdict(flowMod(line)));
  const results: unknown[] = [verdicts];
  for (const [number, bytes] of packets) {
    const outputs = await session.frame(number, bytes);
    const packetIns = await session.unasked("OFPT_PACKET_IN");
    results.push({
      in: `${number} ${toHex(bytes)}`,
      out: Object.fromEntries(
        Object.entries(outputs).map(([to, frames]) => [
          to,
          frames.map((one) => [toHex(one), parseFrame(one)]),
        ]),
      ),
      packetIns: packetIns.map((one) => formatMessage({ ...one, xid: 0 })),
    });
  }
  return results;
}

/** The same by the controller's model of a switch. */
function modelOutcome(
  ports: ReadonlyMap<number, Port>,
  flows: readonly string[],
  packets: readonly (readonly [number, Uint8Array])[],
): unknown[] {
  const model = new SwitchTables();
  for (const line of GROUPS) model.apply(asReceived(groupMod(line)));
  const refused = flows.map((line) => model.apply(asReceived(flowMod(line)))?.[1] ?? "accepted");
  return [
    refused,
    ...packets.map(([in_port, bytes]) => {
      const trace = traceSwitch({ tables: model, ports }, packetFromFrame(bytes)!, in_port);
      return {
        in: `${in_port} ${toHex(bytes)}`,
        out: trace.outputs.map(({ port: to, packet }) => `${to} ${toHex(frameBytes(packet)!)}`).sort(),
        // Of packets whose TTL is used up a switch tells only who has asked for it (§7.3.10).
        packetIns: trace.packetIns
          .filter(({ reason }) => reason !== "OFPR_INVALID_TTL")
          .map(({ table_id, reason }) => `${table_id} ${reason}`)
          .sort(),
        unknown: trace.unknown,
      };
    }),
  ];
}
/** What our switch does, in the model's words. */
async function switchOutcome(
  bench: Bench,
  flows: readonly string[],
  packets: readonly (readonly [number, Uint8Array])[],
): Promise<[ReadonlyMap<number, Port>, unknown[]]> {
  await bench.reset();
  const session = new Session(bench, await bench.connect());
  await session.ok(...GROUPS.map((line) => groupMod(line)));
  const verdicts = [];
  for (const line of flows) verdicts.push(await session.verdict(flowMod(line)));
  const { entries } = await session.multipart({ type: "OFPMP_PORT_DESC" });
  const results: unknown[] = [verdicts];
  for (const [number, bytes] of packets) {
    const outputs = await session.frame(number, bytes);
    const packetIns = await session.unasked("OFPT_PACKET_IN");
    results.push({
      in: `${number} ${toHex(bytes)}`,
      out: Object.entries(outputs)
        .flatMap(([to, frames]) => frames.map((one) => `${to} ${toHex(one)}`))
        .sort(),
      packetIns: packetIns.map(({ table_id, reason }) => `${table_id} ${reason}`).sort(),
      unknown: [],
    });
  }
  return [new Map(entries.map((entry) => [entry.port_no, entry])), results];
}

describeWith(
  { programs: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl"] },
  "§5 random tables and packets",
  () => {
    let ours: Bench;
    let theirs: Bench;
    beforeAll(async () => {
      [ours, theirs] = await Promise.all([SluiceBench.start("inline"), OvsBench.start()]);
    });
    afterAll(async () => {
      await ours?.close();
      await theirs?.close();
    });

    test("our switch and Open vSwitch send the same", async () => {
      await fc.assert(
        fc.asyncProperty(
          tables,
          fc.tuple(...Array.from({ length: TABLES }, (_, table) => conjunction(table))),
          fc.array(fc.tuple(port, frame), { minLength: 6, maxLength: 12 }),
          async (drawn, conjunctions, packets) => {
            // Priorities of their own: which of two flows of one priority wins is undefined (§5.3).
            const flows = drawn.flatMap((lines, table) => [
              ...lines
                .map((line, i) => `cookie=${table * 16 + i},priority=${100 - i},${line}`)
                .filter((line) => !conjunctions[table]!.some((part) => matchOf(part) === matchOf(line))),
              ...conjunctions[table]!,
              // A miss does something else in Open vSwitch when there is an action set.
              `table=${table},priority=0,cookie=99,actions=${table === 0 ? "output:4" : "drop"}`,
            ]);
            // Each packet twice: the second one by what the first one left in a cache.
            const twice = packets.flatMap((packet) => [packet, packet]);
            expect(await outcome(ours, flows, twice)).toEqual(await outcome(theirs, flows, twice));
          },
        ),
        { numRuns: RUNS, seed: SEED },
      );
    }, 600_000);

    test("the controller's model of the tables says what our switch does", async () => {
      await fc.assert(
        fc.asyncProperty(
          tables,
          fc.array(fc.tuple(port, frame), { minLength: 6, maxLength: 12 }),
          async (drawn, packets) => {
            const flows = drawn.flatMap((lines, table) => [
              ...lines.map((line, i) => `cookie=${table * 16 + i},priority=${100 - i},${line}`),
              `table=${table},priority=0,cookie=99,actions=${table === 0 ? "output:4" : "drop"}`,
            ]);
            const [ports, results] = await switchOutcome(ours, flows, packets);
            expect(modelOutcome(ports, flows, packets)).toEqual(results);
          },
        ),
        { numRuns: RUNS, seed: SEED },
      );
    }, 600_000);
  },
);
