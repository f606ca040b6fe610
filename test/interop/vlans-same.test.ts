import { readdirSync } from "node:fs";
import { join } from "node:path";
import { controlCall } from "@sluice/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** By which ports NORMAL sends a frame, and with which VLAN tags, on our switch and on Open vSwitch: frames of all sorts of
 *  tags, by ports of all sorts of configurations. */

/** Columns of ports 1, 2, …. */
const PORTS: readonly (readonly string[])[] = [
  ["tag=10"],
  ["vlan_mode=native-untagged", "tag=10", "trunks=10,20"],
  ["vlan_mode=native-tagged", "tag=10"],
  [],
  ["trunks=20,30,0"],
  ["vlan_mode=dot1q-tunnel", "tag=10"],
  ["vlan_mode=dot1q-tunnel", "tag=10", "cvlans=20,30", "other_config:qinq-ethtype=802.1q"],
  ["other_config:priority-tags=always"],
  ["tag=10", "other_config:priority-tags=if-nonzero"],
  ["vlan_mode=dot1q-tunnel", "tag=20", "cvlans=0,10"],
  ["tag=10", "other_config:priority-tags=always"],
  ["vlan_mode=native-untagged", "tag=10", "other_config:priority-tags=if-nonzero"],
  ["vlan_mode=dot1q-tunnel", "tag=10", "other_config:priority-tags=always"],
  ["vlan_mode=trunk", "tag=10", "cvlans=20"],
  ["tag=20", "trunks=20,30"],
];

type Tag = readonly [tpid: string, vid: number, pcp: number];
const FRAMES: readonly (readonly Tag[])[] = [
  [],
  [["8100", 0, 0]],
  [["8100", 0, 3]],
  [["8100", 10, 2]],
  [["8100", 20, 5]],
  [["8100", 30, 0]],
  [["88a8", 10, 1]],
  [
    ["8100", 10, 1],
    ["8100", 20, 2],
  ],
  [
    ["88a8", 10, 0],
    ["8100", 40, 2],
  ],
  [
    ["8100", 10, 0],
    ["8100", 0, 3],
  ],
  [
    ["8100", 20, 0],
    ["8100", 10, 0],
  ],
  [
    ["8100", 0, 0],
    ["8100", 10, 0],
  ],
  [
    ["88a8", 10, 0],
    ["8100", 20, 0],
    ["8100", 30, 0],
  ],
];

const DESTINATIONS = ["ffffffffffff", "000000000009"];
const LIMITS = ["1", "2"];

const IP = "080045000020000000004011f96fc0a80001c0a8000203e807d0000c0000000000000000000000000000000000000000";
const hexOf = (dst: string, tags: readonly Tag[]): string =>
  `${dst}000000000001${tags.map(([tpid, vid, pcp]) => tpid + (vid | (pcp << 13)).toString(16).padStart(4, "0")).join("")}${IP}`;
const textOf = (tags: readonly Tag[]): string =>
  tags.length === 0 ? "untagged" : tags.map(([tpid, vid, pcp]) => `${tpid}:${vid}/${pcp}`).join(" ");

/** What leaves by each port, from the actions of the datapath. */
function outputs(actions: string, frame: readonly Tag[], ports: ReadonlyMap<string, string>): string[] {
  let tags = frame;
  const before: (readonly Tag[])[] = [];
  const sent: string[] = [];
  for (const [action] of actions.matchAll(/clone\(|push_vlan\([^)]*\)|\)|[^(),]+/g)) {
    const push = /^push_vlan\((?:tpid=0x(\w+),)?vid=(\d+),pcp=(\d)\)/.exec(action);
    if (push) tags = [[push[1] ?? "8100", Number(push[2]), Number(push[3])], ...tags];
    else if (action === "pop_vlan") tags = tags.slice(1);
    else if (action === "clone(") before.push(tags);
    else if (action === ")") tags = before.pop()!;
    else if (ports.has(action)) sent.push(`${ports.get(action)} ${textOf(tags)}`);
    else if (action !== "drop") sent.push(action);
  }
  return sent.sort();
}

const needs = { root: true, programs: ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ip"] };

describeWith(needs, "NORMAL with VLANs on both switches", () => {
  const topology = new Topology();
  const suts: SwitchUnderTest[] = [];
  const ports: ReadonlyMap<string, string>[] = [];

  const ask = async ({ rundir }: SwitchUnderTest, command: string, ...args: string[]): Promise<string> => {
    const socket = readdirSync(rundir).find((name) => /^ovs-vswitchd\.\d+\.ctl$/.test(name))!;
    const { result, error } = await controlCall(join(rundir, socket), command, args);
    if (error) throw new Error(`${command} ${args.join(" ")}: ${error}`);
    return result ?? "";
  };

  beforeAll(async () => {
    for (const [ns, start] of [
      ["ours", startSluice],
      ["ovs", startOvs],
    ] as const) {
      const sut = await start({
        netns: await topology.add(ns),
        ...(start === startOvs ? { vswitchd: ["--enable-dummy=override"] } : {}),
      });
      suts.push(sut);
      await sut.vsctl(
        ...addBridge("br0", "datapath_type=netdev", "fail_mode=secure"),
        ...PORTS.flatMap((columns, i) => [
          ...addPort("br0", `p${i + 1}`, "type=dummy", `ofport_request=${i + 1}`),
          ...(columns.length > 0 ? ["--", "set", "port", `p${i + 1}`, ...columns] : []),
        ]),
      );
      await sut.ofctl("add-flow", "br0", "actions=NORMAL");
      const text = await ask(sut, "dpif/show");
      ports.push(new Map([...text.matchAll(/^ +(\w+) \d+\/(\d+):/gm)].map(([, name, odp]) => [odp!, name!])));
      expect(ports.at(-1)!.size).toBe(PORTS.length + 1);
    }
  });

  afterAll(async () => {
    for (const sut of suts) await sut.stop();
    await topology.destroy();
  });

  const trace = async (
    which: number,
    in_port: number,
    dst: string,
    frame: readonly Tag[],
  ): Promise<string> => {
    const text = await ask(suts[which]!, "ofproto/trace", "br0", `in_port=${in_port}`, hexOf(dst, frame));
    const actions = /^Datapath actions: (.*)$/m.exec(text)![1]!;
    const what = `vlan ${textOf(frame)} to ${dst} by p${in_port}`;
    return [what, ...outputs(actions, frame, ports[which]!)].join("\n  ");
  };

  test.each(LIMITS)("vlan-limit=%s", async (limit) => {
    for (const sut of suts) {
      await sut.vsctl("set", "Open_vSwitch", ".", `other_config:vlan-limit=${limit}`);
      // Known by a port behind a tunnel, in its service VLAN.
      await ask(sut, "fdb/add", "br0", "p6", "10", "00:00:00:00:00:09");
    }
    for (const frame of FRAMES)
      for (const dst of DESTINATIONS)
        for (const [i, columns] of PORTS.entries()) {
          // Open vSwitch loses the second of a customer's tags where it sees both.
          if (limit === "2" && frame.length > 1 && columns.includes("vlan_mode=dot1q-tunnel")) continue;
          const [ours, theirs] = await Promise.all([0, 1].map((which) => trace(which, i + 1, dst, frame)));
          expect(ours).toBe(theirs);
        }
  });

  test("vlan-limit is 1 where nobody says, and any number but 1 is 2", async () => {
    const frame = FRAMES[7]!;
    const seen = async (): Promise<boolean[]> => {
      const texts = suts.map((sut) =>
        ask(sut, "ofproto/trace", "br0", "in_port=4", hexOf(DESTINATIONS[0]!, frame)),
      );
      return (await Promise.all(texts)).map((text) => /^Flow: .*dl_type=0x8100/m.test(text));
    };
    const flows: boolean[][] = [];
    for (const set of [
      ["remove", "Open_vSwitch", ".", "other_config", "vlan-limit"],
      ...["0", "1", "2", "7"].map((limit) => [
        "set",
        "Open_vSwitch",
        ".",
        `other_config:vlan-limit=${limit}`,
      ]),
    ]) {
      for (const sut of suts) await sut.vsctl(...set);
      flows.push(await seen());
    }
    expect(flows).toEqual([
      [true, true],
      [false, false],
      [true, true],
      [false, false],
      [false, false],
    ]);
  });

  test("a tunnel carries all of a customer's tags", async () => {
    for (const limit of LIMITS) {
      await suts[0]!.vsctl("set", "Open_vSwitch", ".", `other_config:vlan-limit=${limit}`);
      expect(await trace(0, 6, DESTINATIONS[0]!, FRAMES[7]!)).toContain("p4 88a8:10/0 8100:10/1 8100:20/2");
      expect(await trace(0, 6, DESTINATIONS[0]!, FRAMES[7]!)).toContain("p13 8100:10/1 8100:20/2");
    }
  });
});
