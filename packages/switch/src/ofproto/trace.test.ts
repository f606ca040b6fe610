import type { Clock } from "@sluice/runtime";
import { fromHex } from "@sluice/wire";
import { expect, test } from "vitest";
import { createUserspaceDpif } from "../datapath/userspace/dpif.js";
import { DummyHub } from "../netdev/dummy.js";
import { cableRig, frame, output, quiet, type Rig, TestBench } from "./bench.testkit.js";
import { trace } from "./trace.js";
import { formatTrace, traceToJson } from "./trace-text.js";
import { OFPP } from "./xlate/reserved.js";

function userspaceRig(clock: Clock): Rig {
  const dummies = new DummyHub();
  return cableRig(createUserspaceDpif({ clock, log: quiet, host: "inline", dummies }), dummies);
}

test("a trace tells table by table what matched and what was done, and has no effect", async () => {
  const bench = await TestBench.open(3);
  bench.bridge.flowMod({
    command: "OFPFC_ADD",
    match: { in_port: 1 },
    cookie: 0xabn,
    instructions: [
      {
        type: "OFPIT_APPLY_ACTIONS",
        actions: [{ type: "OFPAT_SET_FIELD", field: { eth_dst: "00:00:00:00:00:09" } }],
      },
      { type: "OFPIT_GOTO_TABLE", table_id: 2 },
    ],
  });
  bench.flow({ eth_dst: "00:00:00:00:00:09" }, [output(2), output(OFPP.NORMAL)], {
    table_id: 2,
    priority: 7,
  });
  const traced = trace(bench.bridge, { packet: frame(1, 2), in_port: 1 });
  expect(
    formatTrace(traced),
  ).toBe(`Flow: in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,dl_type=0x1234

bridge("br0")
-------------
 0. in_port=1, priority 32768, cookie 0xab
    set_field:00:00:00:00:00:09->eth_dst
    goto_table:2
 2. dl_dst=00:00:00:00:00:09, priority 7
    output:2
    NORMAL
     -> no learned MAC for 00:00:00:00:00:09, flooding

Final flow: in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:09,dl_type=0x1234
Megaflow: recirc_id=0,eth,in_port=1,vlan_tci=0x0000/0x1fff,dl_src=00:00:00:00:00:01,dl_type=0x1234
Datapath actions: set(eth(dst=00:00:00:00:00:09)),2,2,3
`);
  expect(bench.bridge.macs()).toEqual([]);
  expect((await bench.dump()).map((flow) => flow.packet_count)).toEqual([0n, 0n]);
});

test("a trace says why a packet is dropped", async () => {
  const bench = await TestBench.open(1);
  const reason = (match = {}) => trace(bench.bridge, { match: { in_port: 1, ...match } }).dropped;
  expect(reason()).toBe("no match in table 0");
  bench.flow({ in_port: 1, eth_type: 0x0800 }, [{ type: "OFPAT_DEC_NW_TTL" }]);
  expect(reason({ eth_type: 0x0800 })).toBeUndefined();
  bench.flow({ eth_type: 0x0806 }, [output(1)]);
  expect(reason({ eth_type: 0x0806 })).toBe("output to the input port needs IN_PORT");
  bench.flow({ eth_type: 0x0807 }, [output(9)]);
  expect(reason({ eth_type: 0x0807 })).toBe("there is no port 9");
  bench.flow({ eth_type: 0x0808 }, [{ type: "NXAST_RESUBMIT_TABLE", in_port: 0xfff8, table: 7 }]);
  expect(reason({ eth_type: 0x0808 })).toBe("no match in table 7");
  bench.flow({}, []);
  expect(reason()).toBe("the flow in table 0 has no actions");
});

test("what is nested is indented, but for the tables that a last action leads to", async () => {
  const bench = await TestBench.open(3);
  const resubmit = { type: "NXAST_RESUBMIT_TABLE", in_port: 0xfff8, table: 1 } as const;
  const group_type = "OFPGT_ALL";
  const buckets = [{ actions: [output(2)] }, { actions: [output(3)] }];
  bench.bridge.groupMod({ command: "OFPGC_ADD", group_type, group_id: 5, buckets });
  bench.flow({ in_port: 1 }, [resubmit, { type: "OFPAT_GROUP", group_id: 5 }]);
  bench.flow({ in_port: 2 }, [resubmit]);
  bench.flow({}, [output(3)], { table_id: 1, priority: 1 });
  const steps = (in_port: number): string[] => {
    const lines = formatTrace(trace(bench.bridge, { match: { in_port } })).split("\n");
    return lines.slice(4, lines.indexOf("", 4));
  };
  expect(steps(1)).toEqual([
    " 0. in_port=1, priority 32768",
    "    resubmit(,1)",
    "     1. priority 1",
    "            output:3",
    "    group:5",
    "    bucket 0",
    "            output:2",
    "    bucket 1",
    "            output:3",
  ]);
  expect(steps(2)).toEqual([
    " 0. in_port=2, priority 32768",
    "    resubmit(,1)",
    " 1. priority 1",
    "    output:3",
  ]);
});

test("a trace as JSON has the rules, the flow before and after, and the actions", async () => {
  const bench = await TestBench.open(2);
  const set = { type: "OFPAT_SET_FIELD", field: { ipv4_dst: "10.0.0.9" } } as const;
  bench.flow({ eth_type: 0x0800 }, [set, output(2)], { cookie: 7n });
  const json = traceToJson(trace(bench.bridge, { match: { in_port: 1, eth_type: 0x0800, ip_proto: 6 } }));
  expect(JSON.parse(JSON.stringify(json))).toMatchObject({
    bridge: "br0",
    flow: { in_port: 1, eth_type: 0x0800, ip_proto: 6, ipv4_dst: "0.0.0.0" },
    steps: [
      { kind: "bridge", bridge: "br0" },
      { kind: "table", table_id: 0, rule: { priority: 32768, match: { eth_type: 0x0800 } } },
      { kind: "action", text: "set_field:10.0.0.9->ip_dst" },
      { kind: "action", text: "output:2" },
    ],
    final_flow: { ipv4_dst: "10.0.0.9" },
    megaflow: { in_port: 1, eth_type: 0x0800 },
    actions: [
      { type: "set_field", field: "ipv4_dst", value: "0a000009" },
      { type: "output", port: 2 },
    ],
    datapath_actions: "set(ipv4(dst=10.0.0.9)),2",
    dropped: null,
  });
});

/** A UDP packet under an MPLS label: 10.0.0.1 to 10.0.0.2, port 53. */
const LABELLED = fromHex(
  "000000000002000000000001" +
    "8847" +
    "0000714045000020000000004011" +
    "66cb0a0000010a000002" +
    "00350035000c0000" +
    "00000000".repeat(5),
);

test("a trace goes on where the packet is recirculated, with the bytes that it has by then", async () => {
  const bench = await TestBench.over(userspaceRig, 2);
  const pop = [{ type: "OFPAT_POP_MPLS", ethertype: 0x0800 }] as const;
  bench.bridge.flowMod({
    command: "OFPFC_ADD",
    match: { eth_type: 0x8847 },
    instructions: [
      { type: "OFPIT_APPLY_ACTIONS", actions: [...pop] },
      { type: "OFPIT_GOTO_TABLE", table_id: 1 },
    ],
  });
  bench.flow({ eth_type: 0x0800, ip_proto: 17, udp_dst: 53 }, [output(2)], { table_id: 1 });
  const traced = trace(bench.bridge, { packet: LABELLED, in_port: 1 });
  const text = formatTrace(traced);
  const ruler = "=".repeat(79);
  expect(text).toMatch(/Datapath actions: pop_mpls\(eth_type=0x800\),recirc\(0x1\)\n\n=/);
  expect(text).toContain(`\n${ruler}\nrecirc(0x1)\n${ruler}\n\nFlow: recirc_id=0x1,`);
  expect(text).toContain("    thaw\n        Resuming from table 0\n");
  expect(text).toMatch(/ 1\. udp,tp_dst=53, priority 32768\n {4}output:2\n[\s\S]*\nDatapath actions: 2\n$/);
  expect(traced.dropped).toBeUndefined();
  expect(traceToJson(traced)).toMatchObject({
    recirculated: [{ recirc_id: 1, flow: { udp_dst: 53 }, datapath_actions: "2", recirculated: [] }],
  });

  // Of a flow without bytes the headers under the label are 0.
  const flow = trace(bench.bridge, { match: { in_port: 1, eth_type: 0x8847, mpls_label: 7 } });
  expect(flow.dropped).toBe("no match in table 1");
  expect(formatTrace(flow)).toMatch(/\nDropped: no match in table 1\n$/);
  expect(flow.recirculated[0]!.flow).toMatchObject({ eth_type: 0x0800, ip_proto: 0, ipv4_dst: "0.0.0.0" });
});

test("a trace of a packet that goes round and round in two ways each time comes to an end", async () => {
  const bench = await TestBench.open(1);
  bench.flow({}, [
    { type: "NXAST_CHECK_PKT_LARGER", pkt_len: 200, offset: 0, dst: "reg0" },
    { type: "NXAST_RESUBMIT_TABLE", in_port: 0xfff8, table: 0 },
  ]);
  const traced = trace(bench.bridge, { match: { in_port: 1 } });
  const count = ({ recirculated }: Pick<typeof traced, "recirculated">): number =>
    1 + recirculated.reduce((sum, one) => sum + count(one), 0);
  expect(count(traced)).toBe(65);
});
