import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { Daemon, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const APP = new URL("../support/osken/learning_switch.py", import.meta.url).pathname;
const H1 = "10.0.0.1";
const H2 = "10.0.0.2";

const osken = (netns: string, port: number): Daemon =>
  new Daemon(
    ["osken-manager", "--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", String(port), APP],
    {
      netns,
    },
  );

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
