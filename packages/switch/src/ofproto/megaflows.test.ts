import { expect, test } from "vitest";
import { frame, modelRig, output, TestBench } from "./bench.testkit.js";
import { OFPP } from "./xlate/reserved.js";

const LIMIT = 16;
/** Time between two sweeps (backer.ts). */
const ROUND_MS = 500;

/** A frame from one of many sources. */
function wide(source: number): Uint8Array {
  const bytes = frame(0, 1);
  new DataView(bytes.buffer).setUint16(10, source);
  return bytes;
}

/** Each source has a megaflow of its own. */
async function setUp() {
  const bench = await TestBench.over(modelRig, 2, { flowLimit: LIMIT });
  bench.flow({}, [output(OFPP.NORMAL)]);
  await bench.receive("p2", frame(200, 255));
  const { megaflows } = bench.backer;
  /** Whether a packet from this source finds its megaflow. */
  const isCached = async (source: number): Promise<boolean> => {
    const before = bench.backer.counters.upcalls;
    await bench.receive("p1", frame(source, 200));
    return bench.backer.counters.upcalls === before;
  };
  return { bench, megaflows, isCached };
}

test("at flow-limit those that are used stay, and new ones take the places of those that are not", async () => {
  const { bench, megaflows, isCached } = await setUp();
  const steady = [1, 2, 3, 4];
  for (const source of steady) await isCached(source);
  for (let source = 50; source < 190; source++) {
    // A scan: one packet from each source, more than there is room for, while others go on as before.
    await bench.receive("p1", frame(source, 200));
    if (source % 7 === 0) {
      for (const one of steady) expect(await isCached(one)).toBe(true);
      await bench.warp(ROUND_MS);
    }
    expect(megaflows.size).toBeLessThanOrEqual(LIMIT);
  }
  expect(megaflows.counters.evicted).toBeGreaterThan(10);
  // One that comes to stay finds a place within a round or two, and keeps it.
  await isCached(30);
  await bench.warp(ROUND_MS);
  await isCached(30);
  expect(await isCached(30)).toBe(true);
});

test("at flow-limit a new population takes the places of one that has gone, each flow once", async () => {
  const { bench, megaflows, isCached } = await setUp();
  const old = Array.from({ length: LIMIT }, (_, i) => 1 + i);
  for (let round = 0; round < 3; round++) {
    for (const source of old) await isCached(source);
    await bench.warp(ROUND_MS);
  }
  // Each new one's second packet comes later than the next sweep.
  const fresh = Array.from({ length: LIMIT / 2 }, (_, i) => 100 + i);
  const before = megaflows.counters.installed;
  for (let round = 0; round < 6; round++) {
    for (const source of fresh) await isCached(source);
    await bench.warp(1.5 * ROUND_MS);
  }
  for (const source of fresh) expect(await isCached(source)).toBe(true);
  expect(megaflows.counters.installed - before).toBe(fresh.length);
  expect(megaflows.counters.expired).toBe(0);
});

test("a scan takes three eighths of the places at most, and displaces nobody beyond", async () => {
  const limit = 160;
  const bench = await TestBench.over(modelRig, 2, { flowLimit: limit });
  bench.flow({}, [output(OFPP.NORMAL)]);
  await bench.receive("p2", frame(1, 255));
  const { megaflows, counters } = bench.backer;
  /** Sends a packet from each; gives how many found no megaflow. */
  const send = async (sources: readonly number[]): Promise<number> => {
    const before = counters.upcalls;
    for (const source of sources) await bench.receive("p1", wide(source));
    return counters.upcalls - before;
  };
  // They are used, but each only every two seconds.
  const steady = Array.from({ length: (5 * limit) / 8 - 1 }, (_, i) => 1000 + i);
  let next = 10_000;
  let missed = 0;
  for (let round = 0; round < 40; round++) {
    const misses = await send(steady.filter((_, i) => i % 4 === round % 4));
    if (round >= 8) {
      missed += misses;
      await send(Array.from({ length: limit / 2 }, () => next++));
    }
    await bench.warp(ROUND_MS);
    expect(megaflows.size).toBeLessThanOrEqual(limit);
  }
  expect(missed).toBe(0);
  expect(megaflows.counters.evicted).toBeGreaterThan(limit);
});

test("a lower flow-limit takes the least recently used out", async () => {
  const { bench, megaflows, isCached } = await setUp();
  for (let source = 1; source <= 10; source++) {
    await isCached(source);
    await isCached(source);
    await bench.warp(100);
  }
  bench.backer.configure({ flowLimit: 5 });
  await bench.warp(2 * ROUND_MS);
  expect(megaflows.size).toBeLessThanOrEqual(5);
  expect(megaflows.size).toBeGreaterThan(2);
  expect(megaflows.counters.expired).toBe(0);
  expect(await isCached(10)).toBe(true);
  expect(await isCached(1)).toBe(false);
});

test("far from the limit nothing goes but what idles", async () => {
  const { bench, megaflows, isCached } = await setUp();
  for (let source = 1; source <= 8; source++) await isCached(source);
  await bench.warp(4 * ROUND_MS);
  expect(megaflows.counters).toMatchObject({ evicted: 0, expired: 0, overLimit: 0 });
  await bench.warp(10_000);
  expect(megaflows.counters).toMatchObject({ evicted: 0, overLimit: 0 });
  expect(megaflows.size).toBe(0);
});

test("megaflows that get other actions keep their places: no packet comes up again, and all are counted", async () => {
  const bench = await TestBench.over(modelRig, 3);
  const { megaflows } = bench.backer;
  const toPort = (port: number) => {
    for (let source = 1; source <= 8; source++)
      bench.flow({ eth_src: `00:00:00:00:00:0${source}` }, [output(port)], { priority: 0xa000 });
  };
  toPort(2);
  const send = async () => {
    const names: string[] = [];
    for (let source = 1; source <= 8; source++)
      names.push(...(await bench.receive("p1", frame(source, 200))));
    return new Set(names);
  };
  await send();
  expect(await send()).toEqual(new Set(["p2"]));
  const { upcalls } = bench.backer.counters;
  // Rules of the same match take the places and the counts of those before.
  toPort(3);
  expect(await send()).toEqual(new Set(["p3"]));
  expect(bench.backer.counters.upcalls).toBe(upcalls);
  expect(megaflows.counters).toMatchObject({ installed: 8, changed: 8 });
  expect((await bench.dump()).map(({ packet_count }) => packet_count)).toEqual(Array(8).fill(3n));
  // What the datapath has seen of the flows goes on.
  expect([...megaflows].map(({ packets }) => packets)).toEqual(Array(8).fill(2));
  expect(bench.dpif.flows.size).toBe(8);
  // Actions that change the rules that are there: all at once, and their counts stay.
  bench.bridge.flowMod({
    command: "OFPFC_MODIFY",
    match: {},
    instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [output(2)] }],
  });
  expect(await send()).toEqual(new Set(["p2"]));
  expect(bench.backer.counters.upcalls).toBe(upcalls);
  expect((await bench.dump()).map(({ packet_count }) => packet_count)).toEqual(Array(8).fill(4n));
});

test("ports that go together have each megaflow looked at once, and others have their turns meanwhile", async () => {
  const bench = await TestBench.over(modelRig, 3);
  const { megaflows } = bench.backer;
  bench.flow({}, [output(OFPP.FLOOD)]);
  const count = 1200;
  for (let i = 0; i < count; i++) {
    bench.flow({ eth_src: `00:00:00:00:${hex(i >> 8)}:${hex(i & 255)}` }, [output(2)], { priority: 0xfff0 });
    const from = frame(1, 200);
    from.set([i >> 8, i & 255], 10);
    bench.rig.receive("p1", from);
  }
  expect(megaflows.size).toBe(count);
  const { revalidated } = megaflows.counters;
  let hadTurn = false;
  setImmediate(() => {
    hadTurn = true;
  });
  await bench.bridge.removePorts([1, 2, 3]);
  expect(megaflows.counters.revalidated - revalidated).toBe(count);
  expect(hadTurn).toBe(true);
  expect(megaflows.size).toBe(0);
  expect(bench.dpif.flows.size).toBe(0);
});

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

/** A flow of what came in by p1, to go out by p2, by hand. */
async function byHand(mayStay: boolean) {
  const bench = await TestBench.over(modelRig, 3);
  bench.flow({ in_port: 1 }, [output(3)]);
  await bench.receive("p1", frame(1, 2));
  const { backer, rig } = bench;
  const [own] = [...backer.megaflows];
  backer.megaflows.flush();
  await backer.syncStats();
  rig.sent.length = 0;
  const put = (): number =>
    backer.putByHand({ key: own!.key, mask: own!.mask, actions: [{ type: "output", port: 2 }] }, mayStay);
  /** Sends so many packets, whether or not every change is in force; where they went. */
  const send = async (count: number): Promise<string[]> => {
    rig.sent.length = 0;
    for (let i = 0; i < count; i++) rig.receive("p1", frame(1, 2));
    return rig.sent.map(({ port }) => port);
  };
  const counted = async (): Promise<number> => {
    const [entry] = await bench.dump();
    return Number(entry!.packet_count);
  };
  return { bench, put, send, counted, megaflows: backer.megaflows };
}

test("a megaflow put in by hand lasts until the next round, and counts for whom OpenFlow would count", async () => {
  const { bench, put, send, counted, megaflows } = await byHand(true);
  const before = await counted();
  const id = put();
  expect(await send(3)).toEqual(["p2", "p2", "p2"]);
  expect(await counted()).toBe(before + 3);
  await bench.warp(ROUND_MS);
  await bench.backer.barrier();
  expect(await send(2)).toEqual(["p3", "p3"]);
  expect(await counted()).toBe(before + 5);
  // It is the same one, with its counts, by another number.
  expect(megaflows.byId(id)).toMatchObject({ birth: id, packets: 5 });
});

test("a megaflow put in by hand that looks at too little goes at the next round; its counts do not", async () => {
  const { bench, put, send, counted, megaflows } = await byHand(false);
  const before = await counted();
  const id = put();
  await send(4);
  await bench.warp(ROUND_MS);
  expect(megaflows.byId(id)).toBeUndefined();
  expect(await send(1)).toEqual(["p3"]);
  expect(await counted()).toBe(before + 5);
});

test("actions given by hand last until the megaflow is next translated", async () => {
  const { bench, send, counted, megaflows } = await byHand(true);
  const before = await counted();
  await send(1);
  const [own] = [...megaflows];
  megaflows.setActions(own!.id, [{ type: "output", port: 2 }]);
  await bench.warp(3 * ROUND_MS);
  expect(await send(2)).toEqual(["p2", "p2"]);
  bench.flow({ in_port: 2 }, [output(3)]);
  bench.backer.changed();
  await bench.backer.barrier();
  expect(await send(1)).toEqual(["p3"]);
  expect(await counted()).toBe(before + 4);
});

test("while revalidation is paused nothing expires, and what was put in by hand stays; counts go on", async () => {
  const { bench, put, send, counted, megaflows } = await byHand(false);
  const before = await counted();
  bench.backer.isPaused = true;
  put();
  await bench.warp(40 * ROUND_MS);
  expect(await send(2)).toEqual(["p2", "p2"]);
  expect(await counted()).toBe(before + 2);
  expect(megaflows.size).toBe(1);
  bench.backer.isPaused = false;
  await bench.warp(2 * ROUND_MS);
  expect(await send(1)).toEqual(["p3"]);
});

test("a change that came while revalidation was paused is in force after it, and for who waits at once", async () => {
  const { bench, send } = await byHand(true);
  await send(1);
  bench.backer.isPaused = true;
  bench.flow({ in_port: 1 }, [output(2)], { priority: 0x9000 });
  await bench.warp(ROUND_MS);
  expect(await send(1)).toEqual(["p3"]);
  bench.backer.isPaused = false;
  await bench.warp(ROUND_MS);
  expect(await send(1)).toEqual(["p2"]);
  bench.backer.isPaused = true;
  bench.flow({ in_port: 1 }, [output(3)], { priority: 0xa000 });
  await bench.backer.barrier();
  expect(await send(1)).toEqual(["p3"]);
});

test("without megaflows each flow has its own, and no other packet meets it", async () => {
  const bench = await TestBench.over(modelRig, 3);
  bench.flow({ in_port: 1 }, [output(3)]);
  const { megaflows, counters } = bench.backer;
  megaflows.areWide = false;
  for (const source of [1, 2, 3, 1, 2, 3]) await bench.receive("p1", frame(source, 9));
  expect(megaflows.size).toBe(3);
  expect(counters.upcalls).toBe(3);
  // They are kept true like all.
  bench.flow({ in_port: 1 }, [output(2)], { priority: 0x9000 });
  await bench.backer.barrier();
  bench.rig.sent.length = 0;
  await bench.receive("p1", frame(1, 9));
  expect(bench.rig.sent.map(({ port }) => port)).toEqual(["p2"]);
  expect(megaflows.size).toBe(3);
});
