import { beforeEach, expect, test } from "vitest";
import { VirtualClock } from "./clock.js";
import { nullLog } from "./log.js";
import { Reconnect } from "./reconnect.js";

let clock: VirtualClock;
let calls: string[];
let peer: Reconnect;
beforeEach(() => {
  clock = new VirtualClock();
  calls = [];
  const say = (what: string) => () => void calls.push(`${clock.now()} ${what}`);
  peer = new Reconnect({
    clock,
    log: nullLog,
    name: "tcp:test",
    connect: say("connect"),
    disconnect: say("disconnect"),
    probe: say("probe"),
  });
});

test("tries at once, then after 1, 2, 4, 8, 8 s", () => {
  peer.enable();
  for (let i = 0; i < 5; i++) {
    peer.disconnected("connection refused");
    clock.advance(peer.stats.backoffMs);
  }
  expect(calls).toEqual([
    "0 connect",
    "1000 connect",
    "3000 connect",
    "7000 connect",
    "15000 connect",
    "23000 connect",
  ]);
});

test("an attempt gets as long as the wait before it, at least 1 s", () => {
  peer.enable();
  clock.advance(1000);
  expect(calls).toEqual(["0 connect", "1000 disconnect"]);
  clock.advance(1000 + 1000 + 2000 + 2000);
  expect(calls.slice(2)).toEqual(["2000 connect", "3000 disconnect", "5000 connect", "7000 disconnect"]);
});

test("silence brings a probe, its answer keeps the connection", () => {
  peer.enable();
  peer.connected();
  clock.advance(3000);
  peer.activity();
  clock.advance(4999);
  expect(peer.state).toBe("active");
  clock.advance(1);
  expect(calls).toEqual(["0 connect", "8000 probe"]);
  expect(peer.state).toBe("idle");
  peer.activity();
  expect(peer.state).toBe("active");
  clock.advance(5000);
  expect(calls.at(-1)).toBe("13000 probe");
});

test("no answer to the probe ends the connection; the next attempt follows after the first wait", () => {
  peer.enable();
  peer.connected();
  clock.advance(11_000);
  expect(calls).toEqual(["0 connect", "5000 probe", "10000 disconnect", "11000 connect"]);
});

test("a connection that lived starts the waits over; one that died at once does not", () => {
  peer.enable();
  peer.disconnected();
  clock.advance(1000);
  peer.connected();
  peer.disconnected();
  expect(peer.stats.backoffMs).toBe(2000);
  clock.advance(2000);
  peer.connected();
  clock.advance(4000);
  peer.activity();
  peer.disconnected();
  expect(peer.stats.backoffMs).toBe(1000);
});

test("disabled, nothing happens any more; late news of an old stream changes nothing", () => {
  peer.enable();
  peer.connected();
  peer.disable();
  peer.disconnected();
  clock.advance(60_000);
  expect(calls).toEqual(["0 connect", "0 disconnect"]);
  expect(peer.state).toBe("off");
});

test("max_backoff and the probe interval change while running; 0 never probes", () => {
  peer.setMaxBackoff(1500);
  peer.setProbeInterval(0);
  peer.enable();
  for (let i = 0; i < 3; i++) {
    peer.disconnected();
    clock.advance(peer.stats.backoffMs);
  }
  expect(peer.stats.backoffMs).toBe(1500);
  peer.connected();
  clock.advance(600_000);
  expect(peer.state).toBe("active");
  peer.setProbeInterval(100);
  clock.advance(100);
  expect(calls.at(-1)).toMatch(/probe/);
});
