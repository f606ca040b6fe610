import { VirtualClock } from "@sluice/runtime";
import { toHex } from "@sluice/wire";
import { describe, expect, test } from "vitest";
import { labBridge } from "./bridge.js";
import { Network } from "./network.js";

async function threeHosts(seed = 1, loss = 0) {
  const clock = new VirtualClock();
  const bridge = await labBridge({ clock, ports: 3 });
  const bytes: string[] = [];
  const network = new Network({
    clock,
    seed,
    latencyMs: 1,
    loss,
    tap: (host, { timeMs, direction, frame }) => bytes.push(`${timeMs} ${host} ${direction} ${toHex(frame)}`),
  });
  for (const socket of bridge.sockets) network.addHost(socket);
  return { clock, bridge, network, bytes };
}

describe("hosts on the real switch, under a virtual clock", () => {
  test("ping each other; frames for a learned address go out of one port only", async () => {
    const { clock, bridge, network } = await threeHosts();
    const results = network.pingAll({ count: 2, intervalMs: 10 });
    await clock.advanceAsync(2000, 10);
    expect((await results).map(({ result }) => result)).toEqual(
      Array.from({ length: 6 }, () => expect.objectContaining({ sent: 2, received: 2 })),
    );
    // A stranger's frames: only ARP requests, which are broadcast, ever reached h3 while h1 and h2 spoke.
    const before = network.host("h3").counters.received;
    const more = network.host("h1").ping("10.0.0.2", { count: 5, intervalMs: 10 });
    await clock.advanceAsync(1000, 10);
    expect((await more).received).toBe(5);
    expect(network.host("h3").counters.received).toBe(before);
    await bridge.destroy();
  });

  test("a round trip takes four crossings of a cable and nothing else", async () => {
    const { clock, bridge, network } = await threeHosts();
    const result = network.host("h1").ping("10.0.0.2", { count: 3, intervalMs: 100 });
    await clock.advanceAsync(1000, 10);
    expect((await result).rttMs).toEqual([8, 4, 4]);
    await bridge.destroy();
  });

  test("a cut cable takes the port's carrier with it, and the switch tells", async () => {
    const { clock, bridge, network } = await threeHosts();
    const told: string[] = [];
    bridge.ofproto.events.on("port_status", ({ reason, desc }) =>
      told.push(`${reason} ${desc.name} ${desc.state & 1 ? "down" : "up"}`),
    );
    network.link("h2").cut();
    const lost = network.host("h1").ping("10.0.0.2", { timeoutMs: 100 });
    await clock.advanceAsync(5000, 100);
    expect((await lost).received).toBe(0);
    network.link("h2").mend();
    const found = network.host("h1").ping("10.0.0.2", { timeoutMs: 100 });
    await clock.advanceAsync(5000, 100);
    expect((await found).received).toBe(1);
    expect(told).toEqual(["OFPPR_MODIFY p2 down", "OFPPR_MODIFY p2 up"]);
    await bridge.destroy();
  });

  test("the same seed gives the same bytes at the same times through the switch", async () => {
    const run = async (seed: number): Promise<string[]> => {
      const { clock, bridge, network, bytes } = await threeHosts(seed, 0.1);
      const results = network.pingAll({ count: 5, intervalMs: 10, timeoutMs: 50 });
      await clock.advanceAsync(5000, 10);
      await results;
      await bridge.destroy();
      return bytes;
    };
    const [first, again, other] = [await run(1), await run(1), await run(2)];
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });
});
