import { VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { MacLearning } from "./mac-learning.js";

const heard = (macs: MacLearning<string>): string[] =>
  [...macs].map(({ port, mac }) => `${port}:${mac.toString(16)}`).sort();

test("a port with many addresses leaves the others theirs", () => {
  const macs = new MacLearning<string>(new VirtualClock());
  macs.size = 6;
  for (const [mac, port] of [
    [1, "p1"],
    [2, "p2"],
    [3, "p2"],
  ] as const)
    macs.learn(0, mac, port);
  for (let mac = 0x100; mac < 0x140; mac++) {
    macs.learn(0, mac, "p6");
    macs.expire();
  }
  expect(heard(macs)).toEqual(["p1:1", "p2:2", "p2:3", "p6:13d", "p6:13e", "p6:13f"]);
  expect(macs.counters).toEqual({ learned: 67, expired: 0, evicted: 61, moved: 0 });
});

test("the address heard least recently of the port with most goes; one that moved counts where it is", () => {
  const macs = new MacLearning<string>(new VirtualClock());
  for (const mac of [1, 2, 3]) macs.learn(0, mac, "p1");
  for (const mac of [4, 5]) macs.learn(0, mac, "p2");
  macs.learn(0, 1, "p1");
  macs.learn(0, 4, "p1");
  macs.size = 3;
  expect(macs.expire().map(({ mac }) => mac)).toEqual([2, 3]);
  expect(heard(macs)).toEqual(["p1:1", "p1:4", "p2:5"]);
  expect(macs.counters.moved).toBe(1);
});

test("addresses age, whatever else there is; those put there by hand neither age nor make room", () => {
  const clock = new VirtualClock();
  const macs = new MacLearning<string>(clock);
  macs.learn(0, 1, "p1");
  macs.pin(0, 1, "p2");
  macs.pin(0, 2, "p2");
  macs.learn(0, 3, "p1");
  clock.advance(macs.ageingMs - 1);
  macs.learn(0, 4, "p3");
  clock.advance(1);
  expect(macs.expire().map(({ mac }) => mac)).toEqual([3]);
  macs.size = 1;
  expect(macs.expire().map(({ mac }) => mac)).toEqual([4]);
  expect(heard(macs)).toEqual(["p2:1", "p2:2"]);
});
