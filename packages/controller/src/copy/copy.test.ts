import { type OfMessageInit, parseFlow, parseGroup } from "@sluice/openflow-codec";
import { VirtualClock } from "@sluice/runtime";
import { describe, expect, test } from "vitest";
import type { Switch } from "../framework/app.js";
import { asReceived, describeFlow, type SwitchTables } from "../tables/index.js";
import { FakeSwitch } from "../testing/fake-switch.js";
import { SwitchCopy, TableCopies } from "./index.js";

const flow = (text: string, command: "add" | "delete" = "add") => parseFlow(text, command) as OfMessageInit;
const group = (
  command: "OFPGC_ADD" | "OFPGC_MODIFY" | "OFPGC_DELETE",
  group_id: number,
  buckets: number,
): OfMessageInit => ({
  ...{ type: "OFPT_GROUP_MOD", command, group_type: "OFPGT_ALL", group_id },
  buckets: Array.from({ length: buckets }, (_, i) => ({ actions: [{ type: "OFPAT_OUTPUT", port: i + 1 }] })),
});
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

test("meters are compared, too; groups and meters that another changed are found by a short question", async () => {
  const { sw, copy } = start();
  const meter = (rate: number, command: "OFPMC_ADD" | "OFPMC_MODIFY" = "OFPMC_ADD"): OfMessageInit => ({
    ...{ type: "OFPT_METER_MOD", command, meter_id: 3, flags: 1 },
    bands: [{ type: "OFPMBT_DROP", rate, burst_size: 0 }],
  });
  sw.send(meter(100));
  sw.send(parseGroup("group_id=1,type=all,bucket=output:2", "add") as OfMessageInit);
  const tables = await copy.tables();
  expect(tables.meters.get(3)).toMatchObject({ flags: 1, bands: [{ rate: 100 }] });
  expect([await copy.hasSameGroups(), await copy.hasSameMeters()]).toEqual([true, true]);
  sw.tables.apply(asReceived(meter(200, "OFPMC_MODIFY")));
  sw.tables.apply(asReceived(parseGroup("group_id=1,type=all,bucket=output:3", "modify") as OfMessageInit));
  expect([await copy.hasSameGroups(), await copy.hasSameMeters()]).toEqual([false, false]);
  await copy.check();
  expect(copy.state).toMatchObject({ missing: 0, groups: 1, meters: 1 });
  expect([await copy.hasSameGroups(), await copy.hasSameMeters()]).toEqual([true, true]);
  expect(copy.counters).toMatchObject({ groups: 1, meters: 1 });
});

describe("of a switch with flow monitors", () => {
  const started = () => {
    const clock = new VirtualClock(1_000_000);
    const sw = new FakeSwitch([], { flowMonitors: true });
    return { sw, copy: new SwitchCopy(sw, clock) };
  };

  test("a copy has the flows of others, and those that went silently, at once", async () => {
    const { sw, copy } = started();
    sw.send(flow("ip,idle_timeout=9,actions=output:1"));
    await copy.tables();
    expect(copy.isMonitored).toBe(true);
    byAnother(sw, "udp,actions=output:3");
    sw.send(flow("udp,actions=output:4"));
    sw.expire(sw.flows.find(({ match }) => match.eth_type === 0x0800 && match.ip_proto === undefined)!);
    expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
    expect((await copy.tables()).flowCount).toBe(1);
    await copy.check();
    expect(copy.state).toMatchObject({ missing: 0, surplus: 0, changed: 0 });
  });

  test("what goes with a group goes once, and what comes after it stays", async () => {
    const { sw, copy } = started();
    const group = parseGroup("group_id=1,type=all,bucket=output:2", "add") as OfMessageInit;
    await copy.tables();
    sw.send(group);
    sw.send(flow("ip,actions=group:1"));
    sw.send({ type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_id: 1, group_type: "OFPGT_ALL" });
    sw.send(group);
    sw.send(flow("ip,actions=group:1"));
    expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
    expect((await copy.tables()).flowCount).toBe(1);
  });

  test("thousands of flows are followed while nobody asks", async () => {
    const { sw, copy } = started();
    await copy.tables();
    for (let i = 0; i < 6000; i++) sw.send(flow(`tcp,tp_dst=${i},actions=output:1`));
    expect((await copy.tables()).flowCount).toBe(6000);
    expect([copy.counters.lost, lists(sw)]).toEqual([0, 1]);
  });

  test("a switch that leaves changes out is asked for all of them", async () => {
    const { sw, copy } = started();
    await copy.tables();
    copy.paused();
    byAnother(sw, "udp,actions=output:3");
    expect(textsOf(await copy.tables())).toEqual(textsOf(sw.tables));
    expect(lists(sw)).toBe(2);
    byAnother(sw, "tcp,actions=output:3");
    expect((await copy.tables()).flowCount).toBe(2);
    copy.stop();
    expect(sw.tables.watcher).toBeUndefined();
  });
});

test("who follows a copy without monitors is told of each flow that came, changed or went", async () => {
  const { sw, copy } = start();
  const told: string[] = [];
  await copy.tables();
  copy.watcher = { flow: (change, one) => told.push(`${change} ${describeFlow(one)}`) };
  sw.send(flow("ip,actions=output:1"));
  sw.send(flow("ip,actions=output:2"));
  await expect(sw.request(flow("arp,actions=group:9"))).rejects.toThrow();
  sw.send(flow("ip", "delete"));
  expect(told).toEqual([]);
  await copy.tables();
  expect(told).toEqual([
    "add table=0,ip actions=output:1",
    "modify table=0,ip actions=output:2",
    "delete table=0,ip actions=output:2",
  ]);
  byAnother(sw, "udp,actions=output:3");
  await copy.check();
  expect(told.slice(3)).toEqual(["add table=0,udp actions=output:3"]);
});

test("a copy of groups and meters alone tells of those, by the controller and by others, and lists no flows", async () => {
  const { sw } = start();
  const copy = new SwitchCopy(sw, new VirtualClock(), "groups");
  const told: string[] = [];
  sw.send(group("OFPGC_ADD", 1, 1));
  await copy.tables();
  copy.watcher = {
    flow: () => told.push("a flow"),
    group: (change, { group_id, buckets }) =>
      told.push(`${change} group ${group_id}, ${buckets.length} buckets`),
    meter: (change, { meter_id }) => told.push(`${change} meter ${meter_id}`),
  };
  sw.send(flow("ip,actions=group:1"));
  sw.send(group("OFPGC_MODIFY", 1, 2));
  sw.send(group("OFPGC_ADD", 2, 1));
  await expect(sw.request(group("OFPGC_ADD", 2, 9))).rejects.toThrow("OFPGMFC_GROUP_EXISTS");
  sw.send({ type: "OFPT_METER_MOD", command: "OFPMC_ADD", meter_id: 7, flags: 1, bands: [] });
  sw.send(group("OFPGC_DELETE", 1, 0));
  expect(told).toEqual([]);
  await copy.tables();
  expect(told.splice(0)).toEqual([
    "modify group 1, 2 buckets",
    "add group 2, 1 buckets",
    "add meter 7",
    "delete group 1, 2 buckets",
  ]);
  for (const message of [group("OFPGC_MODIFY", 2, 3), group("OFPGC_ADD", 3, 1)])
    sw.tables.apply(asReceived(message));
  sw.tables.apply(asReceived({ type: "OFPT_METER_MOD", command: "OFPMC_DELETE", meter_id: 7 }));
  expect([await copy.hasSameGroups(), await copy.hasSameMeters()]).toEqual([false, false]);
  await copy.check();
  expect(told).toEqual(["modify group 2, 3 buckets", "add group 3, 1 buckets", "delete meter 7"]);
  expect(lists(sw)).toBe(0);
});
