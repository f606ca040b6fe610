import { VirtualClock } from "@sluice/runtime";
import { describe, expect, test } from "vitest";
import { EVENT_TYPES, EventLog, type EventType } from "./event-log.js";

const ALL = new Set(Object.keys(EVENT_TYPES) as EventType[]);
const only = (...types: EventType[]): ReadonlySet<EventType> => new Set(types);
const logOf = (history = 4, packetHistory = 2): EventLog =>
  new EventLog({ clock: new VirtualClock(Date.UTC(2026, 0, 1)), history, packetHistory });

/** The sequence numbers that a reader at `since` gets. */
function read(log: EventLog, since: number, types: ReadonlySet<EventType> = ALL): number[] {
  const seen: number[] = [];
  for (let event = log.after(since, types); event; event = log.after(event.seq, types)) seen.push(event.seq);
  return seen;
}

describe("the log of events", () => {
  test("numbers them, with the time and their type in JSON", () => {
    const log = logOf();
    log.add("link_add", { src: 1n });
    expect(log.after(0, ALL)?.text).toBe(
      '{"seq":1,"time":"2026-01-01T00:00:00.000Z","type":"link_add","src":1}',
    );
    expect([log.last, log.after(1, ALL)]).toEqual([1, undefined]);
  });

  test("keeps the last, and tells up to where some are lost", () => {
    const log = logOf();
    for (let i = 0; i < 6; i++) log.add("port_add", {});
    expect(read(log, 0)).toEqual([3, 4, 5, 6]);
    expect(read(log, 4)).toEqual([5, 6]);
    expect(log.lostUpTo(ALL)).toBe(2);
  });

  test("keeps packets apart, so that many of them push out nothing else, and gives both in their order", () => {
    const log = logOf();
    log.add("link_add", {});
    for (let i = 0; i < 5; i++) log.add("packet_in", {});
    log.add("link_delete", {});
    expect(read(log, 0)).toEqual([1, 5, 6, 7]);
    expect(read(log, 0, only("link_add", "link_delete"))).toEqual([1, 7]);
    expect(log.lostUpTo(only("link_add"))).toBe(0);
    expect(log.lostUpTo(only("packet_in"))).toBe(4);
  });

  test("calls its readers once for what one turn brings", async () => {
    const log = logOf();
    let calls = 0;
    const end = log.follow(() => calls++);
    for (let i = 0; i < 3; i++) log.add("host_add", {});
    await new Promise(process.nextTick);
    expect(calls).toBe(1);
    end();
    log.add("host_add", {});
    await new Promise(process.nextTick);
    expect(calls).toBe(1);
  });
});
