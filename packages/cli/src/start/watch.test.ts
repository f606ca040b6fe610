import { Host, type MeshResult, promptClock } from "@sluice/lab";
import { expect, test } from "vitest";
import { controllerChanges, pingChange } from "./watch.js";

const state = (isConnected: boolean, lastError?: string) => ({
  target: "tcp:1.2.3.4:6653",
  isConnected,
  lastError,
});

test("a controller that comes or goes is told in one line, one that stays is not", () => {
  expect(controllerChanges([], [state(true)])).toEqual(["controller tcp:1.2.3.4:6653: connected"]);
  expect(controllerChanges([state(true)], [state(true)])).toEqual([]);
  expect(controllerChanges([], [state(false)])).toEqual([]);
  expect(controllerChanges([state(true)], [state(false, "connection reset")])).toEqual([
    "controller tcp:1.2.3.4:6653: lost (connection reset)",
  ]);
  expect(controllerChanges([state(true)], [])).toEqual(["controller tcp:1.2.3.4:6653: removed"]);
});

test("a round of pings is told of only when it went otherwise than the one before", () => {
  const host = (name: string) =>
    new Host({ name, ip: "10.0.0.1", mac: "00:00:00:00:00:01", clock: promptClock });
  const [from, to] = [host("h1"), host("h2")];
  const round = (...received: number[]): MeshResult[] =>
    received.map((count) => ({ from, to, result: { sent: 1, received: count, rttMs: [] } }));
  expect(pingChange(round(1, 1), round(1, 1))).toBeUndefined();
  expect(pingChange(round(1, 1), round(1, 0))).toBe("pings: 1 of 2 answered, none from h2 to h1");
  expect(pingChange(round(1, 0), round(1, 1))).toBe("pings: 2 of 2 answered");
});
