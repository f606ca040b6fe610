import { expect, test } from "vitest";
import { frame, output, TestBench } from "./bench.testkit.js";
import { formatTrace, trace } from "./trace.js";
import { OFPP } from "./xlate/reserved.js";

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

Megaflow: recirc_id=0,in_port=1,vlan_tci=0x0000/0x1fff,dl_src=00:00:00:00:00:01,dl_type=0x1234
Datapath actions: set(eth_dst=0x000000000009),2,2,3
`);
  expect(bench.bridge.macs()).toEqual([]);
  expect((await bench.dump()).map((flow) => flow.packet_count)).toEqual([0n, 0n]);
});

test("a trace says why a packet is dropped", async () => {
  const bench = await TestBench.open(1);
  expect(trace(bench.bridge, { match: { in_port: 1 } }).dropped).toBe("no match");
  bench.flow({ in_port: 1, eth_type: 0x0800 }, [{ type: "OFPAT_DEC_NW_TTL" }]);
  expect(trace(bench.bridge, { match: { in_port: 1, eth_type: 0x0800 } }).dropped).toBeUndefined();
  bench.flow({}, []);
  expect(trace(bench.bridge, { match: { in_port: 1 } }).dropped).toBe("no action sends it anywhere");
});
