import { Controller, forwarding, monitor, type RateSeries, topology } from "@sluice/controller";
import { labFabric, line } from "@sluice/lab";
import { createLog, VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";

const rates = (series: RateSeries): readonly number[] => series.latest?.rates ?? [];

test("the monitor keeps the rates of ports and flows of our switch, over time and bounded", async () => {
  const clock = new VirtualClock();
  const fabric = await labFabric({ clock, shape: line(2) });
  const found = topology({ clock, bddp: false });
  const app = monitor({ clock, intervalMs: 1000, history: 3 });
  const apps = [found, forwarding(found.topology, { clock }), app];
  const controller = new Controller({
    apps,
    clock,
    log: createLog({ clock, console: () => {} }),
    probeIntervalMs: 0,
  });
  fabric.connect((socket, peer) => controller.accept(socket, peer));
  await clock.advanceAsync(2500, 5);

  const pings = fabric.network.host("h1").ping("10.0.0.2", { count: 100, intervalMs: 100 });
  await clock.advanceAsync(8000, 10);
  // Ten pings a second each way, of 98 bytes, at the port of h1; and the probes that leave it every two seconds.
  const port = app.monitor.ports(1n).find(({ port_no }) => port_no === 2)!;
  const [rxPackets, txPackets, rxBytes] = rates(port.series);
  expect(rxPackets).toBeCloseTo(10, 5);
  expect(txPackets).toBeGreaterThanOrEqual(10);
  expect(rxBytes).toBeCloseTo(980, 3);
  expect(port.series.history()).toHaveLength(3);
  const [first, second, third] = port.series.history().map(({ at }) => at);
  expect([second! - first!, third! - second!]).toEqual([1000, 1000]);

  const busiest = app.monitor.flows(1n)[0]!;
  expect(rates(busiest.series)[0]).toBeGreaterThan(5);
  expect(app.monitor.counters).toMatchObject({ failed: 0, late: 0 });
  await clock.advanceAsync(20_000, 10);
  expect((await pings).received).toBe(100);
  expect(rates(app.monitor.ports(1n).find(({ port_no }) => port_no === 2)!.series)[0]).toBe(0);

  expect(app.metrics()).toMatch(
    /^sluice_port_receive_packets_total\{dpid="0000000000000001",port="2",name="p2"\} 1\d\d$/m,
  );
  const show = app.routes.find(({ path }) => path === "/v1/monitor/ports/{dpid}/{port_no}")!;
  expect(show.handle({ params: { dpid: "1", port_no: "2" }, query: {}, body: undefined })).toHaveLength(3);
  expect(() => show.handle({ params: { dpid: "1", port_no: "99" }, query: {}, body: undefined })).toThrow(
    /no port 99/,
  );
  await controller.stop();
  const { readings } = app.monitor.counters;
  await clock.advanceAsync(5000, 10);
  expect(app.monitor.counters.readings).toBe(readings);
  expect(app.monitor.ports()).toEqual([]);
  await fabric.destroy();
});

test("a switch with more flows than asked for is not asked for each", async () => {
  const clock = new VirtualClock();
  const fabric = await labFabric({ clock, shape: line(1) });
  const found = topology({ clock });
  const app = monitor({ clock, intervalMs: 1000, maxFlows: 2 });
  const controller = new Controller({
    apps: [found, forwarding(found.topology, { clock }), app],
    clock,
    log: createLog({ clock, console: () => {} }),
    probeIntervalMs: 0,
  });
  fabric.connect((socket, peer) => controller.accept(socket, peer));
  await clock.advanceAsync(3000, 10);
  expect(app.monitor.flows()).toEqual([]);
  expect(app.monitor.counters.flowsLeftOut).toBeGreaterThan(0);
  expect(app.monitor.ports(1n).length).toBeGreaterThan(0);
  await controller.stop();
  await fabric.destroy();
});
