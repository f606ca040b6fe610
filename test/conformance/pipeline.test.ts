import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod } from "../support/conformance/session.js";

const ttl = (ttl: number) => f.udp4({ ip: { ttl } });
const tagged = (...tags: f.Tag[]) => f.udp4({ eth: f.tagged(...tags) });

/** §5.1, §5.4: tables one after another. */
const tables: Case[] = [
  {
    section: "§5.1",
    name: "processing starts at table 0 and a flow elsewhere does nothing",
    flows: ["table=1,actions=output:2", "actions=output:3"],
    in: [1, f.udp4()],
    out: { 3: f.udp4() },
  },
  {
    section: "§5.3",
    name: "the flow of the highest priority that matches is chosen",
    flows: [
      "priority=5,actions=output:2",
      "priority=7,udp,actions=output:3",
      "priority=9,tcp,actions=output:4",
    ],
    in: [1, f.udp4()],
    out: { 3: f.udp4() },
  },
  {
    section: "§5.3",
    name: "a flow without match fields takes every packet",
    flows: ["priority=1,actions=output:2"],
    in: [1, f.other(0x88b5)],
    out: { 2: f.other(0x88b5) },
  },
  {
    section: "§5.4",
    name: "without a flow that matches the packet is dropped",
    flows: [],
    in: [1, f.udp4()],
  },
  {
    section: "§5.4",
    name: "a table-miss flow to the controller says OFPR_NO_MATCH",
    flows: ["priority=0,cookie=3,actions=controller"],
    in: [1, f.udp4()],
    packetIn: [{ reason: "OFPR_NO_MATCH", table_id: 0, cookie: 3n, data: f.udp4() }],
  },
  {
    section: "§5.4",
    name: "a table-miss flow may send to another table",
    flows: ["priority=5,tcp,actions=output:3", "priority=0,actions=goto_table:1", "table=1,actions=output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.4",
    name: "a flow of priority 0 with match fields is no table-miss flow",
    flows: ["priority=0,udp,actions=controller"],
    in: [1, f.udp4()],
    packetIn: [{ reason: "OFPR_ACTION" }],
  },
  {
    section: "§5.4",
    name: "a flow without match fields of another priority is no table-miss flow",
    flows: ["priority=1,actions=controller"],
    in: [1, f.udp4()],
    packetIn: [{ reason: "OFPR_ACTION" }],
  },
  {
    section: "§5.4",
    name: "a miss in a later table drops the packet, its action set too",
    flows: ["actions=write_actions(output:2),goto_table:1", "table=1,tcp,actions=output:3"],
    in: [1, f.udp4()],
    ovs: "carries the action set out after a miss",
  },
  {
    section: "§5.4",
    name: "what apply-actions sent before a miss has been sent",
    flows: ["actions=output:2,goto_table:1", "table=1,tcp,actions=output:3"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "OVS",
    name: "in table 254, the switch's own, nothing is done with a packet: its action set is carried out",
    flows: ["actions=resubmit(,254),write_actions(output:2),goto_table:254"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "OVS",
    name: "a packet that goes on after resubmit to table 254",
    flows: ["actions=resubmit(,254),output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.1",
    name: "a packet may pass through every table",
    flows: [
      ...Array.from({ length: 253 }, (_, table) => `table=${table},actions=goto_table:${table + 1}`),
      "table=253,actions=output:2",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
];

/** §5.9: instructions. */
const instructions: Case[] = [
  {
    section: "§5.9",
    name: "apply-actions is carried out before the next table looks",
    flows: [
      "ip,actions=dec_ttl,goto_table:1",
      "table=1,priority=2,ip,nw_ttl=6,actions=output:2",
      "table=1,priority=1,actions=output:3",
    ],
    in: [1, ttl(7)],
    out: { 2: ttl(6) },
  },
  {
    section: "§5.9",
    name: "write-actions waits until the end",
    flows: [
      "ip,actions=write_actions(set_field:1.2.3.4->ip_src,output:2),goto_table:1",
      `table=1,ip,nw_src=${f.IP_A},actions=output:3`,
    ],
    in: [1, f.udp4()],
    out: { 3: f.udp4(), 2: f.udp4({ ip: { src: "1.2.3.4" } }) },
  },
  {
    section: "§5.9",
    name: "a later table's write-actions replaces the action of the same type",
    flows: ["actions=write_actions(output:2),goto_table:1", "table=1,actions=write_actions(output:3)"],
    in: [1, f.udp4()],
    out: { 3: f.udp4() },
  },
  {
    section: "§5.9",
    name: "set_fields of different fields stay beside each other, of one field the last stays",
    flows: [
      "udp,actions=write_actions(set_field:1.2.3.4->ip_src,set_field:9->udp_src,output:2),goto_table:1",
      "table=1,udp,actions=write_actions(set_field:5.6.7.8->ip_src)",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ ip: { src: "5.6.7.8" }, src_port: 9 }) },
  },
  {
    section: "§5.9",
    name: "clear-actions empties the action set",
    flows: ["actions=write_actions(output:2),goto_table:1", "table=1,actions=clear_actions"],
    in: [1, f.udp4()],
  },
  {
    section: "§5.9",
    name: "clear-actions comes before write-actions of the same flow",
    flows: [
      "actions=write_actions(output:2),goto_table:1",
      "table=1,actions=clear_actions,write_actions(output:3)",
    ],
    in: [1, f.udp4()],
    out: { 3: f.udp4() },
  },
  {
    section: "§5.9",
    name: "write-metadata changes the bits of its mask only",
    flows: [
      "actions=write_metadata:0x1234,goto_table:1",
      "table=1,actions=write_metadata:0xffff/0x00f0,goto_table:2",
      "table=2,priority=2,metadata=0x12f4,actions=output:2",
      "table=2,priority=1,actions=output:3",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.1",
    name: "metadata is zero at the start",
    flows: ["priority=2,metadata=0,actions=output:2", "priority=1,actions=output:3"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.9",
    name: "instructions are executed in their own order, whatever the message's",
    run: async (sw) => {
      const goto = flowMod("udp,actions=set_field:53->udp_dst,write_actions(output:2),goto_table:1");
      await sw.ok({ ...goto, instructions: [...(goto.instructions ?? [])].reverse() });
      await sw.flows("table=1,udp,udp_dst=53,actions=output:3");
      const after = f.udp4({ dst_port: 53 });
      expect(await sw.frame(1, f.udp4())).toEqual({ 2: [after], 3: [after] });
    },
  },
];

/** §5.10: the order of the action set. */
const order: Case[] = [
  {
    section: "§5.10",
    name: "push comes before set, whatever the order of writing",
    flows: ["actions=write_actions(output:2,set_field:0x1007->vlan_vid,push_vlan:0x8100)"],
    in: [1, f.udp4()],
    out: { 2: tagged({ vid: 7 }) },
    ovs: "refuses to set the VLAN of a packet that has none at this place of the list",
  },
  {
    section: "§5.10",
    name: "pop comes before push",
    flows: ["dl_vlan=5,actions=write_actions(push_vlan:0x88a8,pop_vlan,output:2)"],
    in: [1, tagged({ vid: 5, pcp: 3 })],
    out: { 2: tagged({ tpid: 0x88a8, vid: 0 }) },
  },
  {
    section: "§5.10",
    name: "the MPLS label is pushed before the VLAN tag, which goes around it",
    flows: ["ip,actions=write_actions(push_vlan:0x8100,push_mpls:0x8847,output:2)"],
    in: [1, f.udp4()],
    out: { 2: f.mpls([{ label: 0 }], tagged({ vid: 0 })) },
  },
  {
    section: "§5.10",
    name: "decrement comes before set",
    flows: ["ip,actions=write_actions(mod_nw_ttl:9,dec_ttl,output:2)"],
    in: [1, ttl(64)],
    out: { 2: ttl(9) },
  },
  {
    section: "§5.10",
    name: "a pushed label takes the TTL before the decrement",
    flows: ["ip,actions=write_actions(dec_mpls_ttl,push_mpls:0x8847,output:2)"],
    in: [1, ttl(64)],
    out: { 2: f.mpls([{ label: 0, ttl: 63 }], ttl(64)) },
  },
  {
    section: "§5.10",
    name: "a group comes before the output, which is left out",
    groups: ["group_id=1,type=indirect,bucket=actions=output:3"],
    flows: ["actions=write_actions(output:2,group:1)"],
    in: [1, f.udp4()],
    out: { 3: f.udp4() },
  },
  {
    section: "§5.10",
    name: "the output comes last",
    flows: ["udp,actions=write_actions(output:2,set_field:9->udp_src)"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ src_port: 9 }) },
  },
  {
    section: "§5.10",
    name: "without group and output the packet is dropped",
    flows: ["udp,actions=write_actions(set_field:9->udp_src)"],
    in: [1, f.udp4()],
  },
  {
    section: "§5.10",
    name: "an output to the controller in the action set is OFPR_ACTION, of no one flow",
    flows: ["cookie=4,actions=write_actions(controller)"],
    in: [1, f.udp4()],
    packetIn: [{ reason: "OFPR_ACTION", cookie: 0xffff_ffff_ffff_ffffn, data: f.udp4() }],
    ovs: "tells the cookie of the flow in the first table",
  },
];

const RESUBMIT_TARGET = ["table=1,actions=output:4", "table=2,actions=output:3"];
const TO_3 = ["group_id=1,type=indirect,bucket=actions=output:3"];

/** A resubmit in an action set: what Open vSwitch adds to the order of §5.10. */
const resubmits: Case[] = (
  [
    ["leads on where there is no output", "resubmit(,1)", 4],
    ["is left out beside an output", "resubmit(,1),output:2", 2],
    ["is left out beside a group", "group:1,resubmit(,1)", 3],
    ["is the one that was written last", "resubmit(,1),resubmit(,2)", 3],
  ] as const
).map(([name, actions, port]) => ({
  section: "ovs-actions(7), write_actions",
  name: `a resubmit in an action set ${name}`,
  groups: TO_3,
  flows: [`table=0,actions=write_actions(${actions})`, ...RESUBMIT_TARGET],
  in: [1, f.udp4()] as const,
  out: { [port]: f.udp4() },
}));

/** What takes headers away may be written before it is known whether they are there. */
const ifThere: Case[] = [f.udp4(), tagged({ vid: 5 })].map((frame, tags) => ({
  section: "ovs-actions(7), write_actions",
  name: `pop_vlan in an action set, of a packet with ${tags} tags`,
  flows: ["table=0,actions=write_actions(pop_vlan,output:2),goto_table:1", "table=1,actions=output:3"],
  in: [1, frame] as const,
  out: { 2: f.udp4(), 3: frame },
}));

/** The field actset_output (ovs-fields(7)): where the action set leads by itself. */
const actsetOutput: Case[] = (
  [
    ["UNSET as a packet comes in", "goto_table:5", "UNSET"],
    ["the port that was written", "write_actions(output:4),goto_table:5", "4"],
    ["UNSET with a group beside it", "write_actions(group:1,output:4),goto_table:5", "UNSET"],
    ["UNSET after clear_actions", "write_actions(output:4),goto_table:3", "UNSET"],
  ] as const
).map(([name, actions, value]) => ({
  section: "ovs-fields(7), actset_output",
  name: `it is ${name}`,
  groups: TO_3,
  flows: [
    `actions=${actions}`,
    "table=3,actions=clear_actions,goto_table:5",
    `table=5,priority=2,actset_output=${value},actions=clear_actions,write_actions(output:2)`,
    "table=5,priority=1,actions=clear_actions",
  ],
  in: [1, f.udp4()] as const,
  out: { 2: f.udp4() },
}));

conformance(
  "§5 pipeline",
  [...tables, ...instructions, ...order, ...resubmits, ...ifThere, ...actsetOutput],
  ["inline", "worker"],
);
