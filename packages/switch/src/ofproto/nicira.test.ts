import { expect, test } from "vitest";
import { frame, output, TestBench } from "./bench.testkit.js";
import type { Action } from "./of.js";
import { OFPP } from "./xlate/reserved.js";

/** ovs-actions(7): the Nicira actions that programs lean on most. */

const resubmit = (table: number): Action => ({ type: "NXAST_RESUBMIT_TABLE", in_port: 0xfff8, table });
const load = (dst: string, value: bigint, n_bits = 32): Action => ({
  type: "NXAST_REG_LOAD",
  ofs_nbits: n_bits - 1,
  dst,
  value,
});

test("resubmit runs another table and comes back, twice if asked to", async () => {
  const bench = await TestBench.open(4);
  bench.flow({ in_port: 1 }, [resubmit(10), output(3), resubmit(10), resubmit(11)]);
  bench.flow({}, [output(2)], { table_id: 10 });
  expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2", "p3", "p2"]);
});

test("a resubmit that never ends is given up and the packet dropped", async () => {
  const bench = await TestBench.open(2);
  bench.flow({}, [output(2), resubmit(0)]);
  expect(await bench.receive("p1", frame(1, 2))).toEqual([]);
  expect(bench.backer.counters.xlateErrors).toBe(1);
});

test("registers are loaded, moved, matched and output to; they do not narrow what is cached", async () => {
  const bench = await TestBench.open(4);
  bench.flow({ in_port: 1 }, [
    load("reg0", 3n),
    { type: "NXAST_REG_MOVE", n_bits: 16, src: "reg0", dst: "reg1" },
    resubmit(1),
  ]);
  bench.flow({ reg1: 3 }, [{ type: "NXAST_OUTPUT_REG", src: "reg1", ofs_nbits: 15, max_len: 0 }], {
    table_id: 1,
  });
  expect(await bench.receive("p1", frame(1, 2))).toEqual(["p3"]);
  expect(await bench.receive("p1", frame(7, 8))).toEqual(["p3"]);
  expect(bench.dpif.flows.size).toBe(1);
});

test("push and pop move bits over the stack", async () => {
  const bench = await TestBench.open(3);
  bench.flow({ in_port: 1 }, [
    load("reg0", 2n),
    { type: "NXAST_STACK_PUSH", field: "reg0", n_bits: 32 },
    { type: "NXAST_STACK_POP", field: "reg5", n_bits: 32 },
    { type: "NXAST_OUTPUT_REG", src: "reg5", ofs_nbits: 31, max_len: 0 },
  ]);
  expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
});

test("clone: what is done inside is not seen after", async () => {
  const bench = await TestBench.open(3);
  bench.flow({}, [
    {
      type: "NXAST_CLONE",
      actions: [
        load("reg0", 1n),
        { type: "OFPAT_SET_FIELD", field: { eth_dst: "00:00:00:00:00:09" } },
        output(2),
      ],
    } as Action,
    resubmit(1),
  ]);
  bench.flow({ reg0: 0 }, [output(3)], { table_id: 1 });
  await bench.receive("p1", frame(1, 2));
  expect(bench.dpif.executed.at(-1)).toEqual([
    {
      type: "clone",
      actions: [
        { type: "set_field", field: "eth_dst", value: Uint8Array.of(0, 0, 0, 0, 0, 9) },
        { type: "output", port: 2 },
      ],
    },
    { type: "output", port: 3 },
  ]);
});

test("exit ends everything", async () => {
  const bench = await TestBench.open(3);
  bench.flow({}, [resubmit(1), output(3)]);
  bench.flow({}, [output(2), { type: "NXAST_EXIT" }, output(3)], { table_id: 1 });
  expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
});

test("learn makes a learning switch of two flows", async () => {
  const bench = await TestBench.open(3);
  bench.flow({}, [
    {
      type: "NXAST_LEARN",
      table_id: 1,
      hard_timeout: 10,
      cookie: 5n,
      specs: [
        { n_bits: 48, src: { field: "eth_src", ofs: 0 }, dst: "match", dst_field: "eth_dst", dst_ofs: 0 },
        { n_bits: 32, src: { field: "in_port", ofs: 0 }, dst: "load", dst_field: "reg0", dst_ofs: 0 },
      ],
    },
    resubmit(1),
    resubmit(2),
  ]);
  bench.flow({ reg0: 0 }, [output(OFPP.FLOOD)], { table_id: 2 });
  bench.flow({}, [{ type: "NXAST_OUTPUT_REG", src: "reg0", ofs_nbits: 31, max_len: 0 }], {
    table_id: 2,
    priority: 1,
  });
  expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2", "p3"]);
  expect(await bench.receive("p2", frame(2, 1))).toEqual(["p1"]);
  expect(await bench.receive("p1", frame(1, 2))).toEqual(["p2"]);
  expect((await bench.dump()).filter((flow) => flow.cookie === 5n)).toMatchObject([
    { table_id: 1, match: { eth_dst: "00:00:00:00:00:01" }, hard_timeout: 10 },
    { table_id: 1, match: { eth_dst: "00:00:00:00:00:02" } },
  ]);
  // Cached flows keep what they teach alive.
  for (let i = 0; i < 4; i++) {
    await bench.warp(6000);
    await bench.receive("p1", frame(1, 2));
  }
  expect((await bench.dump()).filter((flow) => flow.cookie === 5n).map((flow) => flow.match)).toEqual([
    { eth_dst: "00:00:00:00:00:01" },
  ]);
});

test("controller sends with an id and a reason of its own", async () => {
  const bench = await TestBench.open(1);
  bench.flow({}, [{ type: "NXAST_CONTROLLER", max_len: 20, controller_id: 7, reason: 0 }]);
  await bench.receive("p1", frame(1, 2));
  expect(bench.packetIns).toMatchObject([{ reason: "OFPR_NO_MATCH", controllerId: 7, max_len: 20 }]);
});

test.each<[string, Action, string]>([
  ["a field that the switch does not have", load("nonesuch", 1n), "OFPBAC_BAD_SET_TYPE"],
  ["bits beyond a field", load("vlan_pcp", 1n, 4), "OFPBAC_BAD_SET_LEN"],
  ["conntrack", { type: "NXAST_CT_CLEAR" }, "OFPBAC_BAD_EXP_TYPE"],
])("%s is refused", async (_, action, code) => {
  const bench = await TestBench.open(1);
  expect(() => bench.flow({}, [action])).toThrow(code);
});
