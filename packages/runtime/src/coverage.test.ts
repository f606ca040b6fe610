import { expect, test } from "vitest";
import { VirtualClock } from "./clock.js";
import { CoverageHistory } from "./coverage.js";

test("rates are over the last 5 seconds, minute and hour, and what never happened is only counted", async () => {
  const clock = new VirtualClock();
  const counters = { packets: 0, drops: 0 };
  const coverage = new CoverageHistory(clock, async () => ({ ...counters }));
  coverage.start();
  await coverage.sample();
  // 10 a second for two minutes, then 100 a second for 5 seconds.
  for (let second = 0; second < 125; second++) {
    counters.packets += second < 120 ? 10 : 100;
    clock.advance(1000);
    await Promise.resolve();
  }
  const lines = (await coverage.show()).split("\n");
  expect(lines[0]).toMatch(
    /^Event coverage, avg rate over last: 5 seconds, last minute, last hour, {2}hash=[0-9a-f]{8}:$/,
  );
  expect(lines[1]).toBe("packets                    100.0/sec    17.500/sec        0.4722/sec   total: 1700");
  expect(lines[2]).toBe("1 events never hit");
  expect(await coverage.total("packets")).toBe(1700);
  await expect(coverage.total("none")).rejects.toThrow("No such counter: none");
  coverage.stop();
});
