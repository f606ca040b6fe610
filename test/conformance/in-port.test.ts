import { OFPP } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance, type PacketCase } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod } from "../support/conformance/session.js";

/** in_port as actions change it: for one lookup (resubmit), and for good. */
const frame = f.udp4();

const of = (section: string, cases: readonly Omit<PacketCase, "section">[]): Case[] =>
  cases.map((one) => ({ section, ...one }));

const resubmits = of("ovs-actions(7), resubmit", [
  {
    name: "the lookup sees the other port, the flow that it finds sees the packet's own",
    flows: [
      "in_port=1,actions=resubmit(2),output:2",
      "in_port=2,actions=output:1,output:3,in_port",
      "in_port=3,actions=output:4",
    ],
    in: [1, frame],
    out: { 1: frame, 2: frame, 3: frame },
  },
  {
    name: "a resubmit within goes on from the packet's own port",
    flows: [
      "in_port=1,actions=resubmit(2)",
      "in_port=2,actions=resubmit(,1)",
      "table=1,in_port=1,actions=output:3",
      "table=1,in_port=2,actions=output:4",
    ],
    in: [1, frame],
    out: { 3: frame },
  },
  {
    name: "IN_PORT as its port is the packet's own",
    flows: [
      "in_port=1,actions=resubmit(2,1)",
      "table=1,in_port=2,actions=resubmit(in_port,2)",
      "table=2,in_port=1,actions=output:3",
    ],
    in: [1, frame],
    out: { 3: frame },
  },
  {
    name: "NORMAL floods but to the packet's own port",
    flows: ["in_port=1,actions=resubmit(2)", "in_port=2,actions=flood"],
    in: [1, frame],
    out: { [OFPP.LOCAL]: frame, 2: frame, 3: frame, 4: frame },
  },
]);

const chain = (from: number, to: number): string[] => {
  const step = from < to ? 1 : -1;
  const flows: string[] = [];
  for (let table = from; table !== to; table += step)
    flows.push(`table=${table},actions=resubmit(,${table + step})`);
  return [...flows, `table=${to},actions=output:2`];
};

const depth = of("ovs-actions(7), recursion too deep", [
  {
    name: "to later tables are as deep as there are tables",
    flows: chain(0, 253),
    in: [1, frame],
    out: { 2: frame },
  },
  {
    name: "to earlier tables are 64 deep",
    flows: ["table=0,actions=resubmit(,65)", ...chain(65, 1)],
    in: [1, frame],
    out: { 2: frame },
  },
  {
    name: "deeper the packet is dropped",
    flows: ["table=0,actions=resubmit(,66)", ...chain(66, 1)],
    in: [1, frame],
  },
]);

const written = of("ovs-actions(7), output", [
  {
    name: "0 in in_port lets a packet out of the port that it came by",
    flows: ["actions=load:0->NXM_OF_IN_PORT[],output:1,output:2"],
    in: [1, frame],
    out: { 1: frame, 2: frame },
  },
  {
    name: "it does in a list of actions, and not after it is restored",
    flows: ["actions=push:NXM_OF_IN_PORT[],load:0->NXM_OF_IN_PORT[],1,pop:NXM_OF_IN_PORT[],1,in_port"],
    in: [1, frame],
    out: { 1: [frame, frame] },
  },
  {
    name: "IN_PORT is the port that was written",
    flows: ["actions=set_field:2->in_port,in_port,output:2,output:1"],
    in: [1, frame],
    out: { 1: frame, 2: frame },
  },
  {
    name: "16 bits name the reserved ports, too",
    flows: [
      "table=0,actions=load:0xfffe->NXM_OF_IN_PORT[],in_port,resubmit(,1)",
      "table=1,in_port=LOCAL,actions=output:2",
    ],
    in: [1, frame],
    out: { [OFPP.LOCAL]: frame, 2: frame },
  },
  {
    name: "ALL leaves out the port that was written",
    flows: ["actions=load:2->NXM_OF_IN_PORT[],all"],
    in: [1, frame],
    out: { [OFPP.LOCAL]: frame, 1: frame, 3: frame, 4: frame },
  },
  {
    name: "lookups match the port that was written",
    flows: [
      "table=0,actions=load:2->NXM_OF_IN_PORT[],resubmit(,1)",
      "table=1,in_port=2,actions=output:1,2,3",
    ],
    in: [1, frame],
    out: { 1: frame, 3: frame },
  },
  {
    name: "what is written in a clone or a bucket is gone after it",
    flows: ["actions=clone(load:0->NXM_OF_IN_PORT[],output:1),output:1,output:2"],
    in: [1, frame],
    out: { 1: frame, 2: frame },
  },
  {
    name: "it outlasts recirculation",
    flows: [
      "table=0,mpls,actions=load:0->NXM_OF_IN_PORT[],pop_mpls:0x0800,resubmit(,1)",
      "table=1,udp,actions=output:1,output:2",
    ],
    in: [1, f.mpls([{ label: 7 }], frame)],
    out: { 1: frame, 2: frame },
  },
]);

const told: Case[] = [
  {
    section: "ovs-actions(7), output",
    name: "a packet-in tells the port that was written",
    flows: ["actions=load:3->NXM_OF_IN_PORT[],controller"],
    in: [1, frame],
    packetIn: [{ match: { in_port: 3 } as never }],
  },
  {
    section: "ovs-ofctl(8), -P nxt_packet_in",
    name: "packet-ins in Nicira's first format",
    run: async (sw) => {
      await sw.ok({ type: "NXT_SET_PACKET_IN_FORMAT", format: "NXPIF_NXT_PACKET_IN" });
      await sw.ok(
        flowMod("table=0,cookie=7,actions=load:5->NXM_NX_REG3[],set_field:9->metadata,goto_table:2"),
        flowMod("table=2,cookie=0x123,actions=controller(max_len=20)"),
      );
      expect(await sw.frame(4, frame)).toEqual({});
      const packetIns = await sw.unasked("NXT_PACKET_IN", 1);
      expect(packetIns).toMatchObject([
        {
          buffer_id: 0xffff_ffff,
          total_len: frame.length,
          reason: 1,
          table_id: 2,
          cookie: 0x123n,
          match: { nxm_of_in_port: 4, reg3: 5, metadata: 9n },
        },
      ]);
      // Not buffered, and so whole.
      expect(packetIns[0]!.data).toEqual(frame);
    },
  },
];

conformance(
  "The port that a packet came by",
  [...resubmits, ...depth, ...written, ...told],
  ["inline", "worker"],
);
