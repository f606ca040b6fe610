import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { run } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge } from "../support/vsctl.js";

/** What a database asks for that controllers notice: Open vSwitch and our switch answer ovs-ofctl alike. */

const needs = { root: true, programs: ["ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ip"] };

describeWith(needs, "what the database asks for, seen by ovs-ofctl", () => {
  const topology = new Topology();
  afterAll(() => topology.destroy());

  describe.each([
    ["Open vSwitch", startOvs, "ovs"],
    ["our switch", startSluice, "ours"],
  ] as const)("%s", (_, start, ns) => {
    let sut: SwitchUnderTest;
    beforeAll(async () => {
      sut = await start({ netns: await topology.add(ns) });
      await sut.vsctl(...addBridge("br0", "datapath_type=netdev", "fail_mode=secure"));
    }, 60_000);
    afterAll(() => sut?.stop());

    /** How many flows, groups and meters there are. */
    const counts = async (): Promise<number[]> => {
      const lines = async (command: string, is: RegExp): Promise<number> =>
        (await sut.ofctl(command, "br0")).split("\n").filter((line) => is.test(line)).length;
      return [
        await lines("dump-flows", /actions=/),
        await lines("dump-groups", /group_id=/),
        await lines("dump-meters", /^meter=/),
      ];
    };
    const fill = async (): Promise<void> => {
      await sut.ofctl("add-group", "br0", "group_id=1234,type=all,bucket=output:10");
      await sut.ofctl("add-meter", "br0", "meter=1,pktps,band=type=drop,rate=1");
      await sut.ofctl("add-flow", "br0", "in_port=1,actions=group:1234");
    };

    test("when a bridge gets a controller or has none any more, flows, groups and meters go", async () => {
      await fill();
      expect(await counts()).toEqual([1, 1, 1]);
      await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6655");
      expect(await counts()).toEqual([0, 0, 0]);
      await fill();
      await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6656");
      expect(await counts()).toEqual([1, 1, 1]);
      await sut.vsctl("del-controller", "br0");
      expect(await counts()).toEqual([0, 0, 0]);
    });

    test("a table's name is the controllers' to change unless the database gives it", async () => {
      const modTable = (table: string, name: string) =>
        run(["ovs-ofctl", "-O", "OpenFlow13", "mod-table", "br0", table, `name:${name}`], {
          env: { OVS_RUNDIR: sut.rundir },
        });
      const names = async (): Promise<string[]> =>
        [...(await sut.ofctl("dump-table-features", "br0")).matchAll(/ table (\d+) \("(\w+)"\)/g)].map(
          ([, table, name]) => `${table}: ${name}`,
        );
      expect((await modTable("0", "mine")).code).toBe(0);
      expect(await names()).toEqual(["0: mine"]);
      const table = ["--", "--id=@t", "create", "Flow_Table", "name=zero"];
      await sut.vsctl(...table, "--", "set", "bridge", "br0", "flow_tables:0=@t");
      expect(await names()).toEqual(["0: zero"]);
      expect((await modTable("0", "mine")).stderr).toContain("OFPTFFC_EPERM");
      expect((await modTable("0", "zero")).code).toBe(0);
      expect((await modTable("1", "one")).code).toBe(0);
      expect(await names()).toEqual(["0: zero", "1: one"]);
    });
  });
});
