import { realClock } from "@sluice/runtime";
import { afterEach, expect, test } from "vitest";
import { createUserspaceDpif } from "../../packages/switch/src/datapath/userspace/dpif.js";
import { WorkerDpif } from "../../packages/switch/src/datapath/userspace/worker/worker-dpif.js";
import type { Dpif } from "../../packages/switch/src/dpif/dpif.js";
import { DP_LANES, newFlowKey } from "../../packages/switch/src/flow/flow-key.js";
import { DummyHub } from "../../packages/switch/src/netdev/dummy.js";

/** Flows whose records are several times what a ring holds. */
const MANY = 30_000;
const FLOOD = 5000;
const CALM = 50;
/** Of messages.ts: upcalls of one port that may wait. */
const SHARE = 256;

let dpif: Dpif | undefined;
afterEach(async () => {
  await dpif?.destroy();
  dpif = undefined;
});

test("more flow changes than the ring holds are carried out, in order, and packets of the slow path among them", async () => {
  const dummies = new DummyHub();
  const log = { info: () => {}, warn: () => {} };
  dpif = createUserspaceDpif({ clock: realClock, log, host: "worker", dummies });
  for (const name of ["p1", "p2"]) await dpif.portAdd({ name, type: "dummy", options: {} });
  const sent: number[] = [];
  const done = new Promise<void>((resolve) => {
    dummies.port("p2").onTransmit = (frame) => {
      sent.push(new DataView(frame.buffer, frame.byteOffset).getUint32(20));
      if (sent.length === MANY / 1000) resolve();
    };
  });
  const mask = newFlowKey().fill(0xffff_ffff, 0, DP_LANES);
  // All in one turn: the datapath may be as slow as it likes.
  for (let id = 1; id <= MANY; id++) {
    const key = newFlowKey();
    key[2] = id;
    dpif.flowPut({ id, key, mask, actions: [] });
    if (id % 3 === 0) dpif.flowDel(id);
    else if (id % 3 === 1) dpif.flowReplace(id, MANY + id, [{ type: "output", port: 2 }]);
    if (id % 1000 > 0) continue;
    const packet = new Uint8Array(1500);
    new DataView(packet.buffer).setUint32(20, id);
    dpif.execute(packet, 1, [{ type: "output", port: 2 }]);
  }
  await dpif.barrier();
  expect(await dpif.counters()).toMatchObject({ flows: MANY - Math.floor(MANY / 3), masks: 1 });
  await done;
  expect(sent).toEqual(Array.from({ length: MANY / 1000 }, (_, i) => 1000 * (i + 1)));
  // And what is told after has its turn again.
  dpif.flowFlush();
  await dpif.barrier();
  expect(await dpif.counters()).toMatchObject({ flows: 0, masks: 0 });
});

test("a port that floods the slow path loses what is above its share, the others lose nothing", async () => {
  const dummies = new DummyHub();
  const log = { info: () => {}, warn: () => {} };
  dpif = createUserspaceDpif({ clock: realClock, log, host: "worker", dummies });
  for (const name of ["p1", "p2"]) await dpif.portAdd({ name, type: "dummy", options: {} });
  const upcalls = [0, 0, 0];
  dpif.events.on("upcall", ({ odpPort }) => {
    upcalls[odpPort]!++;
    // A slow path that takes far longer for a packet than the datapath does to send it up.
    const until = process.hrtime.bigint() + 200_000n;
    while (process.hrtime.bigint() < until);
  });
  const frame = new Uint8Array(60);
  for (let i = 0; i < FLOOD; i++) dummies.port("p1").receive(frame);
  for (let i = 0; i < CALM; i++) dummies.port("p2").receive(frame);
  await dpif.barrier();
  const counters = await dpif.counters();
  expect(upcalls[2]).toBe(CALM);
  expect(upcalls[1]).toBeGreaterThanOrEqual(SHARE);
  expect(upcalls[1]).toBeLessThan(FLOOD);
  expect(counters).toMatchObject({
    upcalls: upcalls[1]! + CALM,
    upcalls_lost: FLOOD - upcalls[1]!,
    misses: FLOOD + CALM,
  });
});

test("a datapath that stands still is told no more than there is memory for, and has lost nothing when it goes on", async () => {
  const dummies = new DummyHub();
  const log = { info: () => {}, warn: () => {} };
  const stalled = new WorkerDpif({ clock: realClock, log, host: "worker", dummies });
  dpif = stalled;
  await stalled.portAdd({ name: "p1", type: "dummy", options: {} });
  const frame = new Uint8Array(60_000);
  const bound = (17 * 2 ** 20) / frame.length;
  const goOn = stalled.stall();
  let told = 0;
  // Who tells has his turns, as a connection has between messages.
  for (; !stalled.caughtUp() && told < 10 * bound; told++) {
    stalled.execute(frame, 1, [{ type: "output", port: 1 }]);
    await Promise.resolve();
  }
  expect(told).toBeLessThan(bound);
  expect(dummies.port("p1").receive(frame.subarray(0, 60))).toBe(false);
  const waiting = Promise.all([stalled.caughtUp(), stalled.caughtUp()]);
  goOn();
  await waiting;
  expect(stalled.caughtUp()).toBeUndefined();
  await stalled.barrier();
  expect(await stalled.counters()).toMatchObject({ executes: told, commands_waited: 1 });
});
