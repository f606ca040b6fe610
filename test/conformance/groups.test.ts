import { OFPG } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, groupMod, type Session } from "../support/conformance/session.js";

const all: Case[] = [
  {
    section: "§5.6.1",
    name: "all: each bucket gets a copy",
    groups: ["group_id=1,type=all,bucket=actions=output:2,bucket=actions=output:3"],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4(), 3: f.udp4() },
  },
  {
    section: "§5.6.1",
    name: "all: what one bucket changes the next one does not see",
    groups: ["group_id=1,type=all,bucket=actions=set_field:1.2.3.4->ip_src,output:2,bucket=actions=output:3"],
    flows: ["ip,actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ ip: { src: "1.2.3.4" } }), 3: f.udp4() },
  },
  {
    section: "§5.6.1",
    name: "all: a bucket's changes end with the group",
    groups: ["group_id=1,type=all,bucket=actions=set_field:1.2.3.4->ip_src,output:2"],
    flows: ["ip,actions=group:1,output:3"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ ip: { src: "1.2.3.4" } }), 3: f.udp4() },
  },
  {
    section: "§5.6.1",
    name: "all: no copy goes back to the input port unless a bucket says IN_PORT",
    groups: ["group_id=1,type=all,bucket=actions=output:1,bucket=actions=output:2,bucket=actions=in_port"],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 1: f.udp4(), 2: f.udp4() },
  },
  {
    section: "§5.6.1",
    name: "a group without buckets drops",
    groups: ["group_id=1,type=all"],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
  },
  {
    section: "§5.6",
    name: "a bucket without an output drops its copy",
    groups: ["group_id=1,type=all,bucket=actions=dec_ttl,bucket=actions=output:2"],
    flows: ["ip,actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.10",
    name: "a bucket is an action set: push before set before output",
    groups: ["group_id=1,type=all,bucket=actions=output:2,push_vlan:0x8100"],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ eth: f.tagged({ vid: 0 }) }) },
  },
  {
    section: "ovs-ofctl(8), groups",
    name: "a bucket may resubmit, where it has no output",
    groups: [
      "group_id=1,type=all,bucket=actions=output:2,bucket=actions=resubmit(,1),bucket=actions=output:3,resubmit(,1)",
    ],
    flows: ["table=0,actions=group:1", "table=1,actions=output:4"],
    in: [1, f.udp4()],
    out: { 2: f.udp4(), 3: f.udp4(), 4: f.udp4() },
  },
  {
    section: "§5.6.1",
    name: "a bucket may send to the controller",
    groups: ["group_id=1,type=all,bucket=actions=controller"],
    flows: ["cookie=6,actions=group:1"],
    in: [1, f.udp4()],
    packetIn: [{ reason: "OFPR_ACTION", cookie: 0xffff_ffff_ffff_ffffn, data: f.udp4() }],
    ovs: "tells the flow's cookie",
  },
];

const indirect: Case[] = [
  {
    section: "§5.6.1",
    name: "indirect: the one bucket",
    groups: ["group_id=1,type=indirect,bucket=actions=dec_ttl,output:2"],
    flows: ["ip,actions=group:1"],
    in: [1, f.udp4({ ip: { ttl: 9 } })],
    out: { 2: f.udp4({ ip: { ttl: 8 } }) },
  },
  {
    section: "§5.6.1",
    name: "indirect: several flows share it, and change with it",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=indirect,bucket=actions=output:2"));
      await sw.flows("priority=2,udp,actions=group:1", "priority=1,tcp,actions=group:1");
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
      expect(await sw.ports(1, f.tcp4())).toEqual([2]);
      await sw.ok(groupMod("group_id=1,type=indirect,bucket=actions=output:3", "modify"));
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      expect(await sw.ports(1, f.tcp4())).toEqual([3]);
    },
  },
];

/** Ports that flows of different transport ports leave by. */
async function spread(sw: Session, flows = 60): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  for (let n = 0; n < flows; n++) {
    const [port] = await sw.ports(
      1,
      f.udp4({ src_port: 1000 + n, ip: { src: `10.1.${n}.1` }, eth: { src: `0a:00:00:00:01:${hex(n)}` } }),
    );
    counts[port!] = (counts[port!] ?? 0) + 1;
  }
  return counts;
}
const hex = (n: number): string => n.toString(16).padStart(2, "0");

const select: Case[] = [
  {
    section: "§5.6.1",
    name: "select: one bucket, and always the same one for a flow",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=select,bucket=weight:1,output:2,bucket=weight:1,output:3"));
      await sw.flows("actions=group:1");
      const [first, ...rest] = await sw.ports(1, f.udp4());
      expect(rest).toEqual([]);
      for (let time = 0; time < 5; time++) expect(await sw.ports(1, f.udp4())).toEqual([first]);
    },
  },
  {
    section: "§5.6.1",
    name: "select: flows spread over the buckets by weight",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=select,bucket=weight:1,output:2,bucket=weight:3,output:3"));
      await sw.flows("actions=group:1");
      const counts = await spread(sw);
      expect(counts[2]).toBeGreaterThan(4);
      expect(counts[3]).toBeGreaterThan(30);
    },
  },
  {
    section: "§5.6.1",
    name: "select: a bucket of weight 0 is not chosen",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=select,bucket=weight:0,output:2,bucket=weight:1,output:3"));
      await sw.flows("actions=group:1");
      expect(Object.keys(await spread(sw, 10))).toEqual(["3"]);
    },
  },
  {
    section: "§5.6.1",
    name: "select: a bucket whose port is down is not chosen",
    run: async (sw) => {
      await sw.ok(
        groupMod(
          "group_id=1,type=select,bucket=weight:1,watch_port:2,output:2,bucket=weight:1,watch_port:3,output:3",
        ),
      );
      await sw.flows("actions=group:1");
      await sw.bench.carrier(2, false);
      expect(Object.keys(await spread(sw, 10))).toEqual(["3"]);
      await sw.bench.carrier(2, true);
      expect(Object.keys(await spread(sw, 20))).toEqual(["2", "3"]);
    },
  },
  {
    section: "§5.6.1",
    name: "select: what the chosen bucket changes goes out changed",
    groups: ["group_id=1,type=select,bucket=weight:1,actions=set_field:1.2.3.4->ip_src,output:2"],
    flows: ["ip,actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ ip: { src: "1.2.3.4" } }) },
  },
];

const FAILOVER =
  "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3";
const failover: Case[] = [
  {
    section: "§5.6.1",
    name: "fast failover: the first live bucket",
    groups: [FAILOVER],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.6.1",
    name: "fast failover: the next bucket when the port watched goes down, and back again",
    run: async (sw) => {
      await sw.ok(groupMod(FAILOVER));
      await sw.flows("actions=group:1");
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
      await sw.bench.carrier(2, false);
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      await sw.bench.carrier(2, true);
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
    },
  },
  {
    section: "§5.6.1",
    name: "fast failover: a port configured down by OFPPC_PORT_DOWN is not live",
    run: async (sw) => {
      await sw.ok(groupMod(FAILOVER));
      await sw.flows("actions=group:1");
      const { entries } = await sw.multipart({ type: "OFPMP_PORT_DESC" });
      const { port_no, hw_addr } = entries.find(({ name }) => name === "p2")!;
      await sw.ok({ type: "OFPT_PORT_MOD", port_no, hw_addr, config: 1, mask: 1, advertise: 0 });
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "§5.6.1",
    name: "fast failover: without a live bucket the packet is dropped",
    run: async (sw) => {
      await sw.ok(groupMod(FAILOVER));
      await sw.flows("actions=group:1");
      await sw.bench.carrier(2, false);
      await sw.bench.carrier(3, false);
      expect(await sw.ports(1, f.udp4())).toEqual([]);
    },
  },
  {
    section: "§5.6.1",
    name: "fast failover: a bucket may watch a group, which lives while one of its buckets does",
    run: async (sw) => {
      await sw.ok(
        groupMod("group_id=2,type=ff,bucket=watch_port:2,actions=output:2"),
        groupMod(
          "group_id=1,type=ff,bucket=watch_group:2,actions=group:2,bucket=watch_port:3,actions=output:3",
        ),
      );
      await sw.flows("actions=group:1");
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
      await sw.bench.carrier(2, false);
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "§5.6.1",
    name: "fast failover: the bucket may send to another port than it watches",
    groups: ["group_id=1,type=ff,bucket=watch_port:4,actions=output:2"],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
];

const chaining: Case[] = [
  {
    section: "§5.6",
    name: "a bucket may send to another group",
    groups: [
      "group_id=2,type=all,bucket=actions=output:3,bucket=actions=output:4",
      "group_id=1,type=all,bucket=actions=group:2,bucket=actions=output:2",
    ],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4(), 3: f.udp4(), 4: f.udp4() },
  },
  {
    section: "§5.6",
    name: "a change before a chained group is seen by its buckets",
    groups: [
      "group_id=2,type=indirect,bucket=actions=output:3",
      "group_id=1,type=all,bucket=actions=set_field:1.2.3.4->ip_src,group:2,bucket=actions=output:2",
    ],
    flows: ["ip,actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4(), 3: f.udp4({ ip: { src: "1.2.3.4" } }) },
  },
  // What group_mod lets pass, as in Open vSwitch, packets find out.
  {
    section: "§5.6",
    name: "what a group sends to itself is dropped, and so is all else that becomes of the packet",
    groups: ["group_id=1,type=all,bucket=actions=output:2,bucket=actions=group:1"],
    flows: ["actions=group:1,output:3"],
    in: [1, f.udp4()],
  },
  {
    section: "§5.6",
    name: "what goes round between groups is dropped",
    groups: [
      "group_id=1,type=all,bucket=actions=group:2",
      "group_id=2,type=all,bucket=actions=output:2,bucket=actions=group:1",
    ],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
  },
  {
    section: "§5.6",
    name: "a bucket that sends to a group that is not there drops its copy alone",
    groups: ["group_id=1,type=all,bucket=actions=group:7,bucket=actions=output:2"],
    flows: ["actions=group:1,output:3"],
    in: [1, f.udp4()],
    out: { 2: f.udp4(), 3: f.udp4() },
  },
  {
    section: "§5.6",
    name: "a bucket may name a group that comes later",
    groups: ["group_id=1,type=all,bucket=actions=group:7", "group_id=7,type=all,bucket=actions=output:2"],
    flows: ["actions=group:1"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.6",
    name: "groups that watch each other in a circle live while a port does",
    run: async (sw) => {
      await sw.ok(
        groupMod("group_id=1,type=ff,bucket=watch_group:2,actions=output:3"),
        groupMod("group_id=2,type=ff,bucket=watch_group:1,actions=drop,bucket=watch_port:2,actions=drop"),
      );
      await sw.flows("actions=group:1");
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      await sw.bench.carrier(2, false);
      expect(await sw.ports(1, f.udp4())).toEqual([]);
    },
  },
  {
    section: "§6.5",
    name: "a group that another one sends to may be deleted: what came to it is dropped from then on",
    run: async (sw) => {
      await sw.ok(
        groupMod("group_id=1,type=all,bucket=actions=output:2"),
        groupMod("group_id=2,type=all,bucket=actions=group:1,bucket=actions=output:3"),
      );
      await sw.flows("actions=group:2");
      expect(await sw.ports(1, f.udp4())).toEqual([2, 3]);
      expect(await sw.verdict(groupMod("group_id=1", "delete"))).toBe("accepted");
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
];

/** §6.5: what group_mod changes, and what it refuses. */
const modification: Case[] = [
  ...(
    [
      [
        "adding a group that exists",
        "group_id=1,type=all,bucket=actions=output:3",
        "add",
        "OFPGMFC_GROUP_EXISTS",
      ],
      ["modifying a group that does not exist", "group_id=9,type=all", "modify", "OFPGMFC_UNKNOWN_GROUP"],
      ["deleting a group that does not exist is no error", "group_id=9", "delete", "accepted"],
    ] as const
  ).map(
    ([name, text, command, code]): Case => ({
      section: "§6.5",
      name: `${name}: ${code}`,
      run: async (sw) => {
        await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:2"));
        expect(await sw.verdict(groupMod(text, command))).toBe(code);
      },
    }),
  ),
  ...[0, 2].map(
    (count): Case => ({
      section: "§6.5",
      name: `an indirect group with ${count} buckets is refused`,
      run: async (sw) => {
        const buckets = [2, 3].slice(0, count).map((port) => ({
          actions: [{ type: "OFPAT_OUTPUT" as const, port }],
        }));
        expect(
          await sw.verdict({
            type: "OFPT_GROUP_MOD",
            command: "OFPGC_ADD",
            group_type: "OFPGT_INDIRECT",
            group_id: 1,
            buckets,
          }),
        ).toBe("OFPGMFC_INVALID_GROUP");
      },
    }),
  ),
  {
    section: "§6.5",
    name: "a group number above OFPG_MAX is refused",
    run: async (sw) => {
      expect(
        await sw.verdict({
          type: "OFPT_GROUP_MOD",
          command: "OFPGC_ADD",
          group_type: "OFPGT_ALL",
          group_id: OFPG.MAX + 1,
        }),
      ).toBe("OFPGMFC_INVALID_GROUP");
    },
  },
  {
    section: "§6.5",
    name: "a bucket of a group that is not select has no weight",
    run: async (sw) => {
      expect(
        await sw.verdict({
          type: "OFPT_GROUP_MOD",
          command: "OFPGC_ADD",
          group_type: "OFPGT_ALL",
          group_id: 1,
          buckets: [{ weight: 2, actions: [] }],
        }),
      ).toBe("OFPGMFC_INVALID_GROUP");
    },
  },
  ...(
    [
      [
        "a fast failover bucket that watches nothing",
        { group_type: "OFPGT_FF", buckets: [{ actions: [{ type: "OFPAT_OUTPUT", port: 2 }] }] },
        "OFPGMFC_INVALID_GROUP",
      ],
      [
        "an output to ANY in a bucket",
        { group_type: "OFPGT_ALL", buckets: [{ actions: [{ type: "OFPAT_OUTPUT", port: 0xffff_ffff }] }] },
        "OFPBAC_BAD_OUT_PORT",
      ],
      [
        "a push with a wrong ethertype in a bucket",
        { group_type: "OFPGT_ALL", buckets: [{ actions: [{ type: "OFPAT_PUSH_VLAN", ethertype: 0x0800 }] }] },
        "OFPBAC_BAD_ARGUMENT",
      ],
    ] as const
  ).map(
    ([name, group, code]): Case => ({
      section: "§6.5",
      name: `${name}: ${code}`,
      run: async (sw) => {
        expect(
          await sw.verdict({ type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_id: 1, ...group }),
        ).toBe(code);
      },
    }),
  ),
  {
    section: "§6.5",
    name: "a group type that does not exist is refused",
    run: async (sw) => {
      expect(
        await sw.verdict({ type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_type: 9, group_id: 1 }),
      ).toBe("OFPGMFC_BAD_TYPE");
    },
  },
  ...(
    [
      ["above OFPG_MAX is no error", 0xffff_ff01, [], "accepted"],
      ["with buckets is refused", 1, [{ actions: [] }], "OFPGMFC_INVALID_GROUP"],
    ] as const
  ).map(
    ([name, group_id, buckets, code]): Case => ({
      section: "§6.5",
      name: `deleting a group ${name}`,
      run: async (sw) => {
        const message = { type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_type: "OFPGT_ALL" } as const;
        expect(await sw.verdict({ ...message, group_id, buckets })).toBe(code);
      },
    }),
  ),
  {
    section: "§6.5",
    name: "a command that does not exist is refused",
    run: async (sw) => {
      expect(
        await sw.verdict({
          type: "OFPT_GROUP_MOD",
          command: 9,
          group_type: "OFPGT_ALL",
          group_id: 1,
        }),
      ).toBe("OFPGMFC_BAD_COMMAND");
    },
  },
  {
    section: "§6.5",
    name: "modify replaces type and buckets",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:2,bucket=actions=output:3"));
      await sw.flows("actions=group:1");
      expect(await sw.ports(1, f.udp4())).toEqual([2, 3]);
      await sw.ok(groupMod("group_id=1,type=indirect,bucket=actions=output:4", "modify"));
      expect(await sw.ports(1, f.udp4())).toEqual([4]);
    },
  },
  {
    section: "§6.5",
    name: "deleting a group deletes the flows that send to it, and tells so",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:2"));
      await sw.ok(
        flowMod("udp,cookie=1,send_flow_rem,actions=group:1"),
        flowMod("tcp,cookie=2,send_flow_rem,actions=output:3"),
        flowMod("icmp,cookie=3,send_flow_rem,actions=write_actions(group:1)"),
      );
      await sw.ok(groupMod("group_id=1", "delete"));
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW" });
      expect(entries.map(({ cookie }) => cookie)).toEqual([2n]);
      const removed = await sw.unasked("OFPT_FLOW_REMOVED", 2);
      expect(removed.map(({ cookie, reason }) => [cookie, reason]).sort()).toEqual([
        [1n, "OFPRR_GROUP_DELETE"],
        [3n, "OFPRR_GROUP_DELETE"],
      ]);
    },
  },
  {
    section: "§6.5",
    name: "OFPG_ALL deletes every group",
    run: async (sw) => {
      await sw.ok(
        groupMod("group_id=1,type=all,bucket=actions=output:2"),
        groupMod("group_id=2,type=all,bucket=actions=group:1"),
        groupMod("", "delete"),
      );
      expect(await sw.multipart({ type: "OFPMP_GROUP_DESC" })).toMatchObject({ entries: [] });
    },
  },
  {
    section: "§6.5",
    name: "a flow to a group that does not exist is refused",
    run: async (sw) => {
      expect(await sw.verdict(flowMod("actions=group:7"))).toBe("OFPBAC_BAD_OUT_GROUP");
    },
  },
];

const statistics: Case[] = [
  {
    section: "§7.3.5.9",
    name: "a group and its buckets count packets and bytes",
    run: async (sw) => {
      await sw.ok(
        groupMod(
          "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3",
        ),
      );
      await sw.flows("actions=group:1");
      await sw.frame(1, f.udp4(), f.udp4());
      await sw.bench.carrier(2, false);
      await sw.frame(1, f.udp4());
      await sw.bench.advance(3000);
      const size = BigInt(f.udp4().length);
      const { entries } = await sw.multipart({ type: "OFPMP_GROUP", group_id: 1 });
      expect(entries).toMatchObject([
        {
          group_id: 1,
          ref_count: 1,
          packet_count: 3n,
          byte_count: 3n * size,
          bucket_stats: [
            { packet_count: 2n, byte_count: 2n * size },
            { packet_count: 1n, byte_count: size },
          ],
        },
      ]);
    },
  },
  {
    section: "§7.3.5.10",
    name: "descriptions say what was configured",
    run: async (sw) => {
      const mods = [
        groupMod("group_id=1,type=select,bucket=weight:5,actions=output:2,bucket=weight:7,actions=output:3"),
        groupMod(FAILOVER.replace("group_id=1", "group_id=2")),
      ];
      await sw.ok(...mods);
      const { entries } = await sw.multipart({ type: "OFPMP_GROUP_DESC" });
      expect([...entries].sort((a, b) => a.group_id - b.group_id)).toMatchObject(
        mods.map(({ group_id, group_type, buckets }) => ({ group_id, group_type, buckets })),
      );
    },
  },
  {
    section: "§7.3.5.11",
    name: "features name all four types",
    run: async (sw) => {
      expect(await sw.multipart({ type: "OFPMP_GROUP_FEATURES" })).toMatchObject({ types: 0xf });
    },
  },
];

conformance(
  "§5.6 groups",
  [...all, ...indirect, ...select, ...failover, ...chaining, ...modification, ...statistics],
  ["inline", "worker"],
);
