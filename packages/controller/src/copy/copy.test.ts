import { type OfMessageInit, parseFlow, parseGroup } from "@sluice/openflow-codec";
import { VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import type { Switch } from "../framework/app.js";
import { asReceived, describeFlow, type SwitchTables } from "../tables/index.js";
import { FakeSwitch } from "../testing/fake-switch.js";
import { SwitchCopy, TableCopies } from "./index.js";

const flow = (text: string, command: "add" | "delete" = "add") => parseFlow(text, command) as OfMessageInit;
const textsOf = ({ flows }: SwitchTables): string[] => flows.map(describeFlow);
const lists = (sw: FakeSwitch): number =>
  sw.sent.filter((one) => one.type === "OFPT_MULTIPART_REQUEST" && one.body.type === "OFPMP_FLOW").length;

/** Another controller's: changes the switch past the copy. */
const byAnother = (sw: FakeSwitch, text: string): void => {
  sw.tables.apply(asReceived(flow(text)));
};

function start() {
  const clock = new VirtualClock(1_000_000);
  const sw = new FakeSwitch([]);
  sw.send(flow("priority=1,actions=CONTROLLER"));
  return { clock, sw, copy: new SwitchCopy(sw, clock) };
}

test("a copy begins with what the switch lists, and then follows what is sent without asking again", async () => {
  const { sw, copy } = start();
  expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
  sw.send(flow("priority=5,ip,actions=output:2"));
  sw.send(flow("priority=5,ip,actions=output:3"));
  sw.send(flow("table=1,arp,actions=drop"));
  sw.send(flow("table=1,arp", "delete"));
  sw.send(parseGroup("group_id=1,type=all,bucket=output:2", "add") as OfMessageInit);
  const tables = await copy.tables();
  expect(textsOf(tables)).toEqual(textsOf(sw.tables));
  expect([...tables.groups.keys()]).toEqual([1]);
  expect(lists(sw)).toBe(1);
});

test("what the switch refused is not in it, whoever waited for the answer", async () => {
  const { sw, copy } = start();
  await copy.tables();
  sw.send(flow("ip,actions=group:9"));
  await expect(sw.request(flow("arp,actions=group:9"))).rejects.toThrow("OFPBAC_BAD_OUT_GROUP");
  sw.send(flow("tcp,actions=output:1"));
  expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
  expect((await copy.tables()).flowCount).toBe(2);
});

test("a flow of which the switch says that it has gone goes; one that came in its place stays", async () => {
  const { clock, sw, copy } = start();
  sw.send(flow("ip,idle_timeout=9,send_flow_rem,actions=output:1"));
  const [old] = (await copy.tables()).flows.filter(({ priority }) => priority === 0x8000);
  sw.expire(sw.flows.find(({ priority }) => priority === 0x8000)!);
  expect(old).toBeDefined();
  expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
  // The switch's word of a flow that was a second old comes when the controller has already put it there again.
  sw.send(flow("ip,idle_timeout=9,send_flow_rem,actions=output:1"));
  await copy.tables();
  clock.advance(5000);
  const again = sw.flows.find(({ priority }) => priority === 0x8000)!;
  sw.send(flow("ip,idle_timeout=9,send_flow_rem,actions=output:2"));
  const kept = sw.flows.find(({ priority }) => priority === 0x8000)!;
  sw.expire(again);
  sw.tables.accept(asReceived(flow("ip,idle_timeout=9,send_flow_rem,actions=output:2")));
  expect(textsOf(await copy.tables())).toContain(describeFlow(kept));
});

test("another controller's flows, and those that went silently, are found by a check, counted and put right", async () => {
  const { sw, copy } = start();
  sw.send(flow("ip,idle_timeout=9,actions=output:1"));
  sw.send(flow("arp,actions=output:1"));
  await copy.tables();
  expect(copy.state).toMatchObject({ missing: 0, surplus: 0, changed: 0, groups: 0 });
  expect(await copy.hasSameCount()).toBe(true);
  byAnother(sw, "udp,actions=output:3");
  byAnother(sw, "arp,actions=output:4");
  expect(await copy.hasSameCount()).toBe(false);
  sw.expire(sw.flows.find(({ match }) => match.eth_type === 0x0800 && match.ip_proto === undefined)!);
  expect(await copy.hasSameCount()).toBe(true);
  expect(textsOf(await copy.tables())).not.toEqual(textsOf(sw.tables));
  expect(textsOf(await copy.check())).toEqual(textsOf(sw.tables));
  expect(copy.state).toMatchObject({ missing: 1, surplus: 1, changed: 1, groups: 0, checkedAt: 1_000_000 });
  await copy.check();
  expect(copy.state).toMatchObject({ missing: 0, surplus: 0, changed: 0, groups: 0 });
  expect(copy.counters).toMatchObject({ checks: 3, missing: 1, surplus: 1, changed: 1, lost: 0 });
});

test("what is sent while the switch lists is neither lost nor counted as a difference", async () => {
  const { sw, copy } = start();
  await copy.tables();
  sw.send(flow("ip,actions=output:1"));
  const checking = copy.check();
  sw.send(flow("arp,actions=output:2"));
  const barrier = sw.barrier();
  await Promise.all([checking, barrier]);
  expect(copy.state).toMatchObject({ missing: 0, surplus: 0, changed: 0 });
  expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
});

test("with more changes than a copy follows it begins anew, by the switch's list", async () => {
  const { sw, copy } = start();
  await copy.tables();
  for (let i = 0; i < 5000; i++) sw.send(flow(`tcp,tp_dst=${i % 100},actions=output:1`));
  expect(copy.counters.lost).toBe(1);
  expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
  expect(lists(sw)).toBe(2);
});

test("a flow is asked after by itself", async () => {
  const { sw, copy } = start();
  sw.send(flow("ip,actions=output:1"));
  const [first] = (await copy.tables()).flows;
  expect(await copy.packetsOf(first!)).toBe(0n);
  byAnother(sw, "ip,actions=output:2");
  expect(await copy.packetsOf(first!)).toBeUndefined();
});

test("copies are checked one after the other, as time goes; that of a switch that has gone is let go of", async () => {
  const clock = new VirtualClock();
  const [a, b] = [1n, 2n].map((dpid) => new FakeSwitch([], { dpid }));
  const switches = new Map<bigint, Switch>([a!, b!].map((dp) => [dp.dpid, dp]));
  const copies = new TableCopies({ switches, clock, periodMs: 1000 });
  for (const dp of [a!, b!]) await copies.of(dp)!.tables();
  byAnother(b!, "ip,actions=output:2");
  for (let i = 0; i < 8; i++) {
    clock.advance(500);
    await new Promise(setImmediate);
  }
  expect(copies.counters).toMatchObject({ missing: 1, surplus: 0, changed: 0 });
  expect(lists(a!)).toBeGreaterThan(2);
  expect(lists(b!)).toBeGreaterThan(2);
  expect(copies.of(a!)).toBe(copies.of(a!));

  // It comes back on another connection.
  const { checks } = copies.counters;
  switches.set(1n, new FakeSwitch([], { dpid: 1n }));
  copies.of(switches.get(1n)!);
  expect([...copies.all.keys()]).toEqual([b, switches.get(1n)]);
  expect(copies.counters.checks).toBe(checks);
  copies.stop();
  expect(copies.of(b!)).toBeUndefined();
});
