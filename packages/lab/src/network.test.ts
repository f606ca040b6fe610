import { VirtualClock } from "@sluice/runtime";
import { toHex } from "@sluice/wire";
import { expect, test } from "vitest";
import type { Deliver, Socket } from "./link.js";
import { Network } from "./network.js";

/** Repeats every frame to every other socket. */
function hub(size: number): Socket[] {
  const out: (Deliver | undefined)[] = [];
  return Array.from({ length: size }, (_, port) => ({
    plug: (send) => {
      out[port] = send;
    },
    receive: (frame) => {
      for (const [other, send] of out.entries()) if (other !== port) send?.(frame);
    },
  }));
}

async function run(seed: number) {
  const clock = new VirtualClock();
  const bytes: string[] = [];
  const network = new Network({
    clock,
    seed,
    latencyMs: 2,
    loss: 0.1,
    tap: (host, { timeMs, direction, frame }) => bytes.push(`${timeMs} ${host} ${direction} ${toHex(frame)}`),
  });
  for (const socket of hub(3)) network.addHost(socket);
  const results = network.pingAll({ count: 3, intervalMs: 10, timeoutMs: 100 });
  await clock.advanceAsync(10_000, 10);
  return { bytes, network, results: await results };
}

test("hosts are named and numbered in order", async () => {
  const { network } = await run(1);
  expect(network.hosts.map(({ name, ip, mac }) => `${name} ${ip} ${mac}`)).toEqual([
    "h1 10.0.0.1 00:00:00:00:00:01",
    "h2 10.0.0.2 00:00:00:00:00:02",
    "h3 10.0.0.3 00:00:00:00:00:03",
  ]);
  expect(() => network.host("h4")).toThrow("there is no host h4");
});

test("the same seed gives the same bytes at the same times, another seed others", async () => {
  const first = await run(1);
  const again = await run(1);
  const other = await run(2);
  expect(first.bytes.length).toBeGreaterThan(50);
  expect(again.bytes).toEqual(first.bytes);
  expect(other.bytes).not.toEqual(first.bytes);
  const lost = first.network.hosts.reduce(
    (sum, host) => sum + first.network.link(host.name).counters.lost,
    0,
  );
  expect(lost).toBeGreaterThan(0);
});
