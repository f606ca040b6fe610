import { VirtualClock } from "@sluice/runtime";
import { fromHex, toHex } from "@sluice/wire";
import { expect, test } from "vitest";
import type { OdpAction } from "../../dpif/actions.js";
import type { FlowStatsDelta, Upcall } from "../../dpif/dpif.js";
import { flowField, getField, newFlowKey, setField, setFieldMask } from "../../flow/flow-key.js";
import { DummyHub } from "../../netdev/dummy.js";
import { createUserspaceDpif } from "./dpif.js";

const PING =
  "00000000000200000000000108004500002100074000400126d30a0000010a0000020800a1f41234000568656c6c6f00000000000000000000000000";

async function setUp(count = 2) {
  const clock = new VirtualClock();
  const dummies = new DummyHub();
  const log = { info: () => {}, warn: () => {} };
  const dpif = createUserspaceDpif({ clock, log, host: "inline", dummies });
  const upcalls: Upcall[] = [];
  const stats: FlowStatsDelta[] = [];
  dpif.events.on("upcall", (upcall) => upcalls.push(upcall));
  dpif.events.on("stats", (batch) => batch.forEach((delta) => void stats.push({ ...delta })));
  const ports = [];
  const sent: string[][] = [];
  for (let i = 0; i < count; i++) {
    const port = await dpif.portAdd({ name: `p${i + 1}`, type: "dummy", options: {} });
    const frames: string[] = [];
    dummies.port(port.name).onTransmit = (frame) => frames.push(toHex(frame));
    sent.push(frames);
    ports.push(port.odpPort);
  }
  const receive = (port: number, hex: string) => dummies.port(`p${port}`).receive(fromHex(hex));
  return { clock, dummies, dpif, upcalls, stats, ports, sent, receive };
}

const fromPort = (odpPort: number, actions: readonly OdpAction[], id = 1) => {
  const key = newFlowKey();
  const mask = newFlowKey();
  setField(key, flowField("in_port"), odpPort);
  setFieldMask(mask, flowField("in_port"));
  return { id, key, mask, actions };
};

test("a packet that no megaflow matches is upcalled, and the answer forwards it and the next", async () => {
  const { dpif, upcalls, sent, receive } = await setUp();
  dpif.events.on("upcall", (upcall) => {
    dpif.flowPut(fromPort(upcall.odpPort, [{ type: "output", port: 2 }]));
    dpif.execute(upcall.packet, upcall.odpPort, [{ type: "output", port: 2 }], upcall.key);
  });
  receive(1, PING);
  receive(1, PING);
  expect(upcalls).toMatchObject([{ kind: "miss", odpPort: 1, cookie: 0, totalLen: 60 }]);
  expect(toHex(upcalls[0]!.packet)).toBe(PING);
  expect(sent[1]).toEqual([PING, PING]);
});

test("a key tells of so many VLAN tags as it may, also of a packet that was changed and is looked up again", async () => {
  const { dpif, upcalls, receive } = await setUp();
  const tagged = `${PING.slice(0, 24)}8100000581000006${PING.slice(24)}`;
  const pipeline = (upcall: Upcall) =>
    ["eth_type", "vlan_vid", "vlan2_tci"].map((name) => getField(upcall.key, flowField(name)));
  const lookUp = (): number[][] => {
    receive(1, tagged);
    dpif.execute(fromHex(tagged), 1, [
      { type: "push_vlan", tpid: 0x88a8, tci: 7 },
      { type: "recirc", id: 9 },
    ]);
    dpif.execute(fromHex(tagged), 1, [{ type: "pop_vlan" }, { type: "recirc", id: 9 }]);
    return upcalls.splice(0).map(pipeline);
  };
  expect(lookUp()).toEqual([
    [0x8100, 0x1005, 0],
    [0x8100, 0x1007, 0],
    [0x0800, 0x1006, 0],
  ]);
  dpif.tagsSet(2);
  expect(lookUp()).toEqual([
    [0x0800, 0x1005, 0x1006],
    [0x8100, 0x1007, 0x1005],
    [0x0800, 0x1006, 0],
  ]);
});

test("counts come on request, by the clock, and before a flow is forgotten", async () => {
  const { clock, dpif, stats, receive } = await setUp();
  dpif.flowPut(fromPort(1, [{ type: "output", port: 2 }], 7));
  clock.advance(10);
  receive(1, PING);
  receive(1, PING);
  expect(stats).toEqual([]);
  await dpif.syncStats();
  expect(stats).toEqual([{ id: 7, packets: 2, bytes: 120, usedMs: 10, tcpFlags: 0 }]);
  receive(1, PING);
  clock.advance(1000);
  expect(stats).toHaveLength(2);
  receive(1, PING);
  dpif.flowDel(7);
  expect(stats[2]).toMatchObject({ id: 7, packets: 1 });
  receive(1, PING);
  await dpif.syncStats();
  expect(stats).toHaveLength(3);
});

test("new actions for the same id, and a deletion, hold for packets of cached keys", async () => {
  const { dpif, sent, receive, upcalls } = await setUp(3);
  dpif.flowPut(fromPort(1, [{ type: "output", port: 2 }]));
  receive(1, PING);
  dpif.flowPut(fromPort(1, [{ type: "output", port: 3 }]));
  receive(1, PING);
  dpif.flowDel(1);
  receive(1, PING);
  expect([sent[1]!.length, sent[2]!.length, upcalls.length]).toEqual([1, 1, 1]);
});

test("a second flow with the same match takes over; deleting the first does not disturb it", async () => {
  const { dpif, sent, receive, stats } = await setUp(3);
  dpif.flowPut(fromPort(1, [{ type: "output", port: 2 }], 1));
  receive(1, PING);
  dpif.flowPut(fromPort(1, [{ type: "output", port: 3 }], 2));
  receive(1, PING);
  dpif.flowDel(1);
  receive(1, PING);
  await dpif.syncStats();
  expect([sent[1]!.length, sent[2]!.length]).toEqual([1, 2]);
  expect(stats.map(({ id, packets }) => [id, packets])).toEqual([
    [1, 1],
    [2, 2],
  ]);
});

test("one port may be listed for each action; an unknown port and an empty list drop", async () => {
  const { dpif, sent, receive } = await setUp(3);
  dpif.flowPut(
    fromPort(1, [
      { type: "output", port: 2 },
      { type: "output", port: 9 },
      { type: "output", port: 3 },
    ]),
  );
  dpif.flowPut(fromPort(2, [], 2));
  receive(1, PING);
  receive(2, PING);
  expect([sent[0]!.length, sent[1]!.length, sent[2]!.length]).toEqual([0, 1, 1]);
  expect((await dpif.counters()).drop_no_port).toBe(1);
});

test("frames that cables bring back while the datapath is at work wait their turn", async () => {
  const { dpif, dummies, sent, receive } = await setUp(4);
  dummies.port("p2").onTransmit = (frame) => dummies.port("p3").receive(frame);
  dpif.flowPut(
    fromPort(
      1,
      [
        { type: "output", port: 2 },
        { type: "set_field", field: "eth_dst", value: fromHex("ffffffffffff") },
        { type: "output", port: 4 },
      ],
      1,
    ),
  );
  dpif.flowPut(fromPort(3, [{ type: "output", port: 4 }], 3));
  receive(1, PING);
  expect(sent[3]).toEqual([`ffffffffffff${PING.slice(12)}`, PING]);
});

test("a port that is down or unplugged neither receives nor sends, and says so", async () => {
  const { dpif, dummies, sent, receive } = await setUp();
  const changes: object[] = [];
  dpif.events.on("port", (change) => changes.push(change));
  dpif.flowPut(fromPort(1, [{ type: "output", port: 2 }]));
  await dpif.portSet(2, { up: false });
  receive(1, PING);
  await dpif.portSet(2, { up: true });
  dummies.port("p1").link = false;
  expect(receive(1, PING)).toBe(false);
  dummies.port("p1").link = true;
  receive(1, PING);
  expect(sent[1]).toHaveLength(1);
  expect(changes).toMatchObject([
    { odpPort: 2, admin: false },
    { odpPort: 2, admin: true },
    { odpPort: 1, link: false },
    { odpPort: 1, link: true },
  ]);
  expect(await dpif.portStats(2)).toMatchObject({ tx_packets: 1, tx_bytes: 60, tx_dropped: 1 });
});

test("frames longer than the port's MTU are dropped and counted; a VLAN tag is not counted in", async () => {
  const { dpif, sent, receive } = await setUp();
  dpif.flowPut(
    fromPort(1, [
      { type: "push_vlan", tpid: 0x8100, tci: 1 },
      { type: "output", port: 2 },
    ]),
  );
  receive(1, PING.padEnd(2 * 1514, "0"));
  receive(1, PING.padEnd(2 * 1515, "0"));
  expect(sent[1]).toHaveLength(1);
  expect(await dpif.portStats(2)).toMatchObject({ tx_dropped: 1 });
});

test("actions that the datapath does not have are an error event, not a throw", async () => {
  const { dpif } = await setUp();
  const errors: string[] = [];
  dpif.events.on("error", (error) => errors.push(error.message));
  const bad = { type: "set_field", field: "nothing", value: new Uint8Array(1) } as const;
  dpif.flowPut(fromPort(1, [bad]));
  dpif.execute(fromHex(PING), 1, [{ type: "fly" } as unknown as OdpAction]);
  expect(errors).toEqual(["the datapath cannot set nothing", "the datapath has no action fly"]);
});

test("ports need a name of their own, and only dummies live without a thread", async () => {
  const { dpif } = await setUp();
  await expect(dpif.portAdd({ name: "p1", type: "dummy", options: {} })).rejects.toThrow("already a port");
  await expect(dpif.portAdd({ name: "e0", type: "system", options: {} })).rejects.toThrow("dummy ports only");
  await dpif.portDel(1);
  await expect(dpif.portStats(1)).rejects.toThrow("no port 1");
  expect(await dpif.portAdd({ name: "p9", type: "dummy", options: {} })).toMatchObject({ odpPort: 1 });
});

test("each packet is counted where it was found: cache, megaflows, slow path", async () => {
  const { dpif, dummies, receive } = await setUp();
  receive(1, PING);
  dpif.flowPut(fromPort(1, [{ type: "output", port: 2 }]));
  receive(1, PING);
  expect(dummies.port("p1").receiveAll([fromHex(PING), fromHex(PING), new Uint8Array(3)])).toBe(3);
  expect(await dpif.counters()).toMatchObject({
    packets: 4,
    emc_hits: 2,
    smc_hits: 0,
    megaflow_lookups: 2,
    megaflow_probes: 1,
    megaflow_hit_probes: 1,
    misses: 1,
    misses_lost: 0,
    upcalls: 1,
    output_packets: 3,
    output_batches: 2,
  });
});

test("whichever cache finds them, packets of many flows count for theirs, and slots that are used again for the new", async () => {
  const { clock, dummies, dpif, stats } = await setUp();
  const HOSTS = 10_000;
  const frames = Array.from({ length: HOSTS }, (_, host) => {
    const frame = fromHex(PING);
    frame[28] = host >>> 8;
    frame[29] = host;
    return frame;
  });
  /** By source address, and some bits of the destination, so that masks differ. */
  const put = (id: number, host: number, bits: number): void => {
    const { key, mask, ...flow } = fromPort(1, [{ type: "output", port: 2 }], id);
    setField(key, flowField("eth_type"), 0x0800);
    setFieldMask(mask, flowField("eth_type"));
    setField(key, flowField("ipv4_src"), 0x0a00_0000 + host);
    setFieldMask(mask, flowField("ipv4_src"));
    setField(key, flowField("ipv4_dst"), 0x0a00_0002);
    setField(mask, flowField("ipv4_dst"), bits);
    dpif.flowPut({ key, mask, ...flow });
  };
  const expected = new Map<number, number>();
  const idOf = new Map<number, number>();
  let sent = 0;
  const sendAll = (from: number): void => {
    for (let i = 0; i < HOSTS; i++) {
      const host = (from + 7919 * i) % HOSTS;
      dummies.port("p1").receive(frames[host]!);
      sent++;
      const id = idOf.get(host);
      if (id !== undefined) expected.set(id, (expected.get(id) ?? 0) + 1);
    }
  };
  let id = 0;
  for (let host = 0; host < HOSTS; host++) {
    idOf.set(host, ++id);
    put(id, host, host % 9);
  }
  for (let round = 0; round < 3; round++) sendAll(round);
  for (let host = 0; host < HOSTS; host += 2) {
    dpif.flowDel(idOf.get(host)!);
    idOf.delete(host);
  }
  // The slots of those that are gone are others' now, of other masks.
  for (let host = 0; host < HOSTS; host += 4) {
    idOf.set(host, ++id);
    put(id, host, 16 + (host % 5));
  }
  for (let round = 0; round < 2; round++) sendAll(round);
  clock.advance(1000);
  const counted = new Map<number, number>();
  for (const { id, packets } of stats) counted.set(id, (counted.get(id) ?? 0) + packets);
  expect(counted).toEqual(expected);
  const counters = await dpif.counters();
  expect(counters.packets).toBe(sent);
  expect(counters.misses).toBe((2 * HOSTS) / 4);
  const found = counters.megaflow_lookups! - counters.misses!;
  expect(counters.emc_hits! + counters.smc_hits! + found + counters.misses!).toBe(sent);
  expect(counters.smc_hits).toBeGreaterThan(HOSTS);
});
