import type { Clock } from "@sluice/runtime";
import { ethernet, ipv4, toHex, udp } from "@sluice/wire";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createUserspaceDpif } from "../datapath/userspace/dpif.js";
import type { OdpAction } from "../dpif/actions.js";
import { DP_LANES } from "../flow/flow-key.js";
import { DummyHub } from "../netdev/dummy.js";
import { cableRig, quiet, type Rig, TestBench } from "./bench.testkit.js";
import type { OfpError } from "./error.js";
import type { Action, FlowMod, GroupMod, Instruction, Match } from "./of.js";
import { type Trace, trace } from "./trace.js";
import { OFPP } from "./xlate/reserved.js";

/** Whatever is cached, a packet comes out as if nothing were: the same requests and packets go to two switches, one
 *  of which may cache nothing. */

function userspaceRig(clock: Clock): Rig {
  const dummies = new DummyHub();
  return cableRig(createUserspaceDpif({ clock, log: quiet, host: "inline", dummies }), dummies);
}

const PORTS = 3;
const mac = fc.constantFrom("00:00:00:00:00:01", "00:00:00:00:00:02", "00:00:00:00:00:03");
const ip = fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.1.1");
const l4 = fc.constantFrom(1, 2, 3);
const port = fc.integer({ min: 1, max: PORTS });
const table = fc.constantFrom(0, 1, 2);
const label = fc.constantFrom(7, 8);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

const ipMatch: fc.Arbitrary<Match> = fc
  .record({
    in_port: maybe(port),
    eth_src: maybe(mac),
    eth_dst: maybe(fc.oneof(mac, fc.constant({ value: "00:00:00:00:00:02", mask: "00:00:00:00:00:02" }))),
    vlan_vid: maybe(fc.constantFrom(0, 0x1005, 0x1006)),
    metadata: maybe(fc.constantFrom({ value: 1n, mask: 1n }, { value: 0n, mask: 2n })),
    l3: fc.boolean(),
    ipv4_src: maybe(fc.oneof(ip, fc.constant({ value: "10.0.0.0", mask: "255.255.255.0" }))),
    ip_dscp: maybe(fc.constantFrom(0, 10)),
    udp_dst: maybe(l4),
  })
  .map(({ l3, ipv4_src, ip_dscp, udp_dst, ...l2 }) => ({
    ...l2,
    ...(l3 ? { eth_type: 0x0800, ip_proto: 17, ipv4_src, ip_dscp, udp_dst } : {}),
  }))
  .map(
    (fields) =>
      Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Match,
  );

const mplsMatch: fc.Arbitrary<Match> = fc
  .record({ mpls_label: maybe(label), mpls_bos: maybe(fc.constantFrom(0, 1)) })
  .map(
    (fields) =>
      ({
        eth_type: 0x8847,
        ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
      }) as Match,
  );

const match: fc.Arbitrary<Match> = fc.oneof(
  { weight: 5, arbitrary: ipMatch },
  { weight: 1, arbitrary: mplsMatch },
);

/** What the datapath has to parse again: headers on and off, by which other headers come up. */
const PUSH_VLAN: Action = { type: "OFPAT_PUSH_VLAN", ethertype: 0x8100 };
const PUSH_MPLS: Action = { type: "OFPAT_PUSH_MPLS", ethertype: 0x8847 };
const POP_TO_IP: Action = { type: "OFPAT_POP_MPLS", ethertype: 0x0800 };
const aroundIp = fc.constantFrom<Action[]>(
  [PUSH_MPLS, POP_TO_IP],
  [PUSH_MPLS, { type: "OFPAT_DEC_MPLS_TTL" }, { type: "OFPAT_COPY_TTL_IN" }, POP_TO_IP],
  [PUSH_MPLS, { type: "OFPAT_COPY_TTL_OUT" }, { type: "OFPAT_DEC_MPLS_TTL" }],
  [PUSH_MPLS, PUSH_MPLS, { type: "OFPAT_POP_MPLS", ethertype: 0x8847 }],
);
const aroundMpls = fc.constantFrom<Action[]>(
  [POP_TO_IP],
  [POP_TO_IP, { type: "OFPAT_DEC_NW_TTL" }],
  [{ type: "OFPAT_POP_MPLS", ethertype: 0x8847 }],
  [{ type: "OFPAT_COPY_TTL_OUT" }],
);
const aroundAny = fc.constantFrom<Action[]>(
  [PUSH_VLAN, PUSH_VLAN, { type: "OFPAT_POP_VLAN" }],
  [
    { type: "OFPAT_PUSH_PBB", ethertype: 0x88e7 },
    { type: "OFPAT_SET_FIELD", field: { pbb_isid: 5 } },
  ],
  [{ type: "OFPAT_PUSH_PBB", ethertype: 0x88e7 }, { type: "OFPAT_POP_PBB" }],
);

const around = ({ eth_type }: Match): fc.Arbitrary<Action[]> =>
  eth_type === 0x0800 ? aroundIp : eth_type === 0x8847 ? aroundMpls : aroundAny;

const actionList = (match: Match): fc.Arbitrary<Action[]> => {
  const { eth_type, vlan_vid } = match;
  const isTagged = typeof vlan_vid === "number" && vlan_vid !== 0;
  return fc
    .array(
      fc.oneof(
        { weight: 6, arbitrary: action(eth_type === 0x0800, isTagged).map((one) => [one]) },
        { weight: eth_type === 0x8847 ? 4 : 1, arbitrary: around(match) },
      ),
      { maxLength: 3 },
    )
    .map((lists) => lists.flat());
};

const action = (isIp: boolean, isTagged: boolean): fc.Arbitrary<Action> =>
  fc.oneof(
    { weight: 4, arbitrary: port.map((port): Action => ({ type: "OFPAT_OUTPUT", port })) },
    fc
      .constantFrom(OFPP.ALL, OFPP.IN_PORT, OFPP.NORMAL)
      .map((port): Action => ({ type: "OFPAT_OUTPUT", port })),
    mac.map((eth_dst): Action => ({ type: "OFPAT_SET_FIELD", field: { eth_dst } })),
    fc.constant<Action>({ type: "OFPAT_PUSH_VLAN", ethertype: 0x8100 }),
    fc.constant<Action>({ type: "OFPAT_GROUP", group_id: 1 }),
    ...(isTagged ? [fc.constant<Action>({ type: "OFPAT_POP_VLAN" })] : []),
    ...(isIp
      ? [
          ip.map((ipv4_src): Action => ({ type: "OFPAT_SET_FIELD", field: { ipv4_src } })),
          l4.map((udp_dst): Action => ({ type: "OFPAT_SET_FIELD", field: { udp_dst } })),
          fc.constant<Action>({ type: "OFPAT_DEC_NW_TTL" }),
        ]
      : []),
  );

const command = fc.constantFrom(
  ...([
    "OFPFC_ADD",
    "OFPFC_ADD",
    "OFPFC_ADD",
    "OFPFC_MODIFY",
    "OFPFC_DELETE",
    "OFPFC_DELETE_STRICT",
  ] as const),
);

/** Flows that are part of a conjunction, and those that it leads to. */
const part = fc.record({
  command,
  table_id: table,
  match: fc.oneof(
    match,
    fc.constantFrom<Match>(
      { eth_type: 0x0800, ipv4_src: "10.0.0.1" },
      { eth_type: 0x0800, ip_proto: 17, udp_dst: 1 },
      { eth_type: 0x0800, ip_proto: 17, udp_dst: 2 },
      { in_port: 1 },
    ),
  ),
  priority: fc.constantFrom(3, 4),
  instructions: fc
    .uniqueArray(fc.constantFrom(0, 1, 2, 3), { minLength: 1, maxLength: 2 })
    .map((parts): Instruction[] => [
      {
        type: "OFPIT_APPLY_ACTIONS",
        actions: parts.map((part) => ({
          type: "NXAST_CONJUNCTION",
          id: 1 + (part >> 1),
          clause: part & 1,
          n_clauses: 2,
        })),
      },
    ]),
});
const answer = fc.record({
  command,
  table_id: table,
  match: fc
    .tuple(fc.oneof(fc.constant<Match>({}), match), fc.constantFrom(1, 2))
    .map(([match, conj_id]) => ({ ...match, conj_id })),
  priority: fc.nat(5),
  instructions: port.map((port): Instruction[] => [
    { type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port }] },
  ]),
});

const plainFlowMod: fc.Arbitrary<FlowMod> = fc.tuple(match, table).chain(([match, table_id]) => {
  const actions = actionList(match);
  return fc.record({
    command,
    table_id: fc.constant(table_id),
    match: fc.constant(match),
    priority: fc.nat(5),
    instructions: fc
      .record({
        apply: maybe(actions),
        write: maybe(actions),
        metadata: maybe(fc.constantFrom(1n, 2n, 3n)),
        goto: fc.boolean(),
      })
      .map(({ apply, write, metadata, goto }): Instruction[] => [
        ...(apply ? [{ type: "OFPIT_APPLY_ACTIONS", actions: apply } as const] : []),
        ...(write ? [{ type: "OFPIT_WRITE_ACTIONS", actions: write } as const] : []),
        ...(metadata === undefined
          ? []
          : [{ type: "OFPIT_WRITE_METADATA", metadata, metadata_mask: 3n } as const]),
        ...(goto && table_id < 2 ? [{ type: "OFPIT_GOTO_TABLE", table_id: table_id + 1 } as const] : []),
      ]),
  });
});

const flowMod: fc.Arbitrary<FlowMod> = fc.oneof(
  { weight: 3, arbitrary: plainFlowMod },
  { weight: 1, arbitrary: part },
  { weight: 1, arbitrary: answer },
);

const groupMod: fc.Arbitrary<GroupMod> = fc
  .record({
    command: fc.constant("OFPGC_MODIFY" as const),
    group_id: fc.constant(1),
    group_type: fc.constantFrom("OFPGT_ALL" as const, "OFPGT_SELECT" as const),
    buckets: fc.array(
      fc.record({
        actions: fc.tuple(mac, port).map(([eth_src, port]): Action[] => [
          { type: "OFPAT_SET_FIELD", field: { eth_src } },
          { type: "OFPAT_OUTPUT", port },
        ]),
      }),
      { maxLength: 3 },
    ),
  })
  .map((group) =>
    group.group_type === "OFPGT_SELECT"
      ? { ...group, buckets: group.buckets.map((bucket) => ({ ...bucket, weight: 1 })) }
      : group,
  );

/** The frame with MPLS labels before its IP header. */
function labelled(labels: readonly number[], ttl: number, frame: Uint8Array): Uint8Array {
  if (labels.length === 0) return frame;
  const l3 = frame[12] === 0x81 ? 18 : 14;
  const stack = labels.flatMap((label, i) => {
    const bos = i === labels.length - 1 ? 1 : 0;
    return [label >> 12, (label >> 4) & 0xff, ((label & 15) << 4) | bos, ttl];
  });
  const bytes = new Uint8Array([...frame.subarray(0, l3), ...stack, ...frame.subarray(l3)]);
  bytes.set([0x88, 0x47], l3 - 2);
  return bytes;
}

const packet = fc.record({
  in_port: port,
  bytes: fc
    .record({
      src: mac,
      dst: mac,
      vid: maybe(fc.constantFrom(5, 6)),
      labels: fc.oneof(
        { weight: 3, arbitrary: fc.constant<number[]>([]) },
        { weight: 1, arbitrary: fc.array(label, { minLength: 1, maxLength: 2 }) },
      ),
      from: ip,
      to: ip,
      sport: l4,
      dport: l4,
      ttl: fc.constantFrom(1, 2, 64),
      tos: fc.constantFrom(0, 40),
    })
    .map(({ labels, src, dst, vid, from, to, sport, dport, ttl, tos }) =>
      labelled(
        labels,
        ttl,
        ethernet(
          { src, dst, ...(vid === undefined ? {} : { vlans: [{ vid }] }) },
          ipv4(
            { src: from, dst: to, ttl, tos },
            udp({ src_port: sport, dst_port: dport }, new Uint8Array(18)),
          ),
        ),
      ),
    ),
});

const step = fc.oneof(
  { weight: 3, arbitrary: flowMod.map((flowMod) => ({ flowMod })) },
  { weight: 1, arbitrary: groupMod.map((groupMod) => ({ groupMod })) },
  { weight: 6, arbitrary: packet.map((packet) => ({ packet })) },
);
/** Hardly anything but conjunctions, and few packets, so that many flows bear on one cached flow. */
const conjunctiveStep = fc.oneof(
  { weight: 3, arbitrary: part.map((flowMod) => ({ flowMod: { ...flowMod, table_id: 0 } })) },
  { weight: 2, arbitrary: answer.map((flowMod) => ({ flowMod: { ...flowMod, table_id: 0 } })) },
  { weight: 1, arbitrary: plainFlowMod.map((flowMod) => ({ flowMod })) },
  {
    weight: 4,
    arbitrary: packet.map(({ bytes }) => ({ packet: { in_port: 1, bytes } })),
  },
);
/** Flows for many packets that change what they are, and go on with the next table. Which of two of one priority a
 *  packet takes is not defined (1.3.5 §5.3): here none overlap. */
const recirculating: fc.Arbitrary<FlowMod> = fc
  .constantFrom<[Match, number]>(
    [{}, 1],
    [{ in_port: 1 }, 2],
    [{ eth_type: 0x0800 }, 3],
    [{ eth_type: 0x8847 }, 3],
  )
  .chain(([match, priority]) =>
    fc.record({
      command: fc.constant("OFPFC_ADD" as const),
      table_id: fc.constantFrom(0, 1),
      match: fc.constant(match),
      priority: fc.constant(priority),
      instructions: fc
        .tuple(around(match), fc.boolean(), port)
        .map(([actions, writes, port]): Instruction[] => [
          { type: "OFPIT_APPLY_ACTIONS", actions },
          ...(writes
            ? [{ type: "OFPIT_WRITE_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port }] } as const]
            : []),
          { type: "OFPIT_GOTO_TABLE", table_id: 2 },
        ]),
    }),
  );
const recirculatingStep = fc.oneof(
  { weight: 2, arbitrary: recirculating.map((flowMod) => ({ flowMod })) },
  { weight: 1, arbitrary: plainFlowMod.map((flowMod) => ({ flowMod: { ...flowMod, table_id: 2 } })) },
  { weight: 1, arbitrary: groupMod.map((groupMod) => ({ groupMod })) },
  { weight: 5, arbitrary: packet.map((packet) => ({ packet })) },
);
const steps = (maxLength: number) =>
  fc.oneof(
    fc.array(recirculatingStep, { minLength: 20, maxLength }),
    fc.array(step, { minLength: 20, maxLength }),
    fc.array(conjunctiveStep, { minLength: 20, maxLength }),
  );

const errorOf = (body: () => void): string => {
  try {
    body();
  } catch (error) {
    return (error as OfpError).error_code;
  }
  return "";
};

const BITS = DP_LANES * 32;

test("flipping a bit that a cached flow leaves wildcarded never changes the verdict", async () => {
  await fc.assert(
    fc.asyncProperty(
      steps(40),
      fc.array(fc.nat(BITS - 1), { minLength: 40, maxLength: 40 }),
      async (steps, bits) => {
        const bench = await TestBench.over(userspaceRig, PORTS);
        const { bridge, backer } = bench;
        bridge.groupMod({ command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 1, buckets: [] });
        for (const step of steps) {
          if ("packet" in step) await bench.forward(`p${step.packet.in_port}`, step.packet.bytes);
          else
            errorOf(() =>
              "flowMod" in step ? bridge.flowMod(step.flowMod) : bridge.groupMod(step.groupMod),
            );
        }
        await backer.barrier();
        for (const megaflow of backer.megaflows) {
          for (const bit of bits) {
            const lane = bit >>> 5;
            const flag = (1 << (bit & 31)) >>> 0;
            if ((megaflow.mask[lane]! & flag) !== 0) continue;
            const key = megaflow.key.slice();
            key[lane]! ^= flag;
            const result = backer.translateKey(key)!;
            expect(result.actions).toEqual(megaflow.outcome.actions);
            expect(result.sinks.every((sink, i) => sink === megaflow.outcome.sinks[i])).toBe(true);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("cached flows never change what comes out, nor what is counted", async () => {
  await fc.assert(
    fc.asyncProperty(steps(60), async (steps) => {
      const cached = await TestBench.over(userspaceRig, PORTS);
      const plain = await TestBench.over(userspaceRig, PORTS, { flowLimit: 0 });
      const both = [cached, plain];
      for (const { bridge } of both)
        bridge.groupMod({ command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 1, buckets: [] });
      for (const step of steps) {
        if ("packet" in step) {
          const [a, b] = await Promise.all(
            both.map(async (bench) =>
              (await bench.forward(`p${step.packet.in_port}`, step.packet.bytes)).map(
                ({ port, frame }) => `${port} ${toHex(frame)}`,
              ),
            ),
          );
          expect(a).toEqual(b);
        } else {
          const [a, b] = both.map(({ bridge }) =>
            errorOf(() =>
              "flowMod" in step ? bridge.flowMod(step.flowMod) : bridge.groupMod(step.groupMod),
            ),
          );
          expect(a).toBe(b);
        }
      }
      expect(plain.backer.megaflows.size).toBe(0);
      const [a, b] = await Promise.all(both.map((bench) => bench.dump()));
      expect(a).toEqual(b);
    }),
    { numRuns: 300 },
  );
});

/** The datapath actions of a whole trace: what is recirculated goes through the lookup that the trace tells of. */
function whole({ result, recirculated }: Trace): OdpAction[] {
  const next = recirculated.values();
  const inPlace = (action: OdpAction): OdpAction => {
    if (action.type === "clone") return { ...action, actions: action.actions.map(inPlace) };
    if (action.type !== "recirc") return action;
    const again = next.next().value;
    expect(again?.recirc_id).toBe(action.id);
    return { type: "clone", actions: whole(again!) };
  };
  return result.actions.map(inPlace);
}

test("a trace's verdict is what comes out: its datapath actions make the bytes that the packet then makes", async () => {
  let recirculations = 0;
  await fc.assert(
    fc.asyncProperty(steps(40), async (steps) => {
      const bench = await TestBench.over(userspaceRig, PORTS);
      const { bridge, rig } = bench;
      bridge.groupMod({ command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 1, buckets: [] });
      for (const step of steps) {
        if (!("packet" in step)) {
          errorOf(() => ("flowMod" in step ? bridge.flowMod(step.flowMod) : bridge.groupMod(step.groupMod)));
          continue;
        }
        const { in_port, bytes } = step.packet;
        const text = (sent: typeof rig.sent) => sent.map(({ port, frame }) => `${port} ${toHex(frame)}`);
        const traced = trace(bridge, { packet: bytes, in_port });
        recirculations += traced.recirculated.length;
        const before = rig.sent.length;
        rig.dpif.execute(bytes, bridge.port(in_port)!.odpPort!, whole(traced));
        const said = text(rig.sent.slice(before));
        expect(text(await bench.forward(`p${in_port}`, bytes))).toEqual(said);
        if (traced.dropped !== undefined) expect(said).toEqual([]);
      }
    }),
    { numRuns: 300 },
  );
  expect(recirculations).toBeGreaterThan(100);
});
