import { type ActionInit, OFP_NO_BUFFER, OFPP, OFPPC, parseActions } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, groupMod, type Session } from "../support/conformance/session.js";

const LOCAL = OFPP.LOCAL;
const to = (...ports: readonly number[]): Record<number, Uint8Array> =>
  Object.fromEntries(ports.map((port) => [port, f.udp4()]));

const reserved: Case[] = [
  {
    section: "§4.5",
    name: "ALL is every port but the one that the packet came in by",
    flows: ["actions=all"],
    in: [1, f.udp4()],
    out: to(2, 3, 4, LOCAL),
  },
  {
    section: "§4.5",
    name: "FLOOD is every port but the one that the packet came in by",
    flows: ["actions=flood"],
    in: [2, f.udp4()],
    out: to(1, 3, 4, LOCAL),
  },
  { section: "§4.5", name: "IN_PORT sends back", flows: ["actions=in_port"], in: [3, f.udp4()], out: to(3) },
  {
    section: "§4.5",
    name: "a packet leaves by the port that it came in by only by IN_PORT",
    flows: ["actions=output:1,output:2"],
    in: [1, f.udp4()],
    out: to(2),
  },
  {
    section: "§4.5",
    name: "LOCAL sends to the switch's own port",
    flows: ["actions=local"],
    in: [1, f.udp4()],
    out: to(LOCAL),
  },
  {
    section: "§4.5",
    name: "a packet from LOCAL matches in_port LOCAL",
    flows: ["in_port=local,actions=output:2"],
    in: [LOCAL, f.udp4()],
    out: to(2),
  },
  {
    section: "§4.5",
    name: "an output to a port that is not there does nothing",
    flows: ["actions=output:99,output:2"],
    in: [1, f.udp4()],
    out: to(2),
  },
  {
    section: "OVS",
    name: "an output to TABLE sends the packet as it is by then through the tables, and goes on",
    flows: [
      "priority=65535,udp,tp_dst=7,actions=output:2",
      "udp,actions=set_field:7->udp_dst,TABLE,output:3",
    ],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ dst_port: 7 }), 3: f.udp4({ dst_port: 7 }) },
  },
  {
    section: "OVS",
    name: "an output to TABLE in an action set",
    flows: [
      "actions=set_field:1->reg0,write_actions(output:TABLE)",
      "priority=65535,reg0=1,actions=output:3",
    ],
    in: [2, f.udp4()],
    out: to(3),
  },
  {
    section: "OVS",
    name: "what TABLE sends round and round is dropped",
    flows: ["actions=output:2,TABLE"],
    in: [1, f.udp4()],
  },
  {
    section: "§4.5",
    name: "an output to a port that comes later takes effect when it does",
    run: async (sw) => {
      await sw.bench.removePort(4);
      await sw.flows("actions=output:4");
      expect(await sw.ports(1, f.udp4())).toEqual([]);
      await sw.bench.addPort(4);
      await sw.client.settle();
      expect(await sw.ports(1, f.udp4())).toEqual([4]);
    },
  },
  ...(
    [
      ["0", 0, "accepted"],
      ["ANY", OFPP.ANY, "OFPBAC_BAD_OUT_PORT"],
      ["between MAX and the reserved ports", 0xffff_ff10, "OFPBAC_BAD_OUT_PORT"],
      ["not there yet", 1000, "accepted"],
    ] as const
  ).map(
    ([name, port, code]): Case => ({
      section: "§7.4.4",
      name: `a flow to port ${name}: ${code}`,
      run: async (sw) => {
        expect(
          await sw.verdict({
            type: "OFPT_FLOW_MOD",
            command: "OFPFC_ADD",
            instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port }] }],
          }),
        ).toBe(code);
      },
    }),
  ),
  {
    section: "§4.5",
    name: "NORMAL floods a broadcast, learns its source and sends answers there",
    run: async (sw) => {
      await sw.flows("actions=normal");
      expect((await sw.ports(1, f.arpFrame())).sort()).toEqual([2, 3, 4, LOCAL]);
      expect(await sw.ports(2, f.udp4({ eth: { src: f.MAC_B, dst: f.MAC_A } }))).toEqual([1]);
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
    },
  },
  {
    section: "§4.5",
    name: "NORMAL follows a host that moves to another port",
    run: async (sw) => {
      await sw.flows("actions=normal");
      await sw.frame(1, f.arpFrame());
      await sw.frame(3, f.arpFrame());
      expect(await sw.ports(2, f.udp4({ eth: { src: f.MAC_B, dst: f.MAC_A } }))).toEqual([3]);
    },
  },
  {
    section: "ovs-vswitchd.conf.db(5), forward-bpdu",
    name: "NORMAL does not forward what neighbours say to each other",
    run: async (sw) => {
      await sw.flows("actions=normal");
      for (const dst of CONTROL)
        expect([dst, await sw.ports(1, f.other(0x88cc, f.DATA, { dst }))]).toEqual([dst, []]);
      for (const dst of ORDINARY)
        expect([dst, await sw.ports(1, f.other(0x88cc, f.DATA, { dst }))]).toMatchObject([
          dst,
          { length: 4 },
        ]);
    },
  },
];

const CONTROL = [
  ...["00", "01", "0e", "0f"].map((end) => `01:80:c2:00:00:${end}`),
  ...["00", "04", "06"].map((end) => `00:e0:2b:00:00:${end}`),
  ...["cc:cc:cc", "cc:cc:cd", "cc:cc:c0", "cd:cd:cd", "00:00:00"].map((end) => `01:00:0c:${end}`),
];
const ORDINARY = ["01:80:c2:00:00:10", "00:e0:2b:00:00:05", "01:00:0c:cc:cc:d0"];

/** §7.3.7. */
const out = (in_port: number, actions: string, data: Uint8Array = f.udp4()) => ({
  type: "OFPT_PACKET_OUT" as const,
  in_port,
  actions: parseActions(actions) as ActionInit[],
  data,
});
const packetOut: Case[] = (
  [
    ["to a port", [], out(OFPP.CONTROLLER, "output:2"), { 2: [f.udp4()] }],
    ["without actions drops", [], out(OFPP.CONTROLLER, ""), {}],
    [
      "with several actions",
      [],
      out(OFPP.CONTROLLER, "output:2,set_field:0a:0b:0c:0d:0e:0f->eth_src,output:3"),
      { 2: [f.udp4()], 3: [f.udp4({ eth: { src: "0a:0b:0c:0d:0e:0f" } })] },
    ],
    [
      "to TABLE goes through the tables as from in_port",
      ["priority=2,in_port=3,actions=output:4", "priority=1,actions=output:2"],
      out(3, "output:TABLE"),
      { 4: [f.udp4()] },
    ],
    [
      "to TABLE matches in_port CONTROLLER",
      ["priority=2,in_port=controller,actions=output:4", "priority=1,actions=output:2"],
      out(OFPP.CONTROLLER, "output:TABLE"),
      { 4: [f.udp4()] },
    ],
    [
      "to ALL leaves in_port out",
      [],
      out(1, "all"),
      { 2: [f.udp4()], 3: [f.udp4()], 4: [f.udp4()], [LOCAL]: [f.udp4()] },
    ],
    [
      "to FLOOD from CONTROLLER goes to every port",
      [],
      out(OFPP.CONTROLLER, "flood"),
      { 1: [f.udp4()], 2: [f.udp4()], 3: [f.udp4()], 4: [f.udp4()], [LOCAL]: [f.udp4()] },
    ],
    [
      "to NORMAL from CONTROLLER goes to every port",
      [],
      out(OFPP.CONTROLLER, "normal"),
      { 1: [f.udp4()], 2: [f.udp4()], 3: [f.udp4()], 4: [f.udp4()], [LOCAL]: [f.udp4()] },
    ],
    [
      "to NORMAL from no port goes to every port",
      [],
      out(OFPP.ANY, "normal"),
      { 1: [f.udp4()], 2: [f.udp4()], 3: [f.udp4()], 4: [f.udp4()], [LOCAL]: [f.udp4()] },
    ],
    ["to IN_PORT goes out of in_port", [], out(4, "in_port"), { 4: [f.udp4()] }],
    ["to the number of in_port does nothing", [], out(4, "output:4"), {}],
    ["through a group", [], out(OFPP.CONTROLLER, "group:1"), { 2: [f.udp4()], 3: [f.udp4()] }],
    [
      "changes what set_field says, with checksums",
      [],
      out(OFPP.CONTROLLER, "set_field:1.2.3.4->ip_src,output:2"),
      { 2: [f.udp4({ ip: { src: "1.2.3.4" } })] },
    ],
  ] as const
).map(
  ([name, flows, message, expected]): Case => ({
    section: "§7.3.7",
    name: `packet-out ${name}`,
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:2,bucket=actions=output:3"));
      await sw.flows(...flows);
      await sw.ok(message);
      expect(await sw.sent()).toEqual(expected);
    },
  }),
);
const packetOutNormal: Case = {
  section: "§4.5",
  name: "packet-outs to NORMAL teach where a port's addresses are, and find them",
  run: async (sw) => {
    await sw.ok(out(2, "normal", f.udp4({ eth: { src: f.MAC_B, dst: f.MAC_A } })));
    await sw.sent();
    await sw.ok(out(OFPP.CONTROLLER, "normal"));
    expect(await sw.sent()).toEqual({ 2: [f.udp4()] });
  },
};
const packetOutIn: Case = {
  section: "§7.4.1",
  name: "a packet-out to the controller comes back as a packet-in of no one flow",
  run: async (sw) => {
    await sw.ok(out(3, "controller"));
    expect(await sw.unasked("OFPT_PACKET_IN", 1)).toMatchObject([
      { reason: "OFPR_ACTION", cookie: 0xffff_ffff_ffff_ffffn, match: { in_port: 3 }, data: f.udp4() },
    ]);
  },
};
const packetOutErrors: Case[] = (
  [
    ["in_port 0", out(0, "output:2"), "accepted"],
    ["in_port TABLE", out(OFPP.TABLE, "output:2"), "OFPBRC_BAD_PORT"],
    [
      "an unknown buffer",
      { ...out(1, "output:2", new Uint8Array(0)), buffer_id: 77 },
      "OFPBRC_BUFFER_UNKNOWN",
    ],
    [
      "an output to ANY",
      { ...out(1, ""), actions: [{ type: "OFPAT_OUTPUT", port: OFPP.ANY }] },
      "OFPBAC_BAD_OUT_PORT",
    ],
    ["a group that is not there", out(1, "group:99"), "OFPBAC_BAD_OUT_GROUP"],
    ["dec_ttl for an ARP packet", out(1, "dec_ttl,output:2", f.arpFrame()), "OFPBAC_MATCH_INCONSISTENT"],
    ["dec_ttl for an IP packet", out(1, "dec_ttl,output:2"), "accepted"],
    ["pop_vlan for a packet without a tag", out(1, "pop_vlan,output:2"), "OFPBAC_MATCH_INCONSISTENT"],
    ["set_field of tcp_dst for UDP", out(1, "set_field:5->tcp_dst,output:2"), "OFPBAC_MATCH_INCONSISTENT"],
    ["set_field of udp_dst for UDP", out(1, "set_field:5->udp_dst,output:2"), "accepted"],
  ] as const
).map(
  ([name, message, code]): Case => ({
    section: "§7.4.4",
    name: `packet-out with ${name}: ${code}`,
    run: async (sw) => expect(await sw.verdict(message)).toBe(code),
  }),
);

/** §7.4.1. */
const packetIns: Case[] = [
  {
    section: "§7.4.1",
    name: "a packet-in has the whole packet and no buffer when OFPCML_NO_BUFFER is asked for",
    flows: ["cookie=0x77,actions=controller"],
    in: [3, f.udp6()],
    packetIn: [
      {
        buffer_id: OFP_NO_BUFFER,
        total_len: f.udp6().length,
        reason: "OFPR_ACTION",
        table_id: 0,
        cookie: 0x77n,
        match: { in_port: 3 },
        data: f.udp6(),
      },
    ],
  },
  {
    section: "§7.4.1",
    name: "a packet-in shows metadata and tunnel_id, and the table and cookie of the flow that sent it",
    flows: [
      "cookie=1,actions=write_metadata:0x1234/0xffff,goto_table:1",
      "table=1,cookie=2,actions=set_field:9->tun_id,controller",
    ],
    in: [1, f.udp4()],
    packetIn: [{ table_id: 1, cookie: 2n, match: { in_port: 1, metadata: 0x1234n, tunnel_id: 9n } }],
  },
  {
    section: "§7.4.1",
    name: "a packet-in shows the packet as the actions before it left it",
    flows: ["udp,actions=set_field:9->udp_src,controller,set_field:10->udp_src,output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ src_port: 10 }) },
    packetIn: [{ data: f.udp4({ src_port: 9 }), reason: "OFPR_ACTION" }],
  },
  {
    section: "§7.4.1",
    name: "a packet-in has the VLAN tag in its data",
    flows: ["actions=controller"],
    in: [1, f.udp4({ eth: f.tagged({ vid: 5, pcp: 3 }) })],
    packetIn: [{ data: f.udp4({ eth: f.tagged({ vid: 5, pcp: 3 }) }) }],
  },
  {
    section: "§7.4.1",
    name: "two outputs to the controller are two packet-ins",
    flows: ["actions=controller,controller"],
    in: [1, f.udp4()],
    packetIn: [{ data: f.udp4() }, { data: f.udp4() }],
  },
  {
    section: "§6.1.2",
    name: "a packet-in cut to max_len leaves the packet in a buffer, from which a packet-out sends it",
    ovs: "has no packet buffers",
    run: async (sw) => {
      await sw.flows("actions=controller:20");
      await sw.frame(1, f.udp4());
      const [packetIn] = await sw.unasked("OFPT_PACKET_IN", 1);
      expect(packetIn).toMatchObject({ total_len: f.udp4().length, data: f.udp4().slice(0, 20) });
      const { buffer_id } = packetIn!;
      expect(buffer_id).not.toBe(OFP_NO_BUFFER);
      await sw.ok({ ...out(1, "output:2", new Uint8Array(0)), buffer_id });
      expect(await sw.sent()).toEqual({ 2: [f.udp4()] });
      expect(await sw.verdict({ ...out(1, "output:2", new Uint8Array(0)), buffer_id })).toBe(
        "OFPBRC_BUFFER_EMPTY",
      );
    },
  },
  {
    section: "§7.3.4.1",
    name: "a flow_mod with a buffer sends the buffered packet through the tables",
    ovs: "has no packet buffers",
    run: async (sw) => {
      await sw.flows("priority=1,actions=controller:20");
      await sw.frame(1, f.udp4());
      const [packetIn] = await sw.unasked("OFPT_PACKET_IN", 1);
      await sw.ok({
        ...flowMod("priority=2,in_port=1,udp,actions=output:2"),
        buffer_id: packetIn!.buffer_id,
      });
      expect(await sw.sent()).toEqual({ 2: [f.udp4()] });
    },
  },
  {
    section: "§7.3.2",
    name: "miss_send_len cuts what a TTL that ran out sends",
    ovs: "has no packet buffers",
    run: async (sw) => {
      await sw.ok(
        { type: "OFPT_SET_CONFIG", flags: 0, miss_send_len: 30 },
        {
          type: "OFPT_SET_ASYNC",
          packet_in_mask: [7, 0],
          port_status_mask: [7, 7],
          flow_removed_mask: [15, 0],
        },
      );
      await sw.flows("ip,actions=dec_ttl,output:2");
      await sw.frame(1, f.udp4({ ip: { ttl: 1 } }));
      const [packetIn] = await sw.unasked("OFPT_PACKET_IN", 1);
      expect(packetIn!.data).toHaveLength(30);
    },
  },
];

const portOf = async (sw: Session, port_no: number) => {
  const { entries } = await sw.multipart({ type: "OFPMP_PORT_DESC" });
  return entries.find((port) => port.port_no === port_no)!;
};
const portMod = async (sw: Session, port_no: number, config: number, mask: number = config) => ({
  type: "OFPT_PORT_MOD" as const,
  port_no,
  hw_addr: (await portOf(sw, port_no)).hw_addr,
  config,
  mask,
  advertise: 0,
});

/** §7.3.4.3 and the bits of §7.2.1. */
const portMods: Case[] = [
  {
    section: "§7.2.1",
    name: "NO_RECV drops what comes in by the port",
    run: async (sw) => {
      await sw.flows("actions=output:3");
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      await sw.ok(await portMod(sw, 1, OFPPC.NO_RECV));
      expect(await sw.ports(1, f.udp4())).toEqual([]);
      expect(await sw.ports(2, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "§7.2.1",
    name: "NO_FWD drops what would leave by the port",
    run: async (sw) => {
      await sw.flows("actions=output:2,output:3");
      await sw.ok(await portMod(sw, 2, OFPPC.NO_FWD));
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "§7.2.1",
    name: "NO_FWD leaves the port out of ALL and FLOOD",
    run: async (sw) => {
      await sw.flows("actions=all");
      await sw.ok(await portMod(sw, 2, OFPPC.NO_FWD));
      expect(await sw.ports(1, f.udp4())).toEqual([3, 4, LOCAL]);
    },
  },
  {
    section: "§7.2.1",
    name: "NO_PACKET_IN sends no packet-in for a table miss by the port",
    run: async (sw) => {
      await sw.flows("priority=0,actions=controller");
      await sw.ok(await portMod(sw, 1, OFPPC.NO_PACKET_IN));
      await sw.frame(1, f.udp4());
      await sw.frame(2, f.udp4());
      expect(await sw.unasked("OFPT_PACKET_IN", 1)).toMatchObject([{ match: { in_port: 2 } }]);
    },
    ovs: "sends what a table-miss flow sends, whatever the port's configuration",
  },
  {
    section: "§7.2.1",
    name: "PORT_DOWN neither receives nor forwards",
    run: async (sw) => {
      await sw.flows("priority=2,in_port=2,actions=output:1", "priority=1,actions=output:2,output:3");
      await sw.ok(await portMod(sw, 2, OFPPC.PORT_DOWN));
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      expect(await sw.ports(2, f.udp4())).toEqual([]);
      await sw.ok(await portMod(sw, 2, 0, OFPPC.PORT_DOWN));
      expect(await sw.ports(1, f.udp4())).toEqual([2, 3]);
    },
    ovs: "leaves it to the device, and its dummy devices send while they are down",
  },
  {
    section: "§7.3.4.3",
    name: "only the bits of the mask change, and the description shows them",
    run: async (sw) => {
      await sw.ok(await portMod(sw, 2, OFPPC.NO_FWD | OFPPC.NO_RECV));
      await sw.ok(await portMod(sw, 2, 0, OFPPC.NO_RECV));
      expect((await portOf(sw, 2)).config).toBe(OFPPC.NO_FWD);
    },
  },
  {
    section: "§7.4.3",
    name: "a port_mod is told to other controllers by a port status",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await sw.ok(await portMod(sw, 2, OFPPC.NO_FWD));
      expect(await other.unasked()).toMatchObject([
        { reason: "OFPPR_MODIFY", desc: { port_no: 2, name: "p2", config: OFPPC.NO_FWD } },
      ]);
      expect(await sw.client.unasked()).toEqual([]);
    },
  },
  {
    section: "§7.4.3",
    name: "a port_mod that changes nothing is told to nobody",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await sw.ok(await portMod(sw, 2, 0, OFPPC.NO_FWD), await portMod(sw, 2, OFPPC.NO_FWD, 0));
      expect(await other.unasked()).toEqual([]);
    },
  },
  ...(
    [
      ["a port that is not there", { port_no: 99 }, "OFPPMFC_BAD_PORT"],
      ["another address", { hw_addr: "00:00:00:00:00:99" }, "OFPPMFC_BAD_HW_ADDR"],
      ["bits that are not defined", { config: 1 << 20, mask: 1 << 20 }, "OFPPMFC_BAD_CONFIG"],
    ] as const
  ).map(
    ([name, change, code]): Case => ({
      section: "§7.4.4",
      name: `port_mod with ${name}: ${code}`,
      ...(code === "OFPPMFC_BAD_CONFIG" ? { ovs: "ignores them" } : {}),
      run: async (sw) => {
        expect(await sw.verdict({ ...(await portMod(sw, 2, OFPPC.NO_FWD)), ...change })).toBe(code);
      },
    }),
  ),
];

const portStatus: Case[] = [
  {
    section: "§7.4.3",
    name: "a port that loses its link and gets it back is told of",
    run: async (sw) => {
      await sw.client.unasked();
      await sw.bench.carrier(2, false);
      const down = await sw.unasked("OFPT_PORT_STATUS");
      expect(down.at(-1)).toMatchObject({ reason: "OFPPR_MODIFY", desc: { port_no: 2 } });
      expect(down.at(-1)!.desc.state & 1).toBe(1);
      await sw.bench.carrier(2, true);
      const up = await sw.unasked("OFPT_PORT_STATUS");
      expect(up.at(-1)!.desc.state & 1).toBe(0);
    },
  },
  {
    section: "§7.4.3",
    name: "a port that goes and comes is told of",
    run: async (sw) => {
      await sw.client.unasked();
      await sw.bench.removePort(4);
      expect(await sw.unasked("OFPT_PORT_STATUS")).toMatchObject([
        { reason: "OFPPR_DELETE", desc: { port_no: 4, name: "p4" } },
      ]);
      await sw.bench.addPort(4);
      const added = await sw.unasked("OFPT_PORT_STATUS");
      expect(added[0]).toMatchObject({ reason: "OFPPR_ADD", desc: { port_no: 4, name: "p4" } });
    },
  },
];

conformance(
  "§4, §7.2.1, §7.3.7, §7.4 ports and packets",
  [
    ...reserved,
    ...packetOut,
    packetOutIn,
    packetOutNormal,
    ...packetOutErrors,
    ...packetIns,
    ...portMods,
    ...portStatus,
  ],
  ["inline", "worker"],
);
