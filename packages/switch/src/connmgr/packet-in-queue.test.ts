import { VirtualClock } from "@sluice/runtime";
import { describe, expect, test } from "vitest";
import { PacketInQueue } from "./packet-in-queue.js";

function queue() {
  const clock = new VirtualClock();
  const sent: number[] = [];
  const peer = { writable: true };
  const q = new PacketInQueue<number>(
    clock,
    (n) => sent.push(n),
    () => peer.writable,
  );
  const push = (from: number, to: number): void => {
    for (let n = from; n <= to; n++) q.push(() => n);
  };
  return { clock, sent, peer, q, push };
}

describe("packet-ins to a controller", () => {
  test("go at once while the connection takes them", () => {
    const { sent, push, q } = queue();
    push(1, 3);
    expect(sent).toEqual([1, 2, 3]);
    expect(q.backlog).toBe(0);
  });

  test("a slow controller has at most queueSize of them waiting; the rest are dropped and counted", () => {
    const { sent, peer, push, q } = queue();
    peer.writable = false;
    push(1, 150);
    expect(q.backlog).toBe(100);
    expect(q.counters).toEqual({ sent: 0, queued: 100, dropped: 50 });
    peer.writable = true;
    q.drain();
    expect(sent).toHaveLength(100);
    expect(sent[99]).toBe(100);
  });

  test("a dropped one is not even made", () => {
    const { peer, push, q } = queue();
    peer.writable = false;
    push(1, 100);
    q.push(() => {
      throw new Error("made");
    });
  });

  test("a rate limit lets the burst through and then `rate` a second, in order", () => {
    const { clock, sent, push, q } = queue();
    q.setLimits({ queueSize: 20, rate: 10, burst: 5 });
    push(1, 30);
    expect(sent).toEqual([1, 2, 3, 4, 5]);
    expect(q.counters.dropped).toBe(5);
    clock.advance(1000);
    expect(sent).toHaveLength(15);
    clock.advance(1000);
    expect(sent).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
  });
});
