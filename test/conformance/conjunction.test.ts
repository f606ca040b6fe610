import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { applyActions, hex, rawFlowMod, tlv } from "../support/conformance/raw.js";
import { flowMod, groupMod } from "../support/conformance/session.js";

/** Conjunctive matches: the `conjunction` action and the conj_id field. */
const section = "ovs-fields(7), conjunctive match fields";

const from = (src: string, to: string, dst_port = 80): Uint8Array =>
  f.udp4({ ip: { src, dst: to }, dst_port });
const A = "10.0.0.1";
const B = "10.0.0.4";
const C = "10.0.0.2";
const D = "10.0.0.5";

/** {A, B} to {C, D} goes by port 2, all else by port 4. */
const PAIRS = [
  "priority=10,conj_id=1234,ip,actions=output:2",
  ...[A, B].map((ip) => `priority=100,ip,nw_src=${ip},actions=conjunction(1234,1/2)`),
  ...[C, D].map((ip) => `priority=100,ip,nw_dst=${ip},actions=conjunction(1234,2/2)`),
  "priority=0,actions=output:4",
];

const packets: Case[] = [
  {
    name: "a packet that matches a flow of each clause goes by the flow with conj_id",
    flows: PAIRS,
    in: [1, from(A, D)] as const,
    to: 2,
  },
  {
    name: "a packet that matches the first clause only goes on as if there were no conjunction",
    flows: PAIRS,
    in: [1, from(A, B)] as const,
    to: 4,
  },
  {
    name: "a packet that matches the second clause only does too",
    flows: PAIRS,
    in: [1, from(C, D)] as const,
    to: 4,
  },
  {
    name: "a flow below the clauses, but above the one with conj_id, is found by the second lookup",
    flows: [...PAIRS, "priority=50,ip,actions=output:3"],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "a flow above the clauses goes first",
    flows: [...PAIRS, "priority=101,ip,actions=output:3"],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "a flow of the clauses' priority goes first",
    flows: [...PAIRS, "priority=100,udp,actions=output:3"],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "the flow with conj_id may have a higher priority than the clauses",
    flows: [...PAIRS, "priority=200,conj_id=1234,udp,actions=output:3"],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "the flow with conj_id may match more than that",
    flows: [...PAIRS, "priority=20,conj_id=1234,udp,udp_dst=80,actions=output:3"],
    in: [1, from(A, D, 81)] as const,
    to: 2,
  },
  {
    name: "a flow with conj_id alone is never found",
    flows: ["priority=9,conj_id=1234,actions=output:2", "priority=0,actions=output:4"],
    in: [1, from(A, D)] as const,
    to: 4,
  },
  {
    name: "three clauses need all three",
    flows: [
      "conj_id=1,actions=output:2",
      `priority=9,ip,nw_src=${A},actions=conjunction(1,1/3)`,
      `priority=9,ip,nw_dst=${D},actions=conjunction(1,2/3)`,
      "priority=9,udp,udp_dst=80,actions=conjunction(1,3/3)",
      "priority=0,actions=output:4",
    ],
    in: [1, from(A, D, 80)] as const,
    to: 2,
  },
  {
    name: "without the third clause it is none",
    flows: [
      "conj_id=1,actions=output:2",
      `priority=9,ip,nw_src=${A},actions=conjunction(1,1/3)`,
      `priority=9,ip,nw_dst=${D},actions=conjunction(1,2/3)`,
      "priority=9,udp,udp_dst=80,actions=conjunction(1,3/3)",
      "priority=0,actions=output:4",
    ],
    in: [1, from(A, D, 81)] as const,
    to: 4,
  },
  {
    name: "one flow may be part of several conjunctions, and one clause of flows of different forms",
    flows: [
      "conj_id=1,actions=output:2",
      "conj_id=2,actions=output:3",
      `priority=9,ip,nw_src=${A},actions=conjunction(1,1/2),conjunction(2,1/2)`,
      `priority=9,ip,nw_dst=${C},actions=conjunction(1,2/2)`,
      "priority=9,udp,udp_dst=81,actions=conjunction(2,2/2)",
      "priority=9,udp,udp_src=9999,actions=conjunction(2,2/2)",
    ],
    in: [1, from(A, D, 81)] as const,
    to: 3,
  },
  {
    name: "clauses of different priorities make no conjunction",
    flows: [
      "conj_id=1,priority=5,actions=output:2",
      `priority=9,ip,nw_src=${A},actions=conjunction(1,1/2)`,
      `priority=8,ip,nw_dst=${D},actions=conjunction(1,2/2)`,
      "priority=0,actions=output:4",
    ],
    in: [1, from(A, D)] as const,
    to: 4,
  },
  {
    name: "where one is incomplete the same matches at a lower priority have their turn",
    flows: [
      "conj_id=1,priority=1,actions=output:2",
      "conj_id=2,priority=1,actions=output:3",
      `priority=9,ip,nw_src=${A},actions=conjunction(1,1/2)`,
      `priority=8,ip,nw_src=${A},actions=conjunction(2,1/2)`,
      `priority=8,ip,nw_dst=${D},actions=conjunction(2,2/2)`,
      "priority=0,actions=output:4",
    ],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "and so has a plain flow with a clause's match",
    flows: [
      "conj_id=1,priority=1,actions=output:2",
      `priority=9,ip,nw_src=${A},actions=conjunction(1,1/2)`,
      `priority=8,ip,nw_src=${A},actions=output:3`,
      "priority=0,actions=output:4",
    ],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "and the second lookup finds it too",
    ovs: "it leaves out whatever has the match of a conjunctive flow, and not conjunctive flows alone",
    flows: [...PAIRS, `priority=50,ip,nw_src=${A},actions=output:3`],
    in: [1, from(A, D)] as const,
    to: 3,
  },
  {
    name: "in a later table, after the packet has been changed",
    flows: [`ip,actions=set_field:${A}->ip_src,goto_table:1`, ...PAIRS.map((flow) => `table=1,${flow}`)],
    in: [1, from(C, D)] as const,
    to: 2,
    changed: f.udp4({ ip: { src: A, dst: D }, dst_port: 80 }),
  },
  {
    name: "conj_id is gone again when the flow's own actions run",
    flows: [
      ...PAIRS.slice(1),
      "priority=10,conj_id=1234,ip,actions=resubmit(,1)",
      "table=1,priority=1,conj_id=1234,actions=output:3",
      "table=1,priority=0,conj_id=0,actions=output:2",
    ],
    in: [1, from(A, D)] as const,
    to: 2,
  },
  {
    name: "notes may stand beside it",
    flows: [
      ...PAIRS.slice(0, 1),
      ...PAIRS.slice(1).map((flow) => flow.replace("conjunction", "note:01.02,conjunction")),
    ],
    in: [1, from(B, C)] as const,
    to: 2,
  },
].map(({ to, changed, ...one }) => ({ section, ...one, out: { [to]: changed ?? one.in[1] } }));

const scripts: Case[] = [
  {
    section,
    name: "the flow with conj_id counts, its clauses do not",
    run: async (sw) => {
      await sw.flows(...PAIRS);
      await sw.frame(1, from(A, C), from(A, D), from(B, C));
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW" });
      const counted = (entries ?? []).filter(({ packet_count }) => packet_count !== 0n);
      const match = { eth_type: 0x0800, conj_id: 1234 };
      expect(counted).toHaveLength(1);
      expect(counted[0]).toMatchObject({ match, packet_count: 3n });
    },
  },
  {
    section,
    name: "every change of a clause is in force behind its barrier",
    run: async (sw) => {
      await sw.flows(...PAIRS);
      const way = async (): Promise<number[]> => sw.ports(1, from(A, C));
      expect(await way()).toEqual([2]);
      await sw.ok(flowMod(`priority=100,ip,nw_dst=${C}`, "delete_strict"));
      expect(await way()).toEqual([4]);
      await sw.flows(`priority=100,ip,nw_dst=10.0.0.2/31,actions=conjunction(1234,2/2)`);
      expect(await way()).toEqual([2]);
      await sw.ok(flowMod(`ip,nw_src=${A},actions=conjunction(1234,2/2)`, "modify"));
      expect(await way()).toEqual([4]);
      await sw.ok(flowMod(`ip,nw_src=${A},actions=output:3`, "modify"));
      expect(await way()).toEqual([3]);
      await sw.ok(flowMod(`ip,nw_src=${A},actions=conjunction(1234,1/2)`, "modify"));
      expect(await way()).toEqual([2]);
      await sw.flows("priority=60,conj_id=1234,actions=output:3");
      expect(await way()).toEqual([3]);
      await sw.ok(flowMod("conj_id=1234", "delete"));
      expect(await way()).toEqual([4]);
    },
  },
  {
    section,
    name: "the flows come back as they were put in",
    run: async (sw) => {
      await sw.flows(
        "priority=9,udp,actions=conjunction(7,1/2),conjunction(8,64/64)",
        "conj_id=7,actions=output:2",
      );
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW" });
      expect((entries ?? []).map(({ match, instructions }) => ({ match, instructions }))).toEqual(
        [
          flowMod("conj_id=7,actions=output:2"),
          flowMod("udp,actions=conjunction(7,1/2),conjunction(8,64/64)"),
        ].map(({ match, instructions }) => ({ match, instructions })),
      );
    },
  },
];

const NICIRA = 0x2320;
const nicira = (subtype: number, body: string): string =>
  tlv(0xffff, hex(NICIRA, 4) + hex(subtype, 2) + body);
const conjunction = (clause: number, n_clauses: number, id = 1): string =>
  nicira(34, hex(clause, 1) + hex(n_clauses, 1) + hex(id, 4));
const OUTPUT_2 = tlv(0, hex(2, 4) + hex(0, 2));
const GOTO_1 = tlv(1, `${hex(1, 1)}000000`);
const WRITE_METADATA = tlv(2, hex(0, 4) + hex(1, 8) + hex(1, 8));
const NXBAC_BAD_CONJUNCTION = "15";

const errors: Case[] = (
  [
    ["an action beside it", applyActions(conjunction(0, 2) + OUTPUT_2), NXBAC_BAD_CONJUNCTION],
    ["one clause only", applyActions(conjunction(0, 1)), NXBAC_BAD_CONJUNCTION],
    ["65 clauses", applyActions(conjunction(0, 65)), NXBAC_BAD_CONJUNCTION],
    ["a clause beyond the last one", applyActions(conjunction(2, 2)), NXBAC_BAD_CONJUNCTION],
    ["goto_table beside it", applyActions(conjunction(0, 2)) + GOTO_1, NXBAC_BAD_CONJUNCTION],
    ["write_metadata beside it", applyActions(conjunction(0, 2)) + WRITE_METADATA, NXBAC_BAD_CONJUNCTION],
    ["in an action set", tlv(3, hex(0, 4) + conjunction(0, 2)), "OFPBAC_BAD_TYPE"],
    ["64 clauses", applyActions(conjunction(63, 64)), "accepted"],
  ] as const
).map(([name, instructions, verdict]) => ({
  section: "ovs-actions(7), conjunction",
  name: `${name}: ${verdict === "15" ? "NXBAC_BAD_CONJUNCTION" : verdict}`,
  run: async (sw) => expect(await sw.verdict(rawFlowMod("", instructions))).toBe(verdict),
}));

const inert: Case[] = [
  {
    section: "ovs-actions(7), conjunction",
    name: "in a group and in a packet-out it means nothing",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=conjunction(1,1/2)"), {
        type: "OFPT_PACKET_OUT",
        in_port: 1,
        actions: [{ type: "NXAST_CONJUNCTION", id: 1, clause: 0, n_clauses: 2 }],
        data: from(A, C),
      });
      expect(await sw.sent()).toEqual({});
    },
  },
];

conformance("Conjunctive matches", [...packets, ...scripts, ...errors, ...inert], ["inline", "worker"]);
