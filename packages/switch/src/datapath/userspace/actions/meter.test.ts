import { expect, test } from "vitest";
import { Meter, PASS } from "./meter.js";

const KBPS = 1;
const PKTPS = 2;
const BURST = 4;
const SECONDS = 10;

/** The share of a rate that passes in ten seconds, of twice as much that comes in bursts of so many packets. */
function share(flags: number, rate: number, size: number, burst: number, burst_size = 0): number {
  const isBits = (flags & KBPS) !== 0;
  const meter = new Meter({ flags, bands: [{ type: "OFPMBT_DROP", rate, burst_size }] }, 0);
  const perSecond = isBits ? (rate * 1000) / (size * 8) : rate;
  let passed = 0;
  for (let sent = 0; sent < perSecond * 2 * SECONDS; sent++) {
    const now = Math.floor((Math.floor(sent / burst) * burst * 1000) / (perSecond * 2));
    if (meter.run(size, now) === PASS) passed++;
  }
  return passed / (perSecond * SECONDS);
}

test.each([
  [PKTPS, 10, 64, 1],
  [PKTPS, 100, 64, 1],
  [PKTPS, 1000, 64, 32],
  [PKTPS, 10_000, 64, 64],
  [KBPS, 500, 1514, 1],
  [KBPS, 1000, 1514, 4],
  [KBPS, 10_000, 1514, 32],
  [KBPS, 100_000, 1514, 64],
  [KBPS, 100_000, 64, 64],
  [KBPS, 100_000, 65_226, 1],
])("flags %i, rate %i, frames of %i bytes in bursts of %i: within 5 %% over ten seconds", (...args) => {
  const passed = share(...args);
  expect(passed).toBeGreaterThan(0.95);
  expect(passed).toBeLessThan(1.05);
});

test("a burst that was given passes at once", () => {
  const meter = new Meter(
    { flags: PKTPS | BURST, bands: [{ type: "OFPMBT_DROP", rate: 10, burst_size: 30 }] },
    0,
  );
  const at = (now: number): number =>
    Array.from({ length: 50 }, () => meter.run(64, now)).filter((v) => v === PASS).length;
  expect([at(0), at(1000), at(60_000)]).toEqual([30, 10, 30]);
});
