import {
  Controller,
  FLOOD_GROUP,
  FORWARDING_COOKIE,
  type ForwardingOptions,
  forwarding,
  type Switch,
  type SwitchCopy,
  TableCopies,
  type TopologyApp,
  topology,
} from "@sluice/controller";
import {
  fatTree,
  type Host,
  type LabFabric,
  Link,
  type LinkRecord,
  labFabric,
  line,
  mesh,
  type ProbeOptions,
  plainSwitch,
  ring,
  type Shape,
  seededRandom,
} from "@sluice/lab";
import { OFPG, OFPP } from "@sluice/openflow-codec";
import { createLog, VirtualClock } from "@sluice/runtime";
import { ARP_REQUEST, arp, ethernet, type Frame, parseFrame } from "@sluice/wire";
import { afterEach, describe, expect, test } from "vitest";

/** The forwarding app on networks of our switches, under a virtual clock. */
const STRANGER = "10.9.9.9";
const PROBE: ProbeOptions = { count: 1, timeoutMs: 900 };

let clock: VirtualClock;
let fabric: LabFabric;
let controller: Controller;
let log: string[];
/** Cables by which a broadcast went. */
const seen: string[] = [];
let app: TopologyApp;

/** Plugs plain switches in, each into spare ports of the switches listed, with a host at each. */
function addSegments(...segments: number[][]): void {
  for (const [i, ends] of segments.entries()) {
    const sockets = plainSwitch(ends.length + 1);
    const random = seededRandom(1, `segment ${i}`);
    for (const [at, end] of ends.entries())
      new Link(fabric.spare(end), sockets[at]!, { clock, random, latencyMs: 0.1 });
    fabric.network.addHost(sockets[ends.length]!);
  }
}

async function start(
  shape: Shape,
  options: ForwardingOptions = {},
  segments: number[][] = [],
): Promise<void> {
  clock = new VirtualClock();
  log = [];
  fabric = await labFabric({ clock, shape, latencyMs: 0.1, spares: 2, tap: watch });
  addSegments(...segments);
  startController(options);
  fabric.connect((socket, peer) => controller.accept(socket, peer));
  // Links are found at once; after the delay, ports without one are taken for hosts'.
  await clock.advanceAsync(2500, 5);
}
function startController(options: ForwardingOptions = {}): void {
  const logs = createLog({ clock, console: (text) => log.push(text) });
  app = topology({ clock, log: logs.module("topology") });
  controller = new Controller({
    apps: [app, forwarding(app.topology, { clock, log: logs.module("forwarding"), ...options })],
    clock,
    log: logs,
    probeIntervalMs: 0,
  });
}
function watch(cable: string, { direction, frame }: LinkRecord): void {
  const { payload } = parseFrame(frame) as Frame;
  if (payload instanceof Uint8Array || payload.kind !== "arp" || payload.tpa !== STRANGER) return;
  if (cable.startsWith("s") || direction === "b-to-a") seen.push(cable);
}
afterEach(async () => {
  expect(log.filter((text) => /refused|failed|malformed/.test(text))).toEqual([]);
  await controller.stop();
  await fabric.destroy();
});

/** Runs the clock until a promise has its value. */
async function run<T>(promise: Promise<T>, stepMs = 1): Promise<T> {
  let isDone = false;
  void promise.finally(() => {
    isDone = true;
  });
  for (let i = 0; !isDone && i < 100_000; i++) await clock.advanceAsync(stepMs);
  return promise;
}

async function lostPings(): Promise<string[]> {
  const results = await run(fabric.network.pingAll(PROBE));
  return results
    .filter(({ result }) => result.received !== result.sent)
    .map(({ from, to }) => `${from.name}-${to.name}`);
}

interface Spread {
  /** How often each other host got it. */
  hosts: number[];
  /** How often it crossed a cable between switches. */
  crossings: number;
}

/** A broadcast of one host: where it went. */
async function broadcast(from: Host): Promise<Spread> {
  seen.length = 0;
  from.sendFrame(
    ethernet({ src: from.mac }, arp({ op: ARP_REQUEST, sha: from.mac, spa: from.ip, tpa: STRANGER })),
  );
  await clock.advanceAsync(100, 1);
  const others = fabric.network.hosts.filter((host) => host !== from);
  return {
    hosts: others.map(({ name }) => seen.filter((cable) => cable === name).length),
    crossings: seen.filter((cable) => cable.startsWith("s")).length,
  };
}
const everybodyOnce = (): Spread => ({
  hosts: fabric.network.hosts.slice(1).map(() => 1),
  crossings: fabric.bridges.length - 1,
});

const SHAPES: [string, Shape][] = [
  ["a line of 4", line(4)],
  ["a ring of 4", ring(4)],
  ["a mesh of 6", mesh(6)],
  ["a fat tree of k=4", fatTree(4)],
];

describe.each(SHAPES)("on %s", (_name, shape) => {
  test("all hosts reach each other, and a broadcast reaches each once", async () => {
    await start(shape);
    expect(app.topology.links()).toHaveLength(2 * shape.links.length);
    expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
    expect(await lostPings()).toEqual([]);
  });

  test("any cable may be cut", async () => {
    await start(shape);
    expect(await lostPings()).toEqual([]);
    const isLine = shape.links.length === shape.switches - 1;
    for (const link of fabric.links.slice(0, 4)) {
      link.cut();
      await clock.advanceAsync(10, 1);
      if (isLine) expect((await lostPings()).length).toBeGreaterThan(0);
      else {
        expect(await lostPings()).toEqual([]);
        expect(await broadcast(fabric.network.hosts[1]!)).toEqual(everybodyOnce());
      }
      link.mend();
      await clock.advanceAsync(2500, 10);
      expect(await lostPings()).toEqual([]);
    }
  });
});

test("a host that moves is reached at its new port, from the first packet it sends there", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  fabric.network.moveHost("h1", fabric.spare(2));
  await clock.advanceAsync(2500, 10);
  expect((await run(fabric.network.host("h1").ping("10.0.0.2", PROBE))).received).toBe(1);
  expect(await lostPings()).toEqual([]);
  const [host] = app.topology.hosts().filter(({ mac }) => mac === fabric.network.host("h1").mac);
  expect(host?.port.dpid).toBe(3n);
});

test("a host that is moved while nobody notices is found by what it sends", async () => {
  await start(ring(4));
  // Its new port was up, and empty, all the while.
  const socket = fabric.spare(1);
  expect(await lostPings()).toEqual([]);
  fabric.network.moveHost("h1", socket);
  expect((await run(fabric.network.host("h1").ping("10.0.0.3", PROBE))).received).toBe(1);
  expect(await lostPings()).toEqual([]);
});

/** The groups of a switch towards others. */
const groupsOf = (at: number): { type: string; ports: number[] }[] =>
  [...fabric.bridges[at]!.ofproto.groups.values()]
    .filter(({ group_id }) => group_id !== FLOOD_GROUP)
    .map(({ group_type, buckets }) => ({
      type: group_type,
      ports: buckets.map(({ watch_port }) => watch_port),
    }));

test("equal paths share the flows by a select group, single ones have spares where there are any", async () => {
  await start(mesh(6));
  expect(await lostPings()).toEqual([]);
  for (const { type, ports } of groupsOf(0)) {
    expect(type).toBe("OFPGT_FF");
    expect(ports).toHaveLength(2);
  }
  await fabric.destroy();
  await start(fatTree(4));
  expect(await lostPings()).toEqual([]);
  const atEdge = groupsOf(fabric.bridges.length - 1);
  expect(atEdge.every(({ type, ports }) => type === "OFPGT_SELECT" && ports.length === 2)).toBe(true);
});

test("a cut cable loses nothing that its own switch can send another way, even with no controller", async () => {
  await start(mesh(6));
  expect(await lostPings()).toEqual([]);
  const links = app.topology.links();
  await controller.stop();
  // Not one of the spanning tree, which only the controller can mend.
  const floods = (at: number): unknown[] =>
    fabric.bridges[at]!.ofproto.groups.get(FLOOD_GROUP)!.buckets.flatMap(({ actions }) =>
      actions.map((action) => "port" in action && action.port),
    );
  const { src, dst } = links.find(
    ({ src: { dpid, port_no } }) => !floods(Number(dpid) - 1).includes(port_no),
  )!;
  fabric.link(Number(src.dpid) - 1, Number(dst.dpid) - 1).cut();
  expect(await lostPings()).toEqual([]);
  expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
});

test("a switch that loses its controller makes no storm, and is part of the fabric again when it is back", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  controller.datapaths.get(1n)!.close("test");
  await clock.advanceAsync(5000, 10);
  const { crossings } = await broadcast(fabric.network.hosts[1]!);
  expect(crossings).toBeLessThanOrEqual(4);
  fabric.connect((socket, peer) => peer === "lab:s1" && controller.accept(socket, peer));
  await clock.advanceAsync(5000, 10);
  expect(await lostPings()).toEqual([]);
  expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
});

/** Of the switches' flows of this app: the youngest's age in ms, and how many there are. */
async function flowAges(): Promise<{ youngest: number; count: number }> {
  const body = {
    type: "OFPMP_FLOW",
    cookie: FORWARDING_COOKIE,
    cookie_mask: 0xffff_ffff_ffff_ffffn,
  } as const;
  const anywhere = { table_id: 255, out_port: OFPP.ANY, out_group: OFPG.ANY };
  const request = { type: "OFPT_MULTIPART_REQUEST", body: { ...body, ...anywhere } } as const;
  const replies = await run(Promise.all([...controller.datapaths.values()].map((dp) => dp.request(request))));
  const ages = replies.flatMap((reply) =>
    reply.body.entries.map(({ duration_sec, duration_nsec }) => duration_sec * 1000 + duration_nsec / 1e6),
  );
  return { youngest: Math.min(...ages), count: ages.length };
}

describe.each([...SHAPES.slice(1), ["a ring of 5", ring(5)] as [string, Shape]])("on %s", (_name, shape) => {
  test("a controller that starts anew takes over what is there: nothing is sent again, and nothing is lost", async () => {
    await start(shape);
    expect(await lostPings()).toEqual([]);
    await clock.advanceAsync(1000, 10);
    const before = await flowAges();
    const [first, , third] = fabric.network.hosts;
    const pinging = first!.ping(third!.ip, { count: 400, intervalMs: 20, timeoutMs: 900 });
    await clock.advanceAsync(500, 10);
    await controller.stop();
    await clock.advanceAsync(500, 10);
    startController();
    const restartedAt = clock.now();
    fabric.connect((socket, peer) => controller.accept(socket, peer));
    await clock.advanceAsync(4000, 10);
    const after = await flowAges();
    expect(after.count).toBe(before.count);
    expect(after.youngest).toBeGreaterThan(clock.now() - restartedAt + 400);
    expect(await run(pinging, 10)).toMatchObject({ received: 400 });
    expect(app.topology.hosts()).toHaveLength(fabric.network.hosts.length);
    expect(await lostPings()).toEqual([]);
    expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
    // It is in charge as if it had made all.
    fabric.links[0]!.cut();
    await clock.advanceAsync(20, 1);
    expect(await lostPings()).toEqual([]);
    expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
  });
});

test("an address that two hosts have is told of, once", async () => {
  await start(ring(4));
  const [h1, h2] = fabric.network.hosts;
  for (let i = 0; i < 10; i++) {
    for (const host of [h1!, h2!])
      host.sendFrame(
        ethernet({ src: h1!.mac }, arp({ op: ARP_REQUEST, sha: h1!.mac, spa: h1!.ip, tpa: STRANGER })),
      );
    await clock.advanceAsync(50, 1);
  }
  expect(log.filter((text) => text.includes("two hosts have this address, or there is a loop"))).toHaveLength(
    1,
  );
  expect(app.topology.counters.flapping).toBe(1);
});

test("what has changed while there was no controller is put right, and no more", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  await controller.stop();
  fabric.link(0, 1).cut();
  fabric.network.moveHost("h3", fabric.spare(3));
  await clock.advanceAsync(1000, 10);
  startController();
  fabric.connect((socket, peer) => controller.accept(socket, peer));
  await clock.advanceAsync(15_000, 10);
  expect((await run(fabric.network.host("h3").ping("10.0.0.1", PROBE))).received).toBe(1);
  expect(await lostPings()).toEqual([]);
  expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
  expect(app.topology.hosts()).toHaveLength(4);
});

test("what somebody else has spoilt in a switch is made anew", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  const groupMod = { type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_type: "OFPGT_ALL" } as const;
  await run(controller.datapaths.get(2n)!.request({ ...groupMod, group_id: FLOOD_GROUP }));
  await controller.stop();
  startController();
  fabric.connect((socket, peer) => controller.accept(socket, peer));
  await clock.advanceAsync(5000, 10);
  expect(await lostPings()).toEqual([]);
  expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
});

test("a switch whose connection is lost is part of the fabric again as soon as its links are seen", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  controller.datapaths.get(1n)!.close("test");
  await clock.advanceAsync(10, 1);
  fabric.connect((socket, peer) => peer === "lab:s1" && controller.accept(socket, peer));
  await clock.advanceAsync(100, 1);
  expect(await lostPings()).toEqual([]);
  expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
  expect((await flowAges()).youngest).toBeLessThan(10_000);
});

test("a cable that carries nothing any more, though both ports are up, is gone round; and used again", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  for (const link of fabric.links) {
    link.loss = 1;
    // Until its probes are missed, for seven seconds.
    await clock.advanceAsync(10_000, 10);
    expect(app.topology.links()).toHaveLength(6);
    expect(await lostPings()).toEqual([]);
    expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
    link.loss = 0;
    await clock.advanceAsync(5000, 10);
    expect(app.topology.links()).toHaveLength(8);
    expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
  }
});

test("a switch that dies with all its cables takes no others with it", async () => {
  const shape = fatTree(4);
  await start(shape);
  expect(await lostPings()).toEqual([]);
  const cables = fabric.links.filter((_link, i) => shape.links[i]!.includes(0));
  for (const link of cables) link.cut();
  controller.datapaths.get(1n)!.close("test");
  await clock.advanceAsync(10, 1);
  expect(await lostPings()).toEqual([]);
});

test("an app that is taken away takes its flows and groups along, and one that comes later finds the links", async () => {
  await start(ring(4));
  expect(await lostPings()).toEqual([]);
  const flows = async (): Promise<number> => {
    const body = { type: "OFPMP_AGGREGATE", out_port: OFPP.ANY, out_group: OFPG.ANY } as const;
    const mask = { table_id: 255, cookie: FORWARDING_COOKIE, cookie_mask: 0xffff_ffff_ffff_ffffn };
    const request = { type: "OFPT_MULTIPART_REQUEST", body: { ...body, ...mask } } as const;
    return (await run(controller.datapaths.get(1n)!.request(request))).body.flow_count;
  };
  expect(await flows()).toBeGreaterThan(5);
  controller.setApps([app]);
  await clock.advanceAsync(10, 1);
  expect(await flows()).toBe(0);
  expect(fabric.bridges[0]!.ofproto.groups.size).toBe(0);
  controller.setApps([app, forwarding(app.topology, { clock })]);
  await clock.advanceAsync(2500, 10);
  expect(await lostPings()).toEqual([]);
  expect(await broadcast(fabric.network.hosts[0]!)).toEqual(everybodyOnce());
});

test("a host that is silent for long is forgotten, with its flows", async () => {
  await start(line(2), { hostIdleSecs: 10 });
  expect(await lostPings()).toEqual([]);
  expect(app.topology.hosts()).toHaveLength(2);
  await clock.advanceAsync(30_000, 100);
  expect(app.topology.hosts()).toEqual([]);
  expect(await lostPings()).toEqual([]);
});

test("the same seed gives the same network", async () => {
  const runOnce = async (): Promise<string> => {
    await start(ring(4));
    fabric.link(0, 1).cut();
    await lostPings();
    return JSON.stringify([app.topology.hosts(), app.topology.links()], (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
  };
  const first = await runOnce();
  await controller.stop();
  await fabric.destroy();
  expect(await runOnce()).toBe(first);
});

test.each([
  ["between two switches of a ring", ring(4), [[0, 2]]],
  ["between three of them", ring(4), [[0, 1, 2]]],
  [
    "as the only way between two lines, and twice into one",
    {
      switches: 4,
      links: [
        [0, 1],
        [2, 3],
      ],
      hosts: [0, 1, 2, 3],
    } as Shape,
    [[1, 2, 3]],
  ],
  [
    "two of them",
    ring(4),
    [
      [0, 2],
      [1, 3],
    ],
  ],
  ["with both ends in one switch", line(2), [[0, 0]]],
])(
  "a network of others %s: all reach each other, its hosts too, and nothing goes twice",
  async (_name, shape, segments) => {
    await start(shape, {}, segments);
    const { hosts } = fabric.network;
    const once = hosts.slice(1).map(() => 1);
    expect((await broadcast(hosts[0]!)).hosts).toEqual(once);
    expect((await broadcast(hosts.at(-1)!)).hosts).toEqual(once);
    expect(await lostPings()).toEqual([]);
    for (const host of hosts) host.counters.received = 0;
    expect(await lostPings()).toEqual([]);
    // Each is pinged by all others and pings all others; frames for others come by in a network of others only, and ARP
    // and probes are a few. A loop would be thousands.
    for (const { counters } of hosts) expect(counters.received).toBeLessThan(20 * hosts.length);
  },
);

test("the controller's copies of the tables follow all that a lost link changes", async () => {
  await start(ring(4));
  const copies = new TableCopies({ switches: controller.datapaths, clock });
  const copyOf = (dp: Switch) => copies.of(dp)!;
  const all = <T>(ask: (copy: SwitchCopy) => Promise<T>): Promise<T[]> =>
    run(Promise.all([...controller.datapaths.values()].map((dp) => ask(copyOf(dp)))));
  await all((copy) => copy.tables());
  expect(await lostPings()).toEqual([]);
  fabric.link(0, 1).cut();
  await clock.advanceAsync(500, 1);
  expect(await lostPings()).toEqual([]);
  const before = copies.counters.checks;
  expect(await all((copy) => copy.hasSameCount())).toEqual([true, true, true, true]);
  expect(copies.counters.checks).toBe(before);
  await all((copy) => copy.check());
  expect(copies.counters).toMatchObject({ missing: 0, surplus: 0, changed: 0, groups: 0, lost: 0 });
  copies.stop();
});
