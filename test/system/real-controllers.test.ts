import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { oskenManager } from "../support/osken.js";
import { Daemon, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

const H1 = "10.0.0.1";
const H2 = "10.0.0.2";

const osken = (netns: string, port: number, app?: string): Daemon =>
  new Daemon(oskenManager(port, app), { netns });

const flows = (sut: SwitchUnderTest): Promise<string> => sut.ofctl("--no-names", "dump-flows", "br0");

describeWith(
  { root: true, programs: ["ovs-vsctl", "ovs-ofctl", "osken-manager", "ovs-testcontroller", "ip", "ping"] },
  "real controllers on the switch",
  () => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let netns: string;

    beforeAll(async () => {
      netns = await net.add("sw");
      await net.addHost("h1", `${H1}/24`, "p1", "sw");
      await net.addHost("h2", `${H2}/24`, "p2", "sw");
      sut = await startSluice({ netns });
      await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
      await sut.vsctl("set-fail-mode", "br0", "secure");
      await sut.vsctl("add-port", "br0", "p1", "--", "add-port", "br0", "p2");
    });

    afterAll(async () => {
      await sut?.stop();
      await net.destroy();
    });

    const connected = (want: "true" | "false"): Promise<void> =>
      until(
        async () => (await sut.vsctl("get", "controller", "br0", "is_connected")).trim() === want,
        `Controller.is_connected to be ${want}`,
        30_000,
        () => sut.daemons[1]!.output,
      );

    test("fail-mode secure forwards nothing without a controller", async () => {
      expect(await flows(sut)).not.toContain("actions=NORMAL");
      expect(await net.ping("h1", H2, 1)).toBe(false);
    });

    test("an os-ken learning switch gets the handshake, packet-ins, flows, barriers and port changes", async () => {
      const controller = osken(netns, 6653);
      try {
        await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6653");
        await controller.prints(/switch [0-9a-f]{16} connected, 254 tables/);
        await controller.prints(/barrier reply/);
        await connected("true");
        expect(await net.ping("h1", H2)).toBe(true);
        const table = await flows(sut);
        expect(table).toMatch(/priority=0 actions=CONTROLLER:65535/);
        expect(table).toMatch(
          /priority=1,in_port=\d+,dl_src=[0-9a-f:]+,dl_dst=[0-9a-f:]+ actions=output:\d+/,
        );
        expect(controller.output).not.toMatch(/error type/);

        await net.check("h2", ["ip", "link", "set", "eth0", "down"]);
        await controller.prints(/port modify p2 link down/);
        await net.check("h2", ["ip", "link", "set", "eth0", "up"]);
        await controller.prints(/port modify p2 link up/);
        await sut.vsctl("del-port", "br0", "p2");
        await controller.prints(/port delete p2/);
        await sut.vsctl("add-port", "br0", "p2");
        await controller.prints(/port add p2/);
        expect(await net.ping("h1", H2)).toBe(true);
      } finally {
        await controller.stop("SIGKILL");
      }
    });

    test("the switch keeps its flows without the controller and connects again when it is back", async () => {
      await connected("false");
      expect(await net.ping("h1", H2, 3, true)).toBe(true);
      const controller = osken(netns, 6653);
      try {
        await controller.prints(/switch [0-9a-f]{16} connected/, 40_000);
        await connected("true");
      } finally {
        await controller.stop("SIGKILL");
      }
    });

    test("ovs-testcontroller controls it", async () => {
      await sut.vsctl("del-controller", "br0");
      await sut.ofctl("del-flows", "br0");
      const controller = new Daemon(
        ["ovs-testcontroller", `--unixctl=${sut.rundir}/tc.ctl`, "-O", "OpenFlow13", "ptcp:6653:127.0.0.1"],
        { netns },
      );
      try {
        await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6653");
        await connected("true");
        expect(await net.ping("h1", H2)).toBe(true);
        expect(await flows(sut)).toMatch(/idle_timeout=60.*actions=output:\d+/);
      } finally {
        await controller.stop();
      }
    });

    test("fail-mode standalone learns by itself without a controller", async () => {
      await sut.vsctl("del-controller", "br0");
      await sut.ofctl("del-flows", "br0");
      await sut.vsctl("set-fail-mode", "br0", "standalone");
      await until(
        async () => (await flows(sut)).includes("actions=NORMAL"),
        "the NORMAL flow",
        20_000,
        () => flows(sut),
      );
      expect(await net.ping("h1", H2)).toBe(true);
    });
  },
);

/** Two servers that are the same to everybody. */
const SERVER = { ip: "10.0.0.100", mac: "02:00:00:00:00:99" };

describeWith(
  { root: true, programs: ["ovs-vsctl", "ovs-ofctl", "osken-manager", "ip", "ping"] },
  "an os-ken app of groups, meters and several tables",
  () => {
    const net = new Topology();
    let sut: SwitchUnderTest;
    let controller: Daemon;

    beforeAll(async () => {
      const netns = await net.add("sw");
      await net.addHost("client", `${H1}/24`, "p1", "sw", { mac: "02:00:00:00:00:01" });
      for (const [i, name] of ["first", "second"].entries())
        await net.addHost(name, `${SERVER.ip}/24`, `p${i + 2}`, "sw", { mac: SERVER.mac });
      sut = await startSluice({ netns });
      await sut.vsctl(
        ...addBridge("br0", "datapath_type=netdev", "fail_mode=secure"),
        ...[1, 2, 3].flatMap((n) => addPort("br0", `p${n}`, `ofport_request=${n}`)),
      );
      controller = osken(netns, 6653, "replicas.py");
      await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6653");
      await controller.prints(/^configured/m, 40_000);
    });

    afterAll(async () => {
      await controller?.stop("SIGKILL");
      await sut?.stop();
      await net.destroy();
    });

    /** Of the counters that the app prints, the last. */
    const last = (pattern: RegExp): number[] =>
      ([...controller.output.matchAll(pattern)].at(-1)?.slice(1) ?? []).map(Number);
    const failover = () => last(/^group 1 .* packets \d+, of buckets (\d+) (\d+)$/gm);
    const counted = (what: string, condition: () => boolean): Promise<void> =>
      until(condition, what, 20_000, () => controller.output.slice(-1000));

    test("finds on the switch what it has configured", async () => {
      await controller.prints(/^group 1 is of type 3 to \[2, 3\]$/m);
      await controller.prints(/^group 2 is of type 1 to \[2, 3\]$/m);
      await controller.prints(/^group 3 is of type 2 to \[1\]$/m);
      await controller.prints(/^meter 1 is rate 5 burst 5$/m);
      await controller.prints(/^tables 0:2 1:3 2:3$/m);
      await controller.prints(/^group 2 referred to 1 times/m);
      await controller.prints(/^meter 1 of 1 flows/m);
      expect(controller.output).not.toMatch(/^error/m);
    });

    test("reaches the first server by the fast-failover group, and the second when the first is gone", async () => {
      expect(await net.ping("client", SERVER.ip)).toBe(true);
      await counted("packets to the first server", () => (failover()[0] ?? 0) >= 3);
      expect(failover()[1]).toBe(0);
      await net.check("first", ["ip", "link", "set", "eth0", "down"]);
      await until(async () => await net.ping("client", SERVER.ip, 1), "an answer from the second server");
      await counted("packets to the second server", () => (failover()[1] ?? 0) >= 1);
      await net.check("first", ["ip", "link", "set", "eth0", "up"]);
      const before = failover()[0]!;
      await until(async () => {
        await net.ping("client", SERVER.ip, 1);
        return failover()[0]! > before;
      }, "packets to the first server again");
    });

    test("spreads UDP flows over both servers by the select group", async () => {
      const datagrams = `for port in $(seq 5001 5060); do echo x > /dev/udp/${SERVER.ip}/$port; done`;
      await net.run("client", ["bash", "-c", datagrams]);
      await counted("60 packets of the select group", () => {
        const [packets = 0, first = 0, second = 0] = last(
          /^group 2 .* packets (\d+), of buckets (\d+) (\d+)$/gm,
        );
        return packets >= 60 && first + second === packets && first > 5 && second > 5;
      });
    });

    test("polices by the meter what table 0 sends through it, and nothing else", async () => {
      const flood = ["ping", "-c", "60", "-i", "0.01", "-W", "4", SERVER.ip];
      expect((await net.run("client", [...flood, "-Q", "32"])).stdout).toMatch(/ ([1-9]|[1-4]\d) received/);
      await counted("drops by the meter", () => {
        const [packets = 0, dropped = 0] = last(/^meter 1 of 1 flows, packets (\d+), dropped (\d+)$/gm);
        return packets >= 60 && dropped >= 10;
      });
      expect((await net.run("client", flood)).stdout).toContain(" 60 received");
    });
  },
);
