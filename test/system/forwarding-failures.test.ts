import { mesh, type Shape } from "@sluice/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startOvs, startSluice } from "../support/daemons.js";
import { Daemon, SLUICE, until } from "../support/process.js";
import { ipOf, RealFabric, type RealFabricOptions, type StartSwitch } from "../support/real-fabric.js";
import { describeWith } from "../support/requirements.js";

/** The forwarding app on real bridges when things fail: cables, switches, the controller itself. */
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ip", "ping", "ethtool"];
const KINDS: [string, StartSwitch, StartSwitch][] = [
  ["Sluice", startSluice, startOvs],
  ["Open vSwitch", startOvs, startSluice],
];
/** Two cables join the first and the last. */
const RING: Shape = {
  switches: 4,
  links: [
    [0, 1],
    [1, 2],
    [2, 3],
    [0, 3],
    [0, 3],
  ],
  hosts: [0, 1, 2, 3],
};

/** A fabric with the controller, which is ready when the first two hosts reach each other. */
class Run {
  fabric!: RealFabric;
  controller!: Daemon;

  async start(start: StartSwitch, shape: Shape, options?: RealFabricOptions): Promise<void> {
    this.fabric = await RealFabric.start(start, shape, options);
    this.startController();
    await this.soon(async () => (await this.fabric.ping("h1", "h2")) === "", "the first way");
  }

  startController(): void {
    const argv = ["node", SLUICE, "controller", "--app", "topology", "--set", "topology.probeMs=500"];
    this.controller = new Daemon([...argv, "--app", "forwarding"], { netns: this.fabric.netns });
  }

  async connected(count: number): Promise<void> {
    const isSo = () => (this.controller.output.match(/connected from/g)?.length ?? 0) >= count;
    await until(isSo, `${count} switches`, 30_000, () => this.controller.output);
  }

  soon(isSo: () => Promise<boolean>, what: string): Promise<void> {
    return until(isSo, what, 25_000, () => this.controller.output);
  }

  async stop(): Promise<void> {
    await this.controller?.stop("SIGKILL");
    await this.fabric?.destroy();
  }
}

describeWith({ root: true, programs: PROGRAMS }, "the forwarding app", () => {
  describe.each(KINDS)("on a mesh of 6 bridges of %s", (_kind, start) => {
    const run = new Run();
    beforeAll(() => run.start(start, mesh(6)));
    afterAll(() => run.stop());

    test("all pairs ping, and a broadcast is heard once", async () => {
      await run.soon(async () => (await run.fabric.lostPings()).length === 0, "all to reach each other");
      const before = await run.fabric.received("h5");
      expect(await run.fabric.ping("h1", "h2")).toBe("");
      // One question, and probes.
      expect((await run.fabric.received("h5")) - before).toBeLessThan(30);
    });

    test("the controller is killed and another starts: it leaves the flows there are, and no packet is lost", async () => {
      const { fabric } = run;
      await run.soon(async () => (await fabric.lostPings()).length === 0, "all to reach each other");
      const pinging = fabric.net.run("h1", ["ping", "-i", "0.05", "-c", "160", "-W", "3", ipOf(4)]);
      await run.controller.stop("SIGKILL");
      const killedAt = performance.now();
      run.startController();
      await run.connected(6);
      await run.controller.prints(/switches that keep their flows: 6$/m);
      const flows = (await fabric.flows(3))
        .split("\n")
        .filter((flow) => flow.includes("cookie=0x666f7277617264"));
      expect(flows.length).toBeGreaterThan(8);
      const elapsed = (performance.now() - killedAt) / 1000;
      const isMadeSince = (flow: string): boolean => Number(/duration=([\d.]+)s/.exec(flow)![1]) < elapsed;
      expect(flows.filter(isMadeSince)).toEqual([]);
      expect((await pinging).stdout).toMatch(/160 received/);
      expect(await fabric.lostPings(["h1", "h4", "h6"])).toEqual([]);
    });

    test("a cable that carries nothing one way is gone round, and so is one that is cut", async () => {
      const { fabric } = run;
      await fabric.muteOneWay(0, 1);
      await run.soon(async () => (await fabric.ping("h1", "h2", "-W", "1")) === "", "a way round");
      expect(await fabric.lostPings(["h1", "h2", "h3"])).toEqual([]);
      await fabric.cable(0, 2, "down");
      await run.soon(async () => (await fabric.ping("h1", "h3", "-W", "1")) === "", "another way round");
      expect(await fabric.lostPings()).toEqual([]);
    });

    test("a host moves to another switch, and who talks to it goes on", async () => {
      const { fabric } = run;
      const pinging = fabric.net.run("h3", ["ping", "-i", "0.1", "-c", "150", "-W", "1", ipOf(6)]);
      await run.soon(async () => (await fabric.ping("h6", "h3")) === "", "the way there");
      await fabric.moveHost("h6", 5, 1);
      await run.soon(async () => (await fabric.ping("h6", "h3", "-W", "1")) === "", "the host to be found");
      const { stdout } = await pinging;
      // From where it was unplugged to when its new port is believed to be a host's, two seconds, they are lost.
      expect(Number(/(\d+) received/.exec(stdout)?.[1])).toBeGreaterThan(20);
      expect(stdout).toMatch(/icmp_seq=150 /);
      expect(await fabric.lostPings()).toEqual([]);
    });

    test("neither side finds anything wrong with the other", () => {
      expect(run.controller.output).not.toMatch(/refused a|malformed|failed/);
    });
  });

  describe.each(KINDS)("on a ring of %s and one switch of the other kind", (_kind, start, startOther) => {
    const run = new Run();
    beforeAll(() => run.start(start, RING, { other: { start: startOther, bridges: [1] } }));
    afterAll(() => run.stop());

    test("two cables between the same switches are both used, and make no loop", async () => {
      const { fabric } = run;
      await run.soon(async () => (await fabric.lostPings()).length === 0, "all to reach each other");
      // The cables are ports 2 and 3.
      expect(await fabric.groups(0)).toMatch(/type=select,.*actions=output:2,.*actions=output:3\n/);
      const before = await fabric.received("h3");
      expect(await fabric.ping("h1", "h4")).toBe("");
      expect((await fabric.received("h3")) - before).toBeLessThan(30);
    });

    test("a switch dies, and the others go round it; it comes back, and its host is reached again", async () => {
      const { fabric } = run;
      await fabric.daemon(1).crash();
      await run.soon(async () => (await fabric.ping("h1", "h3", "-W", "1")) === "", "a way round");
      expect(await fabric.lostPings(["h1", "h3", "h4"])).toEqual([]);
      fabric.daemon(1).startAgain();
      await run.soon(async () => (await fabric.ping("h1", "h2", "-W", "1")) === "", "the switch to be back");
      expect(await fabric.lostPings()).toEqual([]);
    });

    test("neither side finds anything wrong with the other", () => {
      expect(run.controller.output).not.toMatch(/refused a|malformed|failed/);
    });
  });
});
