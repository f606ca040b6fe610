import { describe, expect, test } from "vitest";
import { frame, output, TestBench } from "./bench.testkit.js";
import type { OfpError } from "./error.js";
import { parseSubfield } from "./eviction.js";
import type { FlowMod } from "./of.js";
import { OFPP } from "./xlate/reserved.js";

const refusal = (body: () => void): string => {
  try {
    body();
  } catch (error) {
    return (error as OfpError).error_code;
  }
  return "accepted";
};

describe("§5.4 a packet", () => {
  test("goes where the flow of the highest priority says", async () => {
    const bench = await TestBench.open(3);
    bench.flow({}, [output(2)], { priority: 1 });
    bench.flow({ eth_dst: "00:00:00:00:00:09" }, [output(3)], { priority: 2 });
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
    expect(await bench.receive("p1", frame(1, 9))).toEqual(["p3"]);
  });

  test("is dropped when no flow matches it", async () => {
    const bench = await TestBench.open(2);
    expect(await bench.receive("p1", frame(1, 2))).toEqual([]);
    expect(bench.packetIns).toEqual([]);
  });

  test("does not go back by its input port but for IN_PORT", async () => {
    const bench = await TestBench.open(2);
    bench.flow({}, [output(1), output(2), output(OFPP.IN_PORT)]);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2", "p1"]);
  });

  test("to ALL goes out of every port but its own", async () => {
    const bench = await TestBench.open(3);
    bench.flow({}, [output(OFPP.ALL)]);
    expect(await bench.receive("p2", frame(1, 2))).toEqual(["p1", "p3"]);
  });
});

describe("§7.4.1 a packet-in", () => {
  test("of a table-miss entry has reason NO_MATCH, the entry's cookie and the port", async () => {
    const bench = await TestBench.open(2);
    bench.flow({}, [output(OFPP.CONTROLLER, 64)], { priority: 0, cookie: 7n });
    const packet = frame(1, 2);
    await bench.receive("p2", packet);
    expect(bench.packetIns).toEqual([
      {
        reason: "OFPR_NO_MATCH",
        table_id: 0,
        cookie: 7n,
        max_len: 64,
        controllerId: 0,
        match: { in_port: 2 },
        data: packet,
        total_len: 60,
      },
    ]);
  });

  test("of another flow has reason ACTION, and the metadata", async () => {
    const bench = await TestBench.open(1);
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      instructions: [
        { type: "OFPIT_GOTO_TABLE", table_id: 5 },
        { type: "OFPIT_WRITE_METADATA", metadata: 0x12n, metadata_mask: 0xffn },
      ],
    });
    bench.flow({}, [output(OFPP.CONTROLLER)], { table_id: 5, priority: 3 });
    await bench.receive("p1", frame(1, 2));
    expect(bench.packetIns[0]).toMatchObject({
      reason: "OFPR_ACTION",
      table_id: 5,
      match: { in_port: 1, metadata: 0x12n },
    });
  });

  test("comes for each packet, from the cached flow too", async () => {
    const bench = await TestBench.open(1);
    bench.flow({}, [output(OFPP.CONTROLLER)], { priority: 0 });
    for (let i = 0; i < 3; i++) await bench.receive("p1", frame(1, 2));
    expect(bench.packetIns.length).toBe(3);
    expect(bench.dpif.flows.size).toBe(1);
  });
});

test("§7.2.1: port numbers have 32 bits, in matches, outputs and packet-ins", async () => {
  const bench = await TestBench.open(1);
  const far = await bench.addPort("far", { ofportRequest: 0x0012_3456 });
  expect(far).toBe(0x0012_3456);
  bench.flow({ in_port: far }, [output(1), output(OFPP.CONTROLLER)]);
  bench.flow({ in_port: 1 }, [output(far)]);
  expect(await bench.receive("far", frame(1, 2))).toEqual(["p1"]);
  expect(await bench.receive("p1", frame(2, 1))).toEqual(["far"]);
  expect(bench.packetIns).toMatchObject([{ match: { in_port: far } }]);
});

describe("OFPP_NORMAL", () => {
  const normal = async (ports: number): Promise<TestBench> => {
    const bench = await TestBench.open(ports);
    bench.flow({}, [output(OFPP.NORMAL)], { priority: 0 });
    return bench;
  };

  test("floods what it does not know, then forwards what it has learned", async () => {
    const bench = await normal(3);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2", "p3"]);
    expect(await bench.receive("p2", frame(2, 1))).toEqual(["p1"]);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
  });

  test("learns a host that moves anew", async () => {
    const bench = await normal(3);
    await bench.receive("p1", frame(1, 2));
    await bench.receive("p2", frame(2, 1));
    await bench.receive("p3", frame(1, 255));
    expect(await bench.receive("p2", frame(2, 1))).toEqual(["p3"]);
  });

  test("forgets a host that is silent for 300 s, and not one that cached flows keep hearing", async () => {
    const bench = await normal(3);
    await bench.receive("p1", frame(1, 255));
    await bench.receive("p2", frame(2, 1));
    for (let i = 0; i < 80; i++) {
      await bench.warp(5000);
      await bench.receive("p2", frame(2, 1));
    }
    expect(bench.bridge.macs().map((entry) => entry.mac)).toEqual(["00:00:00:00:00:02"]);
    expect(await bench.receive("p2", frame(2, 1))).toEqual(["p1", "p3"]);
  });

  test("floods flood_vlans always, and learns nothing there", async () => {
    const bench = await normal(3);
    bench.bridge.setFloodVlans([10]);
    for (let i = 0; i < 2; i++) {
      expect(await bench.receive("p1", frame(1, 2, { vid: 10 }))).toEqual(["p2", "p3"]);
      expect(await bench.receive("p2", frame(2, 1, { vid: 10 }))).toEqual(["p1", "p3"]);
    }
    expect(bench.bridge.macs()).toEqual([]);
    await bench.receive("p1", frame(1, 2, { vid: 20 }));
    expect(await bench.receive("p2", frame(2, 1, { vid: 20 }))).toEqual(["p1"]);
    bench.bridge.setFloodVlans([20]);
    expect(await bench.receive("p2", frame(2, 1, { vid: 20 }))).toEqual(["p1", "p3"]);
  });

  test("keeps VLANs apart and tags as each port wants", async () => {
    const bench = await normal(0);
    await bench.addPort("a10", { vlan: { vlan_mode: "access", tag: 10 } });
    await bench.addPort("b10", { vlan: { vlan_mode: "access", tag: 10 } });
    await bench.addPort("c20", { vlan: { vlan_mode: "access", tag: 20 } });
    await bench.addPort("trunk", {});
    expect(await bench.receive("a10", frame(1, 2))).toEqual(["b10", "trunk"]);
    expect(bench.dpif.executed.at(-1)).toEqual([
      { type: "output", port: 2 },
      { type: "push_vlan", tpid: 0x8100, tci: 10 },
      { type: "output", port: 4 },
    ]);
    expect(await bench.receive("a10", frame(1, 2, { vid: 10 }))).toEqual([]);
    expect(await bench.receive("trunk", frame(3, 1, { vid: 10 }))).toEqual(["a10"]);
    expect(await bench.receive("trunk", frame(3, 1, { vid: 20 }))).toEqual(["c20"]);
  });

  test("crosses patch ports into the other bridge", async () => {
    const bench = await normal(2);
    const other = bench.addBridge("br1");
    other.flowMod({
      command: "OFPFC_ADD",
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [output(OFPP.NORMAL)] }],
    });
    await bench.addPort("to1", { type: "patch", patchPeer: "to0" });
    const to0 = await bench.addPort("to0", { type: "patch", patchPeer: "to1" }, other);
    await bench.addPort("q1", {}, other);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2", "q1"]);
    expect(other.macs()).toMatchObject([{ ofport: to0, mac: "00:00:00:00:00:01" }]);
    await bench.receive("p1", frame(1, 2));
    expect(await other.portStatistics(to0)).toMatchObject({ rx_packets: 2, rx_bytes: 120 });
  });
});

test("bridges joined by two patches send a broadcast round until it is given up, and live on", async () => {
  const bench = await TestBench.open(2);
  const other = bench.addBridge("br1");
  const flood: FlowMod = {
    command: "OFPFC_ADD",
    instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [output(OFPP.ALL)] }],
  };
  bench.bridge.flowMod(flood);
  other.flowMod(flood);
  for (const n of [1, 2]) {
    await bench.addPort(`a${n}`, { type: "patch", patchPeer: `b${n}` });
    await bench.addPort(`b${n}`, { type: "patch", patchPeer: `a${n}` }, other);
  }
  expect(await bench.receive("p1", frame(1, 255))).toEqual([]);
  expect(bench.backer.counters.xlateErrors).toBe(1);
  bench.bridge.flowMod({
    ...flood,
    command: "OFPFC_MODIFY",
    instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [output(2)] }],
  });
  expect(await bench.receive("p1", frame(1, 255))).toEqual(["p2"]);
});

describe("§6.4 flow_mod", () => {
  const change = (bench: TestBench, message: Partial<FlowMod>): void =>
    bench.bridge.flowMod({ command: "OFPFC_ADD", ...message });

  test("ADD replaces the flow with the same match and priority, and its counts stay unless reset", async () => {
    const bench = await TestBench.open(2);
    bench.flow({ in_port: 1 }, [output(2)], { cookie: 1n });
    await bench.receive("p1", frame(1, 2));
    bench.flow({ in_port: 1 }, [], { cookie: 2n });
    expect(await bench.dump()).toMatchObject([{ cookie: 2n, packet_count: 1n, byte_count: 60n }]);
    bench.flow({ in_port: 1 }, [], { cookie: 3n, flags: 4 });
    expect(await bench.dump()).toMatchObject([{ cookie: 3n, packet_count: 0n }]);
  });

  test("MODIFY changes actions of every narrower flow, and not counts nor cookies", async () => {
    const bench = await TestBench.open(3);
    bench.flow({ in_port: 1 }, [output(2)], { cookie: 1n });
    bench.flow({ in_port: 1, eth_type: 0x0800 }, [output(2)], { cookie: 2n });
    bench.flow({ eth_type: 0x0800 }, [output(2)], { cookie: 3n });
    await bench.receive("p1", frame(1, 2));
    change(bench, {
      command: "OFPFC_MODIFY",
      match: { in_port: 1 },
      cookie: 9n,
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [output(3)] }],
    });
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p3"]);
    const flows = await bench.dump();
    expect(flows.find((flow) => flow.cookie === 1n)?.packet_count).toBe(2n);
    expect(flows.find((flow) => flow.cookie === 3n)?.instructions).toEqual([
      { type: "OFPIT_APPLY_ACTIONS", actions: [output(2)] },
    ]);
  });

  test("MODIFY of nothing adds nothing", async () => {
    const bench = await TestBench.open(1);
    change(bench, { command: "OFPFC_MODIFY", match: { in_port: 1 } });
    change(bench, { command: "OFPFC_MODIFY_STRICT", match: { in_port: 1 } });
    expect(await bench.dump()).toEqual([]);
  });

  test("DELETE takes narrower flows, filtered by cookie, out_port and table; DELETE_STRICT just one", async () => {
    const bench = await TestBench.open(3);
    const fill = (): void => {
      change(bench, { command: "OFPFC_DELETE", table_id: 255 });
      bench.flow({ in_port: 1 }, [output(2)], { cookie: 0x11n });
      bench.flow({ in_port: 1, eth_type: 0x0800 }, [output(3)], { cookie: 0x12n });
      bench.flow({ in_port: 1 }, [output(3)], { cookie: 0x21n, table_id: 4 });
    };
    const left = async (message: Partial<FlowMod>): Promise<unknown[]> => {
      fill();
      change(bench, message);
      return (await bench.dump()).map((flow) => flow.cookie).sort();
    };
    expect(await left({ command: "OFPFC_DELETE", match: { in_port: 1 } })).toEqual([0x21n]);
    expect(await left({ command: "OFPFC_DELETE", table_id: 255, cookie: 0x10n, cookie_mask: 0xf0n })).toEqual(
      [0x21n],
    );
    expect(await left({ command: "OFPFC_DELETE", table_id: 255, out_port: 3 })).toEqual([0x11n]);
    expect(await left({ command: "OFPFC_DELETE_STRICT", match: { in_port: 1 } })).toEqual([0x12n, 0x21n]);
    expect(await left({ command: "OFPFC_DELETE_STRICT", match: { in_port: 1 }, priority: 5 })).toHaveLength(
      3,
    );
  });

  test("CHECK_OVERLAP refuses a flow that shares packets with one of its priority", async () => {
    const bench = await TestBench.open(1);
    bench.flow({ in_port: 1 }, []);
    const overlapping = (): void => bench.flow({ eth_type: 0x0800 }, [], { flags: 2 });
    expect(refusal(overlapping)).toBe("OFPFMFC_OVERLAP");
    expect(refusal(() => bench.flow({ in_port: 2 }, [], { flags: 2 }))).toBe("accepted");
    expect(refusal(() => bench.flow({ eth_type: 0x0800 }, [], { flags: 2, priority: 1 }))).toBe("accepted");
  });

  test("a flow told to send FLOW_REMOVED does when it is deleted or times out, and not when it is replaced", async () => {
    const bench = await TestBench.open(2);
    const add = (more: Partial<FlowMod>): void =>
      bench.flow({ in_port: 1 }, [output(2)], { flags: 1, ...more });
    add({ cookie: 5n });
    add({ cookie: 6n });
    await bench.warp(1500);
    change(bench, { command: "OFPFC_DELETE" });
    expect(bench.flowsRemoved).toMatchObject([
      { cookie: 6n, reason: "OFPRR_DELETE", duration_sec: 1, duration_nsec: 5e8, match: { in_port: 1 } },
    ]);
    add({ hard_timeout: 2 });
    await bench.warp(1500);
    expect(bench.flowsRemoved.length).toBe(1);
    await bench.warp(1000);
    expect(bench.flowsRemoved.at(-1)).toMatchObject({ reason: "OFPRR_HARD_TIMEOUT", hard_timeout: 2 });
  });

  test("an idle timeout runs from the last packet, those of the cached flow too", async () => {
    const bench = await TestBench.open(2);
    bench.flow({ in_port: 1 }, [output(2)], { flags: 1, idle_timeout: 3 });
    for (let i = 0; i < 5; i++) {
      await bench.receive("p1", frame(1, 2));
      await bench.warp(2000);
    }
    expect(bench.flowsRemoved).toEqual([]);
    await bench.warp(2000);
    expect(bench.flowsRemoved).toMatchObject([
      { reason: "OFPRR_IDLE_TIMEOUT", packet_count: 5n, byte_count: 300n },
    ]);
  });

  test("refuses what the specification refuses, and changes nothing", async () => {
    const bench = await TestBench.open(1);
    const add = (message: Partial<FlowMod>): string => refusal(() => change(bench, message));
    const apply = (...actions: never[]): Partial<FlowMod> => ({
      instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions }],
    });
    expect(add({ table_id: 255 })).toBe("OFPFMFC_BAD_TABLE_ID");
    expect(add({ flags: 0x80 })).toBe("OFPFMFC_BAD_FLAGS");
    expect(add({ command: 9 as never })).toBe("OFPFMFC_BAD_COMMAND");
    expect(add({ match: { ipv4_src: "1.2.3.4" } })).toBe("OFPBMC_BAD_PREREQ");
    expect(add({ match: { eth_type: 0x0800, tcp_src: 5 } })).toBe("OFPBMC_BAD_PREREQ");
    expect(add({ match: { vlan_pcp: 5 } })).toBe("OFPBMC_BAD_PREREQ");
    expect(add(apply(output(OFPP.ANY) as never))).toBe("OFPBAC_BAD_OUT_PORT");
    expect(add(apply({ type: "OFPAT_GROUP", group_id: 1 } as never))).toBe("OFPBAC_BAD_OUT_GROUP");
    expect(add(apply({ type: "OFPAT_PUSH_VLAN", ethertype: 0x800 } as never))).toBe("OFPBAC_BAD_ARGUMENT");
    expect(add(apply({ type: "OFPAT_DEC_NW_TTL" } as never))).toBe("OFPBAC_MATCH_INCONSISTENT");
    expect(add(apply({ type: "OFPAT_SET_FIELD", field: { tcp_src: 1 } } as never))).toBe(
      "OFPBAC_MATCH_INCONSISTENT",
    );
    expect(add(apply({ type: "OFPAT_SET_FIELD", field: { eth_type: 1 } } as never))).toBe(
      "OFPBAC_BAD_SET_TYPE",
    );
    expect(add(apply({ type: "OFPAT_SET_FIELD", field: { in_port: 1 } } as never))).toBe(
      "OFPBAC_BAD_SET_TYPE",
    );
    expect(add({ table_id: 3, instructions: [{ type: "OFPIT_GOTO_TABLE", table_id: 3 }] })).toBe(
      "OFPBIC_BAD_TABLE_ID",
    );
    expect(add({ instructions: [{ type: "OFPIT_METER", meter_id: 3 }] })).toBe("OFPMMFC_INVALID_METER");
    expect(await bench.dump()).toEqual([]);
  });

  test("a bundle is carried out whole, or not at all", async () => {
    const bench = await TestBench.open(2);
    bench.flow({ in_port: 1 }, [output(2)], { cookie: 1n });
    const bad = (): void =>
      bench.bridge.bundle([
        { type: "OFPT_FLOW_MOD", command: "OFPFC_DELETE" },
        { type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", match: { in_port: 2 } },
        { type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 1, buckets: [] },
        { type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", table_id: 255 },
      ]);
    expect(bad).toThrow(expect.objectContaining({ index: 3, error_code: "OFPFMFC_BAD_TABLE_ID" }));
    expect(await bench.dump()).toMatchObject([{ cookie: 1n }]);
    expect(bench.bridge.groups.size).toBe(0);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
  });
});

describe("§6.1.3 a barrier", () => {
  test("resolves when no cached flow says anything else than the tables", async () => {
    const bench = await TestBench.open(3);
    bench.flow({}, [output(2)]);
    await bench.receive("p1", frame(1, 2));
    expect(bench.dpif.flows.size).toBe(1);
    bench.flow({}, [output(3)]);
    await bench.bridge.barrier();
    expect([...bench.dpif.flows.values()].map((flow) => flow.actions)).toEqual([
      [{ type: "output", port: 3 }],
    ]);
  });

  test("a change that nobody waits for is in force soon after", async () => {
    const bench = await TestBench.open(3);
    bench.flow({}, [output(2)]);
    await bench.receive("p1", frame(1, 2));
    bench.flow({}, [output(3)]);
    bench.clock.advance(1);
    expect([...bench.dpif.flows.values()].map((flow) => flow.actions)).toEqual([
      [{ type: "output", port: 3 }],
    ]);
  });

  test("a cached flow that has become too wide goes", async () => {
    const bench = await TestBench.open(3);
    bench.flow({}, [output(2)], { priority: 0 });
    await bench.receive("p1", frame(1, 2));
    bench.flow({ eth_dst: "00:00:00:00:00:09" }, [output(3)]);
    expect(await bench.receive("p1", frame(1, 9))).toEqual(["p3"]);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
  });

  test("packets of a cached flow count for the rule that forwarded them, whatever came after", async () => {
    const bench = await TestBench.open(3);
    bench.flow({ in_port: 1 }, [output(2)], { cookie: 1n });
    for (let i = 0; i < 4; i++) await bench.receive("p1", frame(1, 2));
    bench.flow({ in_port: 1 }, [output(3)], { priority: 40000, cookie: 2n });
    for (let i = 0; i < 3; i++) await bench.receive("p1", frame(1, 2));
    const entries = await bench.dump();
    expect(new Map(entries.map((flow) => [flow.cookie, flow.packet_count]))).toEqual(
      new Map([
        [1n, 4n],
        [2n, 3n],
      ]),
    );
  });

  test("a cached flow that nobody uses leaves the datapath after 10 s", async () => {
    const bench = await TestBench.open(2);
    bench.flow({}, [output(2)]);
    await bench.receive("p1", frame(1, 2));
    await bench.warp(9000);
    expect(bench.dpif.flows.size).toBe(1);
    await bench.warp(2000);
    expect(bench.dpif.flows.size).toBe(0);
  });
});

describe("fail_mode", () => {
  test("standalone without controllers forwards by itself, by a flow that can be seen", async () => {
    const bench = await TestBench.open(2);
    bench.bridge.setFailMode("standalone");
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
    const entries = await bench.dump();
    expect(entries).toMatchObject([{ priority: 0 }]);
  });

  test("standalone with its controller away forwards by a hidden flow; with it back, by the controller's flows", async () => {
    const bench = await TestBench.open(3);
    bench.bridge.setFailMode("standalone");
    bench.bridge.setControllerState({ configured: true, connected: true });
    bench.flow({}, [output(3)]);
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p3"]);
    bench.bridge.setControllerState({ configured: true, connected: false });
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2", "p3"]);
    const entries = await bench.dump();
    expect(entries).toHaveLength(1);
    bench.bridge.setControllerState({ configured: true, connected: true });
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p3"]);
  });

  test("secure forwards by flows alone, connected or not", async () => {
    const bench = await TestBench.open(3);
    bench.bridge.setControllerState({ configured: true, connected: true });
    bench.flow({}, [output(3)]);
    bench.bridge.setControllerState({ configured: true, connected: false });
    expect(await bench.receive("p1", frame(1, 2))).toEqual(["p3"]);
  });
});

test("§7.4.2: a flow that is deleted is told of with what cached flows have counted for it", async () => {
  const bench = await TestBench.open(2);
  bench.flow({ in_port: 1 }, [output(2)], { flags: 1 });
  for (let i = 0; i < 5; i++) await bench.forward("p1", frame(1, 2));
  bench.bridge.flowMod({ command: "OFPFC_DELETE" });
  await bench.bridge.barrier();
  expect(bench.flowsRemoved).toMatchObject([{ reason: "OFPRR_DELETE", packet_count: 5n, byte_count: 300n }]);
});

describe("ovs-vswitchd.conf.db(5), Flow_Table: a full table", () => {
  const add = (bench: TestBench, in_port: number, udp_dst: number, idle_timeout: number): string =>
    refusal(() =>
      bench.flow({ in_port, eth_type: 0x0800, ip_proto: 17, udp_dst }, [output(2)], {
        idle_timeout,
        cookie: BigInt(udp_dst),
        flags: 1,
      }),
    );
  const cookies = async (bench: TestBench): Promise<number[]> =>
    (await bench.dump()).map(({ cookie }) => Number(cookie)).sort((a, b) => a - b);

  test("refuses flows, or drops the one of the largest group that would expire first", async () => {
    const bench = await TestBench.open(2);
    const table = { table_id: 0, name: "acl", flowLimit: 4 };
    bench.bridge.setFlowTables([{ ...table, evicts: false, groups: [] }]);
    expect([1, 2, 3, 4].map((n) => add(bench, n === 4 ? 2 : 1, n, n === 2 ? 10 : 100))).toEqual(
      Array(4).fill("accepted"),
    );
    expect(add(bench, 1, 5, 100)).toBe("OFPFMFC_TABLE_FULL");
    expect(bench.bridge.tables[0]!.name).toBe("acl");
    bench.bridge.setFlowTables([{ ...table, evicts: true, groups: [parseSubfield("NXM_OF_IN_PORT[]")!] }]);
    // Flow 4 would go later than none of its own group, which is the smaller one.
    expect(add(bench, 1, 5, 100)).toBe("accepted");
    expect(await cookies(bench)).toEqual([1, 3, 4, 5]);
    expect(bench.flowsRemoved).toMatchObject([{ cookie: 2n, reason: "OFPRR_DELETE" }]);
    // Adding the same flow again needs no room.
    expect(add(bench, 1, 5, 100)).toBe("accepted");
    expect(await cookies(bench)).toEqual([1, 3, 4, 5]);
  });

  test("keeps flows without timeouts, and comes down to a lower limit at once", async () => {
    const bench = await TestBench.open(2);
    for (const n of [1, 2, 3]) add(bench, 1, n, n === 1 ? 0 : 100 * n);
    const config = (flowLimit: number) => [
      { table_id: 0, name: undefined, flowLimit, evicts: true, groups: [] },
    ];
    bench.bridge.setFlowTables(config(2));
    expect(await cookies(bench)).toEqual([1, 3]);
    bench.bridge.setFlowTables(config(0));
    expect(await cookies(bench)).toEqual([1]);
    expect(add(bench, 1, 4, 1)).toBe("OFPFMFC_TABLE_FULL");
    bench.bridge.setFlowTables([]);
    expect(add(bench, 1, 4, 1)).toBe("accepted");
  });
});

test.each([
  ["NXM_OF_VLAN_TCI[0..11]", { field: "nxm_of_vlan_tci", offset: 0, n_bits: 12 }],
  ["in_port", { field: "in_port", offset: 0, n_bits: 32 }],
  ["NXM_NX_REG3[4]", { field: "reg3", offset: 4, n_bits: 1 }],
  ["NXM_OF_IN_PORT[0..99]", undefined],
  ["nonsense[]", undefined],
])("%s is a part of a field, or none", (text, subfield) => {
  expect(parseSubfield(text)).toEqual(subfield);
});
