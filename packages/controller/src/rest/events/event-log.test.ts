import { VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { EventLog, type EventType, type History, historyOf } from "./event-log.js";

const DP = "0000000000000001";

function start() {
  const log = new EventLog({ clock: new VirtualClock(Date.UTC(2026, 0, 2)) });
  const add = (type: EventType, detail: object = {}): void =>
    log.add({ type, dpids: [DP], detail: () => detail });
  /** What is there of some types after a number. */
  const read = (seq: number, ...types: EventType[]): number[] => {
    const histories = new Set<History>(types.map(historyOf));
    const found: number[] = [];
    for (let at = seq; ; ) {
      const event = log.after(at, histories, ({ type }) => types.includes(type));
      if (event === undefined) return found;
      at = event.seq;
      found.push(at);
    }
  };
  return { log, add, read };
}

test("events are found by number, whatever history they are in, in their order", () => {
  const { log, add, read } = start();
  add("link_add");
  add("packet_in");
  add("flow_add");
  add("link_add");
  add("switch_enter");
  expect(log.last).toBe(5);
  expect(read(0, "link_add", "packet_in", "flow_add")).toEqual([1, 2, 3, 4]);
  expect(read(2, "link_add")).toEqual([4]);
  expect(read(5, "link_add", "packet_in")).toEqual([]);
});

test("many events of one kind push out no others, and what is lost is told of that kind alone", () => {
  const { log, add, read } = start();
  add("link_add");
  for (let i = 0; i < 5000; i++) add("flow_add");
  expect(read(0, "link_add")).toEqual([1]);
  expect([log.lostUpTo("other"), log.lostUpTo("flow")]).toEqual([0, 905]);
  expect(read(0, "flow_add")[0]).toBe(906);
});

test("a history that was not kept up has a gap up to where it goes on", () => {
  const { log, add } = start();
  add("link_add");
  add("link_delete");
  log.resume("packet");
  add("packet_in");
  expect([log.lostUpTo("packet"), log.lostUpTo("other")]).toEqual([2, 0]);
});

test("an event is made into text when it is read, once, and readers are called once a turn", async () => {
  const { log, add } = start();
  let calls = 0;
  const end = log.follow(() => calls++);
  let made = 0;
  log.add({
    ...{ type: "host_add", dpids: [DP] },
    detail: () => {
      made++;
      return { mac: "02:00:00:00:00:01" };
    },
  });
  add("link_add");
  expect(made).toBe(0);
  await new Promise(setImmediate);
  expect(calls).toBe(1);
  end();
  const event = log.after(0, ["other"], () => true)!;
  const expected = '{"seq":1,"time":"2026-01-02T00:00:00.000Z","type":"host_add","mac":"02:00:00:00:00:01"}';
  expect([event.text, event.text, made]).toEqual([expected, expected, 1]);
  add("link_add");
  await new Promise(setImmediate);
  expect(calls).toBe(1);
});
