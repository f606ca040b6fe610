import { realClock } from "@sluice/runtime";
import { afterEach, expect, test } from "vitest";
import { createUserspaceDpif } from "../../packages/switch/src/datapath/userspace/dpif.js";
import type { Dpif } from "../../packages/switch/src/dpif/dpif.js";
import { DummyHub } from "../../packages/switch/src/netdev/dummy.js";

const FLOOD = 5000;
const CALM = 50;
/** Of messages.ts: upcalls of one port that may wait. */
const SHARE = 256;

let dpif: Dpif | undefined;
afterEach(async () => {
  await dpif?.destroy();
  dpif = undefined;
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
