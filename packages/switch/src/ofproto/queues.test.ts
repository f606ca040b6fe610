import type { Clock } from "@sluice/runtime";
import { describe, expect, test } from "vitest";
import { createUserspaceDpif } from "../datapath/userspace/dpif.js";
import { DummyHub } from "../netdev/dummy.js";
import { cableRig, frame, output, quiet, type Rig, TestBench } from "./bench.testkit.js";
import type { Action } from "./of.js";

function userspaceRig(clock: Clock): Rig {
  const dummies = new DummyHub();
  return cableRig(createUserspaceDpif({ clock, log: quiet, host: "inline", dummies }), dummies);
}

const queue = (queue_id: number): Action => ({ type: "OFPAT_SET_QUEUE", queue_id });
const LENGTH = 1250;
const BITS = LENGTH * 8;

function long(src: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH);
  bytes.set(frame(src, 9));
  return bytes;
}

/** Flows from each host's MAC address into a queue of port 2. */
async function open(queues: readonly number[]) {
  const bench = await TestBench.over(userspaceRig, 2);
  for (const id of queues) bench.flow({ eth_src: `00:00:00:00:00:0${id}` }, [queue(id), output(2)]);
  /** Offers `perTick` frames of each host every 10 ms for `ms`; gives how many of each came out. */
  const offer = async (ms: number, perTick: number): Promise<number[]> => {
    await bench.backer.barrier();
    const before = bench.rig.sent.length;
    for (let at = 0; at < ms; at += 10) {
      for (let i = 0; i < perTick; i++) for (const id of queues) bench.rig.receive("p1", long(id));
      await bench.clock.advanceAsync(10, 1);
    }
    const sources = bench.rig.sent.slice(before).map((sent) => sent.frame[11]);
    return queues.map((id) => sources.filter((source) => source === id).length);
  };
  return { bench, offer };
}

describe("queues", () => {
  test("a queue sends no more than its max-rate, and what it keeps is bounded", async () => {
    const { bench, offer } = await open([1]);
    bench.bridge.setQueues(2, [{ queue_id: 1, maxRate: 100 * BITS }]);
    const [sent] = await offer(10_000, 5);
    expect(sent).toBeGreaterThan(950);
    expect(sent).toBeLessThan(1050);
    const [statistics] = await bench.bridge.queueStatistics(2);
    expect(statistics).toMatchObject({
      queue_id: 1,
      tx_packets: sent,
      tx_bytes: sent! * LENGTH,
      duration_sec: 10,
    });
    // 5,000 were offered, at most 1,000 wait.
    expect(statistics!.tx_errors).toBeGreaterThanOrEqual(5000 - sent! - 1000);
    expect(statistics!.tx_errors).toBeGreaterThan(0);
  });

  test("packets of a queue leave in order, after those that wait", async () => {
    const { bench } = await open([1]);
    bench.bridge.setQueues(2, [{ queue_id: 1, maxRate: 10 * BITS }]);
    await bench.backer.barrier();
    for (let i = 0; i < 20; i++) {
      const numbered = long(1);
      numbered[100] = i;
      bench.rig.receive("p1", numbered);
    }
    expect(bench.rig.sent.length).toBeLessThan(20);
    await bench.clock.advanceAsync(3000, 50);
    expect(bench.rig.sent.map((sent) => sent.frame[100])).toEqual([...Array(20).keys()]);
  });

  test("where the port's rate is not enough, queues share it by their min-rates", async () => {
    const { bench, offer } = await open([1, 2]);
    bench.bridge.setQueues(
      2,
      [
        { queue_id: 1, minRate: 30 * BITS },
        { queue_id: 2, minRate: 90 * BITS },
      ],
      200 * BITS,
    );
    const [one, two] = await offer(5000, 5);
    expect(one! + two!).toBeGreaterThan(960);
    expect(one! + two!).toBeLessThan(1040);
    expect(two! / one!).toBeGreaterThan(2.8);
    expect(two! / one!).toBeLessThan(3.2);
  });

  test("a queue takes what the others leave", async () => {
    const { bench, offer } = await open([1]);
    bench.bridge.setQueues(
      2,
      [
        { queue_id: 1, minRate: 10 * BITS },
        { queue_id: 2, minRate: 190 * BITS },
      ],
      200 * BITS,
    );
    const [one] = await offer(5000, 5);
    expect(one).toBeGreaterThan(960);
  });

  test("a queue that is not configured is queue 0, or else not bounded", async () => {
    const { bench, offer } = await open([7]);
    bench.bridge.setQueues(2, [{ queue_id: 1, maxRate: BITS }]);
    expect(await offer(100, 3)).toEqual([30]);
    bench.bridge.setQueues(2, [{ queue_id: 0, maxRate: 10 * BITS }]);
    expect((await offer(1000, 3))[0]).toBeLessThan(16);
    const [zero] = await bench.bridge.queueStatistics(2);
    expect(zero!.tx_packets).toBeGreaterThan(9);
  });

  test("taking the queues away sends what waits, and nothing is shaped any more", async () => {
    const { bench, offer } = await open([1]);
    bench.bridge.setQueues(2, [{ queue_id: 1, maxRate: BITS }]);
    await offer(100, 5);
    const before = bench.rig.sent.length;
    bench.bridge.setQueues(2, undefined);
    expect(before).toBeLessThan(20);
    expect(bench.rig.sent.length).toBe(50);
    expect(await offer(100, 5)).toEqual([50]);
    expect(await bench.bridge.queueStatistics(2)).toEqual([]);
  });

  test("set_queue is the copy's alone in a bucket, and outlasts recirculation", async () => {
    const bench = await TestBench.over(userspaceRig, 3);
    bench.bridge.setQueues(3, [{ queue_id: 4, maxRate: 1e6 }]);
    bench.bridge.groupMod({
      command: "OFPGC_ADD",
      group_type: "OFPGT_ALL",
      group_id: 1,
      buckets: [
        { watch_port: 0xffff_ffff, watch_group: 0xffff_ffff, weight: 0, actions: [queue(4), output(2)] },
        { watch_port: 0xffff_ffff, watch_group: 0xffff_ffff, weight: 0, actions: [output(3)] },
      ],
    });
    bench.flow({ in_port: 1 }, [{ type: "OFPAT_GROUP", group_id: 1 }]);
    for (let i = 0; i < 2; i++) await bench.receive("p1", frame(1, 2));
    expect(await bench.bridge.queueStatistics(3)).toMatchObject([{ tx_packets: 0 }]);

    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      match: { in_port: 2, eth_type: 0x8847 },
      instructions: [
        {
          type: "OFPIT_APPLY_ACTIONS",
          actions: [queue(4), { type: "OFPAT_POP_MPLS", ethertype: 0x0800 }],
        },
        { type: "OFPIT_GOTO_TABLE", table_id: 1 },
      ],
    });
    bench.flow({}, [output(3)], { table_id: 1 });
    for (let i = 0; i < 2; i++)
      expect(await bench.receive("p2", frame(1, 2, { ethType: 0x8847 }))).toEqual(["p3"]);
    expect(await bench.bridge.queueStatistics(3)).toMatchObject([{ tx_packets: 2 }]);
  });

  test("§7.3.5.8, §7.3.6: statistics and configuration are told by port and queue", async () => {
    const { bench } = await open([1]);
    bench.bridge.setQueues(2, [{ queue_id: 1, maxRate: 1e6 }, { queue_id: 0 }]);
    await bench.receive("p1", long(1));
    const all = await bench.bridge.multipart({ type: "OFPMP_QUEUE" });
    expect(all.entries).toMatchObject([
      { port_no: 2, queue_id: 0, tx_packets: 0n },
      { port_no: 2, queue_id: 1, tx_packets: 1n, tx_bytes: BigInt(LENGTH), tx_errors: 0n },
    ]);
    const one = await bench.bridge.multipart({ type: "OFPMP_QUEUE", port_no: 2, queue_id: 1 });
    expect(one.entries).toMatchObject([{ queue_id: 1 }]);
    await expect(bench.bridge.multipart({ type: "OFPMP_QUEUE", port_no: 9 })).rejects.toMatchObject({
      error_code: "OFPQOFC_BAD_PORT",
    });
    await expect(bench.bridge.multipart({ type: "OFPMP_QUEUE", queue_id: 5 })).rejects.toMatchObject({
      error_code: "OFPQOFC_BAD_QUEUE",
    });
    expect(bench.bridge.queueGetConfig(2)).toMatchObject({
      port: 2,
      queues: [
        { queue_id: 0, port: 2 },
        { queue_id: 1, port: 2 },
      ],
    });
    expect(bench.bridge.queueGetConfig(1)).toEqual({ port: 1, queues: [] });
  });
});
