import { realClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { extract, Layers } from "../../flow/extract.js";
import { newFlowKey } from "../../flow/flow-key.js";
import { matchToKey } from "../../flow/match.js";
import { DummyHub } from "../../netdev/dummy.js";
import { createUserspaceDpif } from "./dpif.js";

const BURST = 64;
const BURSTS = 1600;
const ROUNDS = 8;
const SOURCE = 29;

/** A UDP packet of 60 bytes. */
const FRAME = Uint8Array.from(
  Buffer.from(
    `02000000000202000000000108004500002e00004000401126bd0a0000010a00000204000009001a0000${"00".repeat(18)}`,
    "hex",
  ),
);

/** As many as the exact-match cache knows, and more. */
test.each([1000, 30_000])(
  "a packet of %i flows that is forwarded leaves nothing to the collector",
  async (flows) => {
    const dummies = new DummyHub();
    const log = { info() {}, warn() {} };
    const dpif = createUserspaceDpif({ clock: realClock, log, host: "inline", dummies });
    const [inside, outside] = await Promise.all(
      ["in", "out"].map((name) => dpif.portAdd({ name, type: "dummy", options: {} })),
    );
    const { mask } = matchToKey({ in_port: 1, eth_type: 0x0800, ip_proto: 17, ipv4_src: "10.0.0.0" });
    const frames = Array.from({ length: flows }, (_, flow) => {
      const frame = FRAME.slice();
      frame[SOURCE - 1] = flow >>> 8;
      frame[SOURCE] = flow;
      return frame;
    });
    frames.forEach((frame, flow) => {
      const key = newFlowKey();
      extract(frame, 0, frame.length, key, new Layers());
      key[0] = inside!.odpPort;
      dpif.flowPut({ id: flow + 1, key, mask, actions: [{ type: "output", port: outside!.odpPort }] });
    });
    const bursts = Array.from({ length: 1024 }, (_, i) => {
      const begin = (i * 37 * 53) % (flows - BURST);
      return frames.slice(begin, begin + BURST);
    });
    const cable = dummies.port("in");
    const forward = (): void => {
      for (let i = 0; i < BURSTS; i++) cable.receiveAll(bursts[i & 1023]!);
    };
    // What is compiled in the meantime is on the heap, too, and a collection hides what there was: the least of some rounds.
    let least = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      const before = process.memoryUsage().heapUsed;
      forward();
      const growth = process.memoryUsage().heapUsed - before;
      if (growth >= 0) least = Math.min(least, growth);
    }
    const { packets } = await dpif.counters();
    expect(packets).toBe(ROUNDS * BURSTS * BURST);
    // Bytes a packet: the clock's reading of each burst is a number on the heap.
    expect(least / (BURSTS * BURST)).toBeLessThan(1);
    await dpif.destroy();
  },
);
