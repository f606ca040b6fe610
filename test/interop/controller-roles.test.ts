import { afterEach, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const [A, B] = ["10.0.0.1", "10.0.0.2"];
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ip", "ping", "ethtool"];

describeWith({ root: true, programs: PROGRAMS }, "two controllers of one switch", () => {
  let net: Topology;
  let sut: SwitchUnderTest;
  const daemons: Daemon[] = [];

  const controller = async (port: number, ...options: string[]): Promise<Daemon> => {
    const argv = ["node", SLUICE, "controller", "--listen", String(port), "--probe-interval=1"];
    const unixctl = `--unixctl=${sut.rundir}/${port}.ctl`;
    const daemon = new Daemon([...argv, unixctl, ...options], { netns: net.netns("sw") });
    daemons.push(daemon);
    await daemon.prints(/listening on ptcp/);
    return daemon;
  };
  const roles = async (): Promise<string> =>
    (await sut.vsctl("--bare", "--columns=target,role", "list", "controller")).replace(/\n+/g, " ");

  const setUp = async (start: typeof startOvs, ...apps: string[]): Promise<[Daemon, Daemon]> => {
    net = new Topology();
    const netns = await net.add("sw");
    await net.addHost("a", `${A}/24`, "p1", "sw", { offloads: false });
    await net.addHost("b", `${B}/24`, "p2", "sw", { offloads: false });
    sut = await start({ netns });
    await sut.vsctl(
      ..."add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols=OpenFlow13".split(" "),
      ..."-- add-port br0 p1 -- add-port br0 p2".split(" "),
    );
    const primary = await controller(6653, "--role=master", ...apps);
    const standby = await controller(6663, "--standby-for=tcp:127.0.0.1:6653", ...apps);
    await standby.prints(/watching the controller/);
    await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6653", "tcp:127.0.0.1:6663");
    await primary.prints(/master of switch/);
    await standby.prints(/slave of switch/);
    await until(() => net.ping("a", B), "the hosts to reach each other", 30_000);
    return [primary, standby];
  };

  afterEach(async () => {
    for (const daemon of daemons.splice(0)) {
      daemon.signal("SIGCONT");
      await daemon.stop("SIGKILL");
    }
    await sut?.stop();
    await net?.destroy();
  });

  const KINDS: [string, typeof startOvs][] = [
    ["Open vSwitch", startOvs],
    ["Sluice", startSluice],
  ];
  test.each(KINDS)(
    "on %s: one is killed, and the other takes over; not a packet is lost",
    async (_name, start) => {
      const [primary, standby] = await setUp(start);
      await until(
        async () => /6653 master/.test(await roles()),
        "the switch to know its master",
        20_000,
        roles,
      );
      const pinging = run(["ping", "-i", "0.05", "-c", "60", "-W", "2", B], { netns: net.netns("a") });
      primary.kill();
      await standby.prints(/is gone .* this one takes over/);
      await standby.prints(/master of switch/);
      expect((await pinging).stdout).toMatch(/60 packets transmitted, 60 received/);
      // What is not in the tables goes by the new master.
      await check(["ip", "neigh", "flush", "dev", "eth0"], { netns: net.netns("a") });
      expect(await net.ping("a", B)).toBe(true);
      await until(
        async () => /6663 master/.test(await roles()),
        "the switch to have a new master",
        20_000,
        roles,
      );
    },
  );

  test.each(KINDS)(
    "on %s: the one that takes over finds the flows of forwarding, and leaves them",
    async (_name, start) => {
      const [primary, standby] = await setUp(start, "--app=forwarding");
      const pinging = run(["ping", "-i", "0.05", "-c", "100", "-W", "2", B], { netns: net.netns("a") });
      primary.kill();
      await standby.prints(/switches that keep their flows: 1/);
      expect((await pinging).stdout).toMatch(/100 packets transmitted, 100 received/);
      await check(["ip", "neigh", "flush", "dev", "eth0"], { netns: net.netns("a") });
      expect(await net.ping("a", B)).toBe(true);
    },
  );

  test.each(KINDS)(
    "on %s: one that hangs is replaced; when it wakes, the switch refuses its writes, and its apps let go",
    async (_name, start) => {
      const [primary, standby] = await setUp(start);
      primary.signal("SIGSTOP");
      await standby.prints(/this one takes over/);
      await standby.prints(/master of switch/);
      primary.signal("SIGCONT");
      await until(
        async () => /6663 master/.test(await roles()),
        "the switch to have a new master",
        20_000,
        roles,
      );
      // The one that slept still means to be master until it is told: by the switch, or by a write that is refused.
      await until(
        async () => {
          await net.ping("a", B);
          return /another controller is master of switch|slave of switch/.test(primary.output);
        },
        "the deposed one to be told",
        20_000,
        () => primary.output,
      );
      expect(await net.ping("a", B)).toBe(true);
    },
  );
});
