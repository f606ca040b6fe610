import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** What the database asks of ports' devices, on Sluice and on Open vSwitch: MTU and MAC address of the devices of a veth
 *  port, an internal port and the bridge. */
const KINDS = [
  ["Sluice", startSluice],
  ["Open vSwitch", startOvs],
] as const;

const needs = { root: true, programs: ["ovs-vsctl", "ovs-vswitchd", "ip"] };

describeWith(needs, "what is asked of ports' devices", () => {
  describe.each(KINDS)("on %s", (_kind, start) => {
    const net = new Topology();
    let sut: SwitchUnderTest;

    beforeAll(async () => {
      const netns = await net.add("sw");
      for (const n of [1, 2]) await net.addHost(`h${n}`, `10.9.0.${n}/24`, `p${n}`, "sw");
      sut = await start({ netns });
      await sut.vsctl(
        ...addBridge("br0", "datapath_type=netdev"),
        ...[
          ...addPort("br0", "p1", "type=system"),
          ...addPort("br0", "p2", "type=system"),
          ...addPort("br0", "in", "type=internal"),
        ],
      );
    });

    afterAll(async () => {
      await sut?.stop();
      await net.destroy();
    });

    const device = async (name: string): Promise<{ mtu: number; address: string }> =>
      JSON.parse(await net.check("sw", ["ip", "-j", "link", "show", name]))[0];
    const mtus = (): Promise<number[]> =>
      Promise.all(["p1", "p2", "in", "br0"].map(async (name) => (await device(name)).mtu));
    /** What the devices' MTUs become: p1, p2, in, br0. */
    const become = async (...wanted: number[]): Promise<void> => {
      let last: number[] = [];
      await until(
        async () => {
          last = await mtus();
          return last.join() === wanted.join();
        },
        `MTUs ${wanted}`,
        20_000,
        () => String(last),
      );
    };
    const set = (record: string, ...columns: string[]): Promise<string> =>
      sut.vsctl("set", "interface", record, ...columns);

    test("internal ports have the least MTU of the others, unless another is asked for", async () => {
      await become(1500, 1500, 1500, 1500);
      await set("p1", "mtu_request=9000");
      await become(9000, 1500, 1500, 1500);
      await set("p2", "mtu_request=4000");
      await become(9000, 4000, 4000, 4000);
      await set("in", "mtu_request=2000");
      await become(9000, 4000, 2000, 2000);
      await set("br0", "mtu_request=3000");
      await become(9000, 4000, 2000, 3000);
      await sut.vsctl(
        "clear",
        "interface",
        "br0",
        "mtu_request",
        "--",
        "clear",
        "interface",
        "in",
        "mtu_request",
      );
      await set("p2", "mtu_request=4100");
      await become(9000, 4100, 4100, 4100);
      await sut.vsctl("del-port", "p2");
      await become(9000, 4100, 9000, 9000);
      // Without the switch.
      await net.check("sw", ["ip", "link", "set", "br0", "mtu", "1600"]);
      await become(9000, 4100, 9000, 1600);
      await net.check("sw", ["ip", "link", "set", "p1", "mtu", "1400"]);
      await until(async () => (await device("p1")).mtu === 9000, "what was asked for");
      await sut.vsctl("clear", "interface", "p1", "mtu_request");
      await net.check("sw", ["ip", "link", "set", "p1", "mtu", "1400"]);
      await become(1400, 4100, 1400, 1400);
    });

    test("a MAC is set where the device is the switch's own, and the bridge's by the bridge's row", async () => {
      const before = (await device("p1")).address;
      await set("in", 'mac="02:00:00:00:00:bb"');
      await until(async () => (await device("in")).address === "02:00:00:00:00:bb", "the MAC");
      await set("br0", 'mac="02:00:00:00:00:cc"');
      await set("p1", 'mac="02:00:00:00:00:aa"');
      await sut.vsctl("set", "bridge", "br0", 'other_config:hwaddr="02:00:00:00:00:dd"');
      await until(async () => (await device("br0")).address === "02:00:00:00:00:dd", "the bridge's MAC");
      expect((await device("p1")).address).toBe(before);
      expect((await sut.vsctl("get", "interface", "in", "mac_in_use")).trim()).toBe('"02:00:00:00:00:bb"');
    });
  });
});
