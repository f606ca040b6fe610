import { type Match, OFPFF, OFPG, OFPP, OFPTT } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, groupMod, type Session } from "../support/conformance/session.js";

/** Cookies of the flows that are there, in order: cases give each flow a cookie of its own. */
async function cookies(sw: Session): Promise<number[]> {
  const { entries } = await sw.multipart({ type: "OFPMP_FLOW" });
  return entries.map(({ cookie }) => Number(cookie)).sort((a, b) => a - b);
}

async function theFlow(sw: Session, table_id: number = OFPTT.ALL) {
  // Counts are passed on now and then.
  await sw.bench.advance(2000);
  const { entries } = await sw.multipart({ type: "OFPMP_FLOW", table_id });
  expect(entries).toHaveLength(1);
  return entries[0]!;
}

const size = BigInt(f.udp4().length);

const adding: Case[] = [
  {
    section: "§6.4",
    name: "add puts a flow in its table with all that it says",
    run: async (sw) => {
      await sw.flows(
        "table=3,cookie=0x1234,priority=77,idle_timeout=50,hard_timeout=60,send_flow_rem,udp,udp_dst=53,actions=output:2",
      );
      expect(await theFlow(sw)).toMatchObject({
        table_id: 3,
        cookie: 0x1234n,
        priority: 77,
        idle_timeout: 50,
        hard_timeout: 60,
        flags: OFPFF.SEND_FLOW_REM,
        packet_count: 0n,
        byte_count: 0n,
        match: { eth_type: 0x0800, ip_proto: 17, udp_dst: 53 },
        instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: 2 }] }],
      });
    },
  },
  {
    section: "§6.4",
    name: "adding the same match and priority replaces the flow",
    run: async (sw) => {
      await sw.flows("cookie=1,udp,actions=output:2", "cookie=2,udp,actions=output:3");
      expect(await cookies(sw)).toEqual([2]);
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "§6.4",
    name: "the same match at another priority is another flow",
    run: async (sw) => {
      await sw.flows("cookie=1,priority=1,udp,actions=output:2", "cookie=2,priority=2,udp,actions=output:3");
      expect(await cookies(sw)).toEqual([1, 2]);
    },
  },
  {
    section: "§6.4",
    name: "adding anew keeps the counters without RESET_COUNTS",
    run: async (sw) => {
      await sw.flows("udp,actions=output:2");
      await sw.frame(1, f.udp4(), f.udp4());
      await sw.bench.advance(1000);
      await sw.flows("udp,actions=output:3");
      expect(await theFlow(sw)).toMatchObject({ packet_count: 2n, byte_count: 2n * size });
    },
  },
  {
    section: "§6.4",
    name: "adding anew with RESET_COUNTS starts the counters again",
    run: async (sw) => {
      await sw.flows("udp,actions=output:2");
      await sw.frame(1, f.udp4(), f.udp4());
      await sw.bench.advance(1000);
      await sw.flows("reset_counts,udp,actions=output:2");
      await sw.frame(1, f.udp4());
      expect(await theFlow(sw)).toMatchObject({ packet_count: 1n, byte_count: size });
    },
  },
  {
    section: "§7.3.5.2",
    name: "a flow tells the flags that it was added with, those of the request too, and not of a modification",
    run: async (sw) => {
      await sw.flows("send_flow_rem,check_overlap,reset_counts,udp,actions=output:2");
      expect(await theFlow(sw)).toMatchObject({ flags: 1 | 2 | 4 });
      await sw.ok(flowMod("no_packet_counts,udp,actions=output:3", "modify"));
      expect(await theFlow(sw)).toMatchObject({ flags: 1 | 2 | 4 });
      await sw.flows("udp,actions=output:2");
      expect(await theFlow(sw)).toMatchObject({ flags: 0 });
    },
  },
  {
    section: "§6.4",
    name: "replacing a flow tells nobody that it was removed",
    run: async (sw) => {
      await sw.flows("send_flow_rem,udp,actions=output:2", "send_flow_rem,udp,actions=output:3");
      expect(await sw.unasked("OFPT_FLOW_REMOVED")).toEqual([]);
    },
  },
  ...(
    [
      ["a wider flow", "priority=5,ip", "check_overlap,priority=5,udp", "OFPFMFC_OVERLAP"],
      ["a narrower flow", "priority=5,udp", "check_overlap,priority=5,ip", "OFPFMFC_OVERLAP"],
      [
        "a flow that some packet matches too",
        "priority=5,ip,nw_src=10.0.0.0/8",
        "check_overlap,priority=5,ip,nw_dst=10.0.0.0/8",
        "OFPFMFC_OVERLAP",
      ],
      ["the same flow, which it replaces", "priority=5,udp", "check_overlap,priority=5,udp", "accepted"],
      ["a flow that no packet can match too", "priority=5,udp", "check_overlap,priority=5,tcp", "accepted"],
      ["a flow of another priority", "priority=5,ip", "check_overlap,priority=6,udp", "accepted"],
      ["a flow of another table", "priority=5,ip", "check_overlap,table=1,priority=5,udp", "accepted"],
    ] as const
  ).map(
    ([name, first, second, code]): Case => ({
      section: "§6.4",
      name: `CHECK_OVERLAP beside ${name}: ${code}`,
      run: async (sw) => {
        await sw.flows(`${first},actions=output:2`);
        expect(await sw.verdict(flowMod(`${second},actions=output:3`))).toBe(code);
      },
    }),
  ),
  {
    section: "§6.4",
    name: "a flow replaced with CHECK_OVERLAP does not look for other flows that overlap",
    run: async (sw) => {
      await sw.flows("priority=5,udp,actions=output:2", "priority=5,in_port=1,udp,actions=output:2");
      expect(await sw.verdict(flowMod("check_overlap,priority=5,udp,actions=output:3"))).toBe("accepted");
      expect(await sw.ports(2, f.udp4())).toEqual([3]);
    },
  },
];

const modifying: Case[] = [
  {
    section: "§6.4",
    name: "modify changes the instructions of every flow that the match covers",
    run: async (sw) => {
      await sw.flows(
        "priority=3,udp,udp_dst=2000,actions=output:2",
        "priority=2,udp,actions=output:2",
        "priority=1,tcp,actions=output:2",
      );
      await sw.ok(flowMod("udp,actions=output:3", "modify"));
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      expect(await sw.ports(1, f.udp4({ dst_port: 9 }))).toEqual([3]);
      expect(await sw.ports(1, f.tcp4())).toEqual([2]);
    },
  },
  {
    section: "§6.4",
    name: "modify does not cover a flow with a wider match",
    run: async (sw) => {
      await sw.flows("ip,actions=output:2");
      await sw.ok(flowMod("udp,actions=output:3", "modify"));
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
    },
  },
  {
    section: "§6.4",
    name: "modify_strict changes only the flow of this match and priority",
    run: async (sw) => {
      await sw.flows("priority=2,udp,actions=output:2", "priority=1,udp,udp_dst=2000,actions=output:2");
      await sw.ok(flowMod("priority=1,udp,actions=output:3", "modify_strict"));
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
      await sw.ok(flowMod("priority=2,udp,actions=output:3", "modify_strict"));
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "§6.4",
    name: "modify leaves cookie, timeouts, flags and counters",
    run: async (sw) => {
      await sw.flows("cookie=7,idle_timeout=100,hard_timeout=200,send_flow_rem,udp,actions=output:2");
      await sw.frame(1, f.udp4());
      await sw.bench.advance(1000);
      await sw.ok({
        ...flowMod("udp,actions=output:3", "modify"),
        cookie: 9n,
        idle_timeout: 1,
        hard_timeout: 1,
        flags: 0,
      });
      expect(await theFlow(sw)).toMatchObject({
        cookie: 7n,
        idle_timeout: 100,
        hard_timeout: 200,
        flags: OFPFF.SEND_FLOW_REM,
        packet_count: 1n,
        byte_count: size,
      });
    },
  },
  {
    section: "§6.4",
    name: "modify with RESET_COUNTS starts the counters again",
    run: async (sw) => {
      await sw.flows("udp,actions=output:2");
      await sw.frame(1, f.udp4());
      await sw.bench.advance(1000);
      await sw.ok(flowMod("reset_counts,udp,actions=output:3", "modify"));
      expect(await theFlow(sw)).toMatchObject({ packet_count: 0n, byte_count: 0n });
    },
  },
  {
    section: "§6.4",
    name: "modify without a flow that matches does nothing and is no error",
    run: async (sw) => {
      await sw.ok(
        flowMod("udp,actions=output:3", "modify"),
        flowMod("udp,actions=output:3", "modify_strict"),
      );
      expect(await cookies(sw)).toEqual([]);
    },
  },
  {
    section: "§6.4",
    name: "modify with a cookie mask changes flows of that cookie only",
    run: async (sw) => {
      await sw.flows("cookie=0x11,udp,actions=output:2", "cookie=0x21,tcp,actions=output:2");
      await sw.ok(flowMod("cookie=0x10/0xf0,actions=output:3", "modify"));
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      expect(await sw.ports(1, f.tcp4())).toEqual([2]);
    },
  },
  {
    section: "§7.3.4.1",
    name: "out_port does not narrow a modify",
    run: async (sw) => {
      await sw.flows("udp,actions=output:2");
      await sw.ok({ ...flowMod("actions=output:3", "modify"), out_port: 4 });
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
];

/** Flows 1 to 6, of which a delete takes some. */
const SIX = [
  "cookie=1,priority=10,udp,actions=output:2",
  "cookie=2,priority=10,udp,udp_dst=53,actions=output:3",
  "cookie=3,priority=20,udp,actions=output:2,output:3",
  "cookie=4,table=1,priority=10,udp,actions=write_actions(output:2)",
  "cookie=5,priority=10,arp,actions=group:1",
  "cookie=0x106,table=1,priority=10,actions=drop",
];

const deletes: [string, ReturnType<typeof flowMod>, number[]][] = [
  ["delete without a match in all tables takes everything", flowMod("", "delete"), []],
  ["delete in one table", flowMod("table=1", "delete"), [1, 2, 3, 5]],
  ["delete covers narrower flows of any priority", flowMod("udp", "delete"), [5, 0x106]],
  ["delete in one table covers narrower flows there", flowMod("table=0,udp", "delete"), [4, 5, 0x106]],
  ["delete does not cover wider flows", flowMod("udp,udp_dst=53", "delete"), [1, 3, 4, 5, 0x106]],
  [
    "delete_strict takes one match of one priority",
    flowMod("table=0,priority=10,udp", "delete_strict"),
    [2, 3, 4, 5, 0x106],
  ],
  ["delete_strict in all tables", flowMod("priority=10,udp", "delete_strict"), [2, 3, 5, 0x106]],
  [
    "delete_strict of a priority that is not there",
    flowMod("table=0,priority=11,udp", "delete_strict"),
    [1, 2, 3, 4, 5, 0x106],
  ],
  ["delete with out_port", flowMod("out_port=3", "delete"), [1, 4, 5, 0x106]],
  [
    "delete with out_port looks into write-actions",
    flowMod("table=1,out_port=2", "delete"),
    [1, 2, 3, 5, 0x106],
  ],
  [
    "delete_strict with out_port",
    flowMod("table=0,priority=10,udp,out_port=3", "delete_strict"),
    [1, 2, 3, 4, 5, 0x106],
  ],
  ["delete with out_group", flowMod("out_group=1", "delete"), [1, 2, 3, 4, 0x106]],
  ["delete with a whole cookie", flowMod("cookie=2/-1", "delete"), [1, 3, 4, 5, 0x106]],
  ["delete with a cookie mask", flowMod("cookie=0x100/0x100", "delete"), [1, 2, 3, 4, 5]],
  ["delete with cookie mask and match", flowMod("cookie=1/1,udp,table=0", "delete"), [2, 4, 5, 0x106]],
  [
    "delete with cookie mask 0 takes any cookie",
    { ...flowMod("arp", "delete"), cookie: 0x99n, cookie_mask: 0n },
    [1, 2, 3, 4, 0x106],
  ],
];
const deleting: Case[] = deletes.map(
  ([name, message, left]): Case => ({
    section: "§6.4",
    name,
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:2"));
      await sw.flows(...SIX);
      await sw.ok(message);
      expect(await cookies(sw)).toEqual(left);
    },
  }),
);

const removal: Case[] = [
  {
    section: "§7.4.2",
    name: "a deleted flow with SEND_FLOW_REM is told of, with what it counted",
    run: async (sw) => {
      await sw.flows("table=0,cookie=9,priority=77,send_flow_rem,idle_timeout=100,udp,actions=output:2");
      await sw.frame(1, f.udp4(), f.udp4());
      await sw.bench.advance(5000);
      await sw.ok(flowMod("udp", "delete"));
      const [removed, ...rest] = await sw.unasked("OFPT_FLOW_REMOVED", 1);
      expect(rest).toEqual([]);
      expect(removed).toMatchObject({
        reason: "OFPRR_DELETE",
        table_id: 0,
        cookie: 9n,
        priority: 77,
        idle_timeout: 100,
        hard_timeout: 0,
        duration_sec: 5,
        packet_count: 2n,
        byte_count: 2n * size,
        match: { eth_type: 0x0800, ip_proto: 17 },
      });
    },
  },
  {
    section: "§7.4.2",
    name: "a deleted flow without SEND_FLOW_REM is not told of",
    run: async (sw) => {
      await sw.flows("udp,actions=output:2");
      await sw.ok(flowMod("", "delete"));
      expect(await sw.unasked("OFPT_FLOW_REMOVED")).toEqual([]);
    },
  },
  {
    section: "ovs-actions(7), controller",
    name: "controller(pause) is refused rather than passed over",
    ovs: "pauses packets until NXT_RESUME",
    run: async (sw) =>
      expect(await sw.verdict(flowMod("udp,actions=controller(pause),output:2"))).toBe("OFPBAC_BAD_ARGUMENT"),
  },
  {
    section: "§6.4",
    name: "a modification does not prolong the life of a flow with hard_timeout",
    ovs: "starts the time again",
    run: async (sw) => {
      await sw.flows("send_flow_rem,hard_timeout=10,udp,actions=output:2");
      await sw.bench.advance(6000);
      await sw.ok(flowMod("udp,actions=output:3", "modify"));
      await sw.bench.advance(6000);
      expect(await sw.unasked("OFPT_FLOW_REMOVED", 1)).toMatchObject([{ reason: "OFPRR_HARD_TIMEOUT" }]);
      expect(await sw.ports(1, f.udp4())).toEqual([]);
    },
  },
  {
    section: "§5.5",
    name: "hard_timeout removes a flow however many packets it forwards",
    run: async (sw) => {
      await sw.flows("send_flow_rem,hard_timeout=3,udp,actions=output:2");
      for (let second = 0; second < 2; second++) {
        expect(await sw.ports(1, f.udp4())).toEqual([2]);
        await sw.bench.advance(1000);
      }
      await sw.bench.advance(2500);
      expect(await sw.unasked("OFPT_FLOW_REMOVED", 1)).toMatchObject([
        { reason: "OFPRR_HARD_TIMEOUT", hard_timeout: 3, packet_count: 2n },
      ]);
      expect(await sw.ports(1, f.udp4())).toEqual([]);
    },
  },
  {
    section: "§5.5",
    name: "idle_timeout removes a flow that forwards nothing",
    run: async (sw) => {
      await sw.flows("send_flow_rem,idle_timeout=3,udp,actions=output:2");
      await sw.bench.advance(6000);
      expect(await sw.unasked("OFPT_FLOW_REMOVED", 1)).toMatchObject([
        { reason: "OFPRR_IDLE_TIMEOUT", idle_timeout: 3, packet_count: 0n },
      ]);
    },
  },
  {
    section: "§5.5",
    name: "idle_timeout keeps a flow that forwards packets",
    run: async (sw) => {
      await sw.flows("send_flow_rem,idle_timeout=4,udp,actions=output:2");
      for (let second = 0; second < 10; second++) {
        await sw.frame(1, f.udp4());
        await sw.bench.advance(1000);
      }
      expect(await sw.unasked("OFPT_FLOW_REMOVED")).toEqual([]);
      await sw.bench.advance(7000);
      expect(await sw.unasked("OFPT_FLOW_REMOVED", 1)).toMatchObject([
        { reason: "OFPRR_IDLE_TIMEOUT", packet_count: 10n },
      ]);
    },
  },
  {
    section: "§5.5",
    name: "a flow without timeouts stays",
    run: async (sw) => {
      await sw.flows("cookie=1,udp,actions=output:2");
      await sw.bench.advance(60_000);
      expect(await cookies(sw)).toEqual([1]);
    },
  },
  {
    section: "§5.5",
    name: "of both timeouts the first one counts",
    run: async (sw) => {
      await sw.flows("send_flow_rem,idle_timeout=2,hard_timeout=20,udp,actions=output:2");
      await sw.bench.advance(5000);
      expect(await sw.unasked("OFPT_FLOW_REMOVED", 1)).toMatchObject([{ reason: "OFPRR_IDLE_TIMEOUT" }]);
    },
  },
];

const counting: Case[] = [
  {
    section: "§5.8",
    name: "a flow counts the packets and bytes that came in, whatever the actions make of them",
    run: async (sw) => {
      await sw.flows("udp,actions=push_vlan:0x8100,output:2,output:3");
      await sw.frame(1, f.udp4(), f.udp4(), f.udp4());
      expect(await theFlow(sw)).toMatchObject({ packet_count: 3n, byte_count: 3n * size });
    },
  },
  {
    section: "§5.8",
    name: "the duration counts from when the flow was added",
    run: async (sw) => {
      await sw.flows("udp,actions=output:2");
      await sw.bench.advance(7000);
      expect(await theFlow(sw)).toMatchObject({ duration_sec: 9 });
    },
  },
  {
    section: "§7.3.4.1",
    name: "the flags of a flow come back in its statistics",
    run: async (sw) => {
      await sw.flows("no_packet_counts,no_byte_counts,send_flow_rem,udp,actions=output:2");
      expect((await theFlow(sw)).flags).toBe(OFPFF.SEND_FLOW_REM | OFPFF.NO_PKT_COUNTS | OFPFF.NO_BYT_COUNTS);
    },
  },
  {
    section: "§7.3.5.3",
    name: "aggregates add up what a filter selects",
    run: async (sw) => {
      await sw.flows(
        "priority=2,udp,actions=output:2",
        "priority=1,tcp,actions=output:3",
        "arp,actions=output:3",
      );
      await sw.frame(1, f.udp4(), f.tcp4(), f.tcp4());
      await sw.bench.advance(1000);
      expect(await sw.multipart({ type: "OFPMP_AGGREGATE" })).toMatchObject({
        flow_count: 3,
        packet_count: 3n,
        byte_count: size + 2n * BigInt(f.tcp4().length),
      });
      expect(await sw.multipart({ type: "OFPMP_AGGREGATE", out_port: 3 })).toMatchObject({
        flow_count: 2,
        packet_count: 2n,
      });
    },
  },
];

/** OFPMP_FLOW takes the filters that a delete does. */
const FILTERS: [string, { [key: string]: unknown }, number[]][] = [
  ["all tables", {}, [1, 2, 3, 4, 5, 0x106]],
  ["one table", { table_id: 1 }, [4, 0x106]],
  ["a match, loosely", { match: { eth_type: 0x0800, ip_proto: 17 } satisfies Match }, [1, 2, 3, 4]],
  ["out_port", { out_port: 3 }, [2, 3]],
  ["out_group", { out_group: 1 }, [5]],
  ["a cookie mask", { cookie: 1n, cookie_mask: 1n }, [1, 3, 5]],
  ["nothing that is there", { match: { eth_type: 0x86dd } satisfies Match }, []],
];
const filtering: Case[] = FILTERS.map(
  ([name, filter, found]): Case => ({
    section: "§7.3.5.2",
    name: `flow statistics by ${name}`,
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:2"));
      await sw.flows(...SIX);
      const { entries } = await sw.multipart({
        type: "OFPMP_FLOW",
        table_id: OFPTT.ALL,
        out_port: OFPP.ANY,
        out_group: OFPG.ANY,
        ...filter,
      });
      expect(entries.map(({ cookie }) => Number(cookie)).sort((a, b) => a - b)).toEqual(found);
    },
  }),
);

const barriers: Case[] = [
  {
    section: "§7.3.8",
    name: "after a barrier no packet meets what a flow_mod replaced",
    run: async (sw) => {
      for (const port of [2, 3, 4, 2, 3, 4]) {
        await sw.flows(`udp,actions=output:${port}`);
        expect(await sw.ports(1, f.udp4())).toEqual([port]);
      }
      await sw.flows("priority=65535,udp,udp_src=1000,actions=output:4", "udp,actions=output:2");
      expect(await sw.ports(1, f.udp4())).toEqual([4]);
      await sw.ok(flowMod("udp,udp_src=1000", "delete"));
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
      await sw.ok(flowMod("", "delete"));
      expect(await sw.ports(1, f.udp4())).toEqual([]);
    },
  },
];

conformance(
  "§6.4 flow_mod",
  [...adding, ...modifying, ...deleting, ...removal, ...counting, ...filtering, ...barriers],
  ["inline", "worker"],
);
