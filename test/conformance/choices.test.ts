import type { ActionInit } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, type Session } from "../support/conformance/session.js";

/** Nicira's actions that choose: by a hash of the flow, by the packet's length, by what was learned. */

const tcp = (n: number): Uint8Array => f.tcp4({ src_port: 1000 + n, dst_port: 80 });
const FLOWS = Array.from({ length: 40 }, (_, n) => n);

/** The port that each of the frames comes out of. */
async function chosen(sw: Session, frames: readonly Uint8Array[], from = 1): Promise<number[]> {
  const ports: number[] = [];
  for (const frame of frames) {
    const out = await sw.ports(from, frame);
    expect(out).toHaveLength(1);
    ports.push(out[0]!);
  }
  return ports;
}

const byLink = (action: string): string[] => [
  `table=0,actions=${action},resubmit(,1)`,
  "table=1,reg0=0,actions=output:2",
  "table=1,reg0=1,actions=output:3",
  "table=1,reg0=2,actions=output:4",
];

const add = (...actions: readonly ActionInit[]) =>
  ({
    type: "OFPT_FLOW_MOD",
    command: "OFPFC_ADD",
    instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions }],
  }) as const;

const multipath = (more: object): ActionInit => ({
  type: "NXAST_MULTIPATH",
  fields: 1,
  basis: 0,
  algorithm: 0,
  max_link: 1,
  arg: 0,
  ofs_nbits: 15,
  dst: "reg0",
  ...more,
});
const bundle = (more: object): ActionInit => ({
  type: "NXAST_BUNDLE",
  fields: 1,
  basis: 0,
  algorithm: 0,
  member_type: 2,
  ofs_nbits: 0,
  dst: 0,
  members: [2, 3],
  ...more,
});

const MULTIPATH: Case[] = [
  ...(["modulo_n", "hash_threshold", "hrw", "iter_hash"] as const).map(
    (algorithm): Case => ({
      section: "ovs-actions(7), multipath",
      name: `${algorithm} spreads connections over all links, and each keeps its own, both ways`,
      run: async (sw) => {
        await sw.flows(...byLink(`multipath(symmetric_l4,50,${algorithm},3,4,NXM_NX_REG0[])`));
        const there = await chosen(sw, FLOWS.map(tcp));
        expect(new Set(there)).toEqual(new Set([2, 3, 4]));
        expect(await chosen(sw, FLOWS.map(tcp))).toEqual(there);
        const back = { eth: { src: f.MAC_B, dst: f.MAC_A }, ip: { src: f.IP_B, dst: f.IP_A } };
        const answers = FLOWS.map((n) => f.tcp4({ ...back, src_port: 80, dst_port: 1000 + n }));
        expect(await chosen(sw, answers)).toEqual(there);
      },
    }),
  ),
  ...(
    [
      ["eth_src", (n: number) => f.tcp4({ eth: { src: `0a:00:00:00:01:${hex(n)}` } }), tcp],
      ["nw_src", (n: number) => f.tcp4({ ip: { src: `10.1.0.${n}` } }), tcp],
      ["nw_dst", (n: number) => f.udp6({ ip: { dst: `fd00::${n}` } }), tcp],
      ["symmetric_l3", (n: number) => f.udp4({ ip: { dst: `10.1.0.${n}` } }), tcp],
      ["symmetric_l3l4", tcp, (n: number) => f.udp4({ src_port: n + 1 })],
      [
        "symmetric_l3l4+udp",
        (n: number) => f.udp4({ src_port: n + 1 }),
        (n: number) => f.tcp4({ eth: { src: `0a:00:00:00:01:${hex(n)}` } }),
      ],
      ["symmetric_l4", tcp, (n: number) => f.udp4({ src_port: n + 1 })],
    ] as const
  ).map(
    ([fields, depends, doesNot]): Case => ({
      section: "ovs-actions(7), multipath",
      name: `${fields} is what the link depends on, and all of it`,
      run: async (sw) => {
        await sw.flows(...byLink(`multipath(${fields},50,modulo_n,2,0,NXM_NX_REG0[])`));
        expect(new Set(await chosen(sw, FLOWS.map(depends))).size).toBe(2);
        expect(new Set(await chosen(sw, FLOWS.map(doesNot))).size).toBe(1);
      },
    }),
  ),
  ...(
    [
      ["of as many links as the field can tell", multipath({ max_link: 3, ofs_nbits: 1 }), "accepted"],
      [
        "of more links than the field can tell",
        multipath({ max_link: 4, ofs_nbits: 1 }),
        "OFPBAC_BAD_ARGUMENT",
      ],
      ["with an unknown algorithm", multipath({ algorithm: 4 }), "OFPBAC_BAD_ARGUMENT"],
      ["with unknown fields", multipath({ fields: 9 }), "OFPBAC_BAD_ARGUMENT"],
      ["beyond the field's end", multipath({ ofs_nbits: (24 << 6) | 15 }), "OFPBAC_BAD_SET_LEN"],
    ] as const
  ).map(
    ([name, action, verdict]): Case => ({
      section: "ovs-actions(7), multipath",
      name: `${name}: ${verdict}`,
      run: async (sw) => {
        expect(await sw.verdict(add(action))).toBe(verdict);
      },
    }),
  ),
];

const BUNDLE: Case[] = [
  {
    section: "ovs-actions(7), bundle",
    name: "active_backup sends to the first member that is live",
    run: async (sw) => {
      await sw.flows("actions=bundle(eth_src,0,active_backup,ofport,members:2,3,4)");
      expect(await chosen(sw, FLOWS.map(tcp))).toEqual(FLOWS.map(() => 2));
      await sw.bench.carrier(2, false);
      await sw.client.settle();
      expect(await chosen(sw, FLOWS.map(tcp))).toEqual(FLOWS.map(() => 3));
      await sw.bench.carrier(2, true);
      await sw.client.settle();
      expect(await chosen(sw, FLOWS.map(tcp))).toEqual(FLOWS.map(() => 2));
    },
  },
  {
    section: "ovs-actions(7), bundle",
    name: "hrw spreads connections over the live members; only those of a member that fails move",
    run: async (sw) => {
      await sw.flows("actions=bundle(symmetric_l4,60,hrw,ofport,members:2,3,4)");
      const before = await chosen(sw, FLOWS.map(tcp));
      expect(new Set(before)).toEqual(new Set([2, 3, 4]));
      await sw.bench.carrier(3, false);
      await sw.client.settle();
      const after = await chosen(sw, FLOWS.map(tcp));
      expect(new Set(after)).toEqual(new Set([2, 4]));
      expect(after.filter((port, n) => before[n] !== 3 && port !== before[n])).toEqual([]);
      await sw.bench.carrier(3, true);
      await sw.client.settle();
      expect(await chosen(sw, FLOWS.map(tcp))).toEqual(before);
    },
  },
  {
    section: "ovs-actions(7), bundle",
    name: "the member that is not there is none",
    flows: ["actions=bundle(eth_src,0,active_backup,ofport,members:77)"],
    in: [1, f.udp4()],
    out: {},
  },
  {
    section: "ovs-actions(7), bundle_load",
    name: "writes the member into a register",
    flows: [
      "table=0,actions=bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG0[0..15],members:77,3,2),resubmit(,1)",
      "table=1,reg0=3,actions=output:4",
    ],
    in: [1, f.udp4()],
    out: { 4: f.udp4() },
  },
  {
    section: "ovs-actions(7), bundle_load",
    name: "of no live member writes OFPP_NONE",
    flows: [
      "table=0,actions=bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[0..15],members:77),resubmit(,1)",
      "table=1,reg0=0xffff,actions=output:4",
    ],
    in: [1, f.udp4()],
    out: { 4: f.udp4() },
  },
  ...(
    [
      ["with unknown fields", bundle({ fields: 9 }), "OFPBAC_BAD_ARGUMENT"],
      ["with an unknown algorithm", bundle({ algorithm: 7 }), "OFPBAC_BAD_ARGUMENT"],
      ["of members that are no ports", bundle({ member_type: 4 }), "OFPBAC_BAD_ARGUMENT"],
      ["to the controller", bundle({ members: [0xfffd] }), "OFPBAC_BAD_OUT_PORT"],
      [
        "into fewer bits than a port has",
        { ...bundle({ ofs_nbits: 14, dst: 0x0001_0004 }), type: "NXAST_BUNDLE_LOAD" } as ActionInit,
        "OFPBAC_BAD_ARGUMENT",
      ],
    ] as const
  ).map(
    ([name, action, verdict]): Case => ({
      section: "ovs-actions(7), bundle",
      name: `${name}: ${verdict}`,
      run: async (sw) => {
        expect(await sw.verdict(add(action))).toBe(verdict);
      },
    }),
  ),
];

/** A frame of so many bytes. */
const sized = (size: number): Uint8Array => f.udp4({}, new Uint8Array(size - 42));
const LARGER = "check_pkt_larger(200)->NXM_NX_REG0[0]";
const byLength = ["table=1,reg0=0,actions=output:3", "table=1,reg0=1,actions=output:2"];

const CHECK_PKT_LARGER: Case[] = [
  ...(
    [
      ["longer", 201, 2],
      ["as long", 200, 3],
      ["shorter", 100, 3],
    ] as const
  ).map(
    ([name, size, port]): Case => ({
      section: "ovs-actions(7), check_pkt_larger",
      name: `a packet that is ${name}`,
      flows: [`table=0,actions=${LARGER},resubmit(,1)`, ...byLength],
      in: [1, sized(size)],
      out: { [port]: sized(size) },
    }),
  ),
  {
    section: "ovs-actions(7), check_pkt_larger",
    name: "packets of one flow go by their own length each, and all that comes after is done with both",
    run: async (sw) => {
      const flows = [`table=0,actions=resubmit(,2),output:4`, `table=2,actions=${LARGER},resubmit(,1)`];
      await sw.flows(...flows, ...byLength);
      for (const [size, port] of [
        [201, 2],
        [200, 3],
        [201, 2],
        [300, 2],
        [60, 3],
      ] as const)
        expect(await sw.frame(1, sized(size))).toEqual({ [port]: [sized(size)], 4: [sized(size)] });
    },
  },
  {
    section: "ovs-actions(7), check_pkt_larger",
    name: "what was pushed counts",
    flows: [`table=0,actions=push_vlan:0x8100,${LARGER},pop_vlan,resubmit(,1)`, ...byLength],
    in: [1, sized(198)],
    out: { 2: sized(198) },
  },
  {
    section: "ovs-actions(7), check_pkt_larger",
    name: "the action set is carried out",
    flows: [`table=0,actions=${LARGER},write_actions(output:4)`],
    in: [1, sized(100)],
    out: { 4: sized(100) },
  },
  {
    section: "ovs-actions(7), check_pkt_larger",
    name: "what was done before is not done twice, and clones end where they end",
    flows: [`table=0,actions=output:4,clone(${LARGER},resubmit(,1)),output:4`, ...byLength],
    in: [1, sized(201)],
    out: { 2: sized(201), 4: [sized(201), sized(201)] },
  },
  {
    section: "ovs-actions(7), check_pkt_larger",
    name: "flows count the packets that came to them",
    ovs: "counts the flows of both ways",
    run: async (sw) => {
      await sw.flows(`table=0,actions=${LARGER},resubmit(,1)`, ...byLength);
      for (const size of [300, 100, 300]) await sw.frame(1, sized(size));
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW", table_id: 1 });
      expect(entries.map(({ match, packet_count }) => [match.reg0, packet_count]).sort()).toEqual([
        [0, 1n],
        [1, 2n],
      ]);
    },
  },
];

const SAMPLE: Case[] = [
  {
    section: "ovs-actions(7), sample",
    name: "without collectors changes nothing",
    flows: [
      "actions=sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3),output:2,sample(probability=1,sampling_port=2,egress)",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "ovs-actions(7), sample",
    name: "with a probability of 0 is refused",
    run: async (sw) => {
      expect(await sw.verdict(add({ type: "NXAST_SAMPLE", probability: 0 }))).toBe("OFPBAC_BAD_ARGUMENT");
    },
  },
];

const RESULT: Case[] = [
  {
    section: "ovs-actions(7), learn",
    name: "result_dst tells whether there is a flow for it",
    run: async (sw) => {
      const learn =
        "learn(table=5,cookie=7,limit=2,result_dst=NXM_NX_REG0[0],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])";
      await sw.flows(`table=0,actions=${learn},resubmit(,1)`, ...byLength);
      const heard = (n: number): Uint8Array => f.udp4({ eth: { src: `0a:00:00:00:00:a${n}` } });
      for (const round of [1, 2]) {
        expect(await chosen(sw, [0, 1, 2].map(heard)), `round ${round}`).toEqual([2, 2, 3]);
        // Open vSwitch learns, and translates again, in its own time.
        await sw.bench.advance(1000);
      }
      await sw.ok(flowMod("table=5,dl_dst=0a:00:00:00:00:a0", "delete"));
      expect(await chosen(sw, [2, 0].map(heard))).toEqual([2, 3]);
    },
  },
  {
    section: "ovs-actions(7), learn",
    name: "result_dst without a limit is always 1",
    flows: [
      "table=0,actions=learn(table=5,result_dst=NXM_NX_REG0[0],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]),resubmit(,1)",
      ...byLength,
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
];

const FILTERS: Case[] = (
  [
    ["clone(output:2)", true],
    ["clone(set_field:1->reg0,clone(output:2,output:3))", true],
    ["write_actions(output:2)", true],
    ["clone(output:3)", false],
    ["output:NXM_NX_REG0[]", false],
  ] as const
).map(
  ([actions, isFound]): Case => ({
    section: "§7.3.5.2",
    name: `out_port ${isFound ? "finds" : "does not find"} ${actions}`,
    run: async (sw) => {
      await sw.flows(`actions=${actions}`);
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW", out_port: 2 });
      expect(entries).toHaveLength(isFound ? 1 : 0);
      await sw.ok(flowMod("out_port=2", "delete"));
      const { entries: left } = await sw.multipart({ type: "OFPMP_FLOW" });
      expect(left).toHaveLength(isFound ? 0 : 1);
    },
  }),
);

const hex = (n: number): string => n.toString(16).padStart(2, "0");

conformance("Actions that choose", [...MULTIPATH, ...BUNDLE, ...SAMPLE, ...RESULT, ...FILTERS]);
conformance("Actions that choose by length", CHECK_PKT_LARGER, ["inline", "worker"]);
