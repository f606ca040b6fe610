import { Controller, learningSwitch, type Topology, type TopologyEvents, topology } from "@sluice/controller";
import { type Host, Link, labBridge, Network, promptClock, seededRandom } from "@sluice/lab";
import { nullLog } from "@sluice/runtime";
import { ConnMgr } from "@sluice/switch";
import { afterAll, beforeAll, expect, test } from "vitest";

/** Three of our bridges in a line, s1 p2 - p1 s2 p2 - p1 s3, a host at p3 of each; one controller. */
const clock = promptClock;
const random = seededRandom(1);
const cleanups: (() => Promise<unknown>)[] = [];
const hosts: Host[] = [];
const links: Link[] = [];
const app = topology({ clock, probeMs: 200 });
const model: Topology = app.topology;
const controller = new Controller({ apps: [app, learningSwitch({ clock })], clock });

/** Resolves at an event after which `isSo`; at once when it already is. */
async function when(isSo: () => boolean, ...names: (keyof TopologyEvents)[]): Promise<void> {
  while (!isSo())
    await new Promise<void>((resolve) => {
      for (const name of names) model.events.once(name, () => resolve());
    });
}
const linkNames = (): string[] =>
  model
    .links()
    .map(({ src, dst }) => `${src.dpid}:${src.port_no}>${dst.dpid}:${dst.port_no}`)
    .sort();

beforeAll(async () => {
  const { target } = await controller.listen("ptcp:0:127.0.0.1");
  const bridges = [];
  const network = new Network({ clock });
  for (const datapathId of [1n, 2n, 3n]) {
    const bridge = await labBridge({ clock, ports: 3, name: `s${datapathId}`, datapathId });
    const connmgr = new ConnMgr({ ofproto: bridge.ofproto, clock, log: nullLog });
    await connmgr.setControllers([
      {
        target: `tcp:127.0.0.1:${target.split(":")[1]}`,
        maxBackoffMs: 1000,
        probeIntervalMs: 0,
        limits: { rate: 0, burst: 0, queueSize: 100 },
        isAsyncEnabled: true,
        tls: {},
      },
    ]);
    hosts.push(network.addHost(bridge.sockets[2]!));
    bridges.push(bridge);
    cleanups.push(
      () => connmgr.close(),
      () => bridge.destroy(),
    );
  }
  for (const [a, b] of [
    [0, 1],
    [1, 2],
  ] as const)
    links.push(new Link(bridges[a]!.sockets[1]!, bridges[b]!.sockets[0]!, { clock, random }));
});
afterAll(async () => {
  await controller.stop();
  for (const cleanup of cleanups) await cleanup();
});

test("the links of a line of bridges are found, each way", async () => {
  await when(() => model.links().length === 4, "link_add");
  expect(linkNames()).toEqual(["1:2>2:1", "2:1>1:2", "2:2>3:1", "3:1>2:2"]);
});

test("hosts at both ends talk through the learning switch beside, and are found where they are", async () => {
  const [h1, , h3] = hosts;
  expect(await h1!.ping(h3!.ip, { count: 3, intervalMs: 20 })).toMatchObject({ received: 3 });
  const seen = model
    .hosts()
    .map(({ mac, ipv4, port }) => ({ mac, ipv4, at: `${port.dpid}:${port.port_no}` }));
  expect(seen).toEqual(
    expect.arrayContaining([
      { mac: h1!.mac, ipv4: [h1!.ip], at: "1:3" },
      { mac: h3!.mac, ipv4: [h3!.ip], at: "3:3" },
    ]),
  );
});

test("a cable that is cut is gone with the port status, and found again once mended", async () => {
  links[0]!.cut();
  await when(() => model.links().length === 2, "link_delete");
  expect(linkNames()).toEqual(["2:2>3:1", "3:1>2:2"]);
  links[0]!.mend();
  await when(() => model.links().length === 4, "link_add");
});
