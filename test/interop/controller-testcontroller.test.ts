import { existsSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startOvs } from "../support/daemons.js";
import { check, Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** ovs-testcontroller and ours, one after the other, with the same options and the same packets on the same bridge of Open
 *  vSwitch: which flows they leave. */

const [A, B, C] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"];
const packet = (in_port: number, src: string, dst: string, more: string): [string, string] => [
  `p${in_port}`,
  `in_port(${in_port}),eth(src=${src},dst=${dst}),${more}`,
];
const ip = (src: number, dst: number, above: string): string =>
  `eth_type(0x0800),ipv4(src=10.0.0.${src},dst=10.0.0.${dst},${above}`;
const udp = "proto=17,tos=4,ttl=64,frag=no),udp(src=7,dst=9)";
const tcp = "proto=6,tos=0,ttl=64,frag=no),tcp(src=1000,dst=80)";
const icmp = "proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)";
const arp =
  "eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=02:00:00:00:00:0a,tha=00:00:00:00:00:00)";
const inVlan = (text: string): string => `eth_type(0x8100),vlan(vid=5,pcp=3),encap(${text})`;
const PACKETS = [
  packet(1, A, "ff:ff:ff:ff:ff:ff", arp),
  packet(2, B, A, ip(2, 1, udp)),
  packet(1, A, B, ip(1, 2, tcp)),
  packet(3, C, A, ip(3, 1, icmp)),
  // Ours learns each VLAN apart.
  packet(3, C, "ff:ff:ff:ff:ff:ff", inVlan(arp)),
  packet(2, B, C, inVlan(ip(2, 3, udp))),
];

/** Without what is meant to differ: ours marks its flows by a cookie, has packets sent whole, and changes the queue for one
 *  output only, after which nothing comes that another queue would be taken for. */
const comparable = (dump: string): string[] =>
  dump
    .trim()
    .split("\n")
    .map((line) =>
      line
        .trim()
        .replace("cookie=0x6c6561726e, ", "")
        // Said of every flow that came by OpenFlow 1.0.
        .replace("reset_counts ", "")
        .replace(/CONTROLLER:\d+/, "CONTROLLER")
        .replace(/set_queue:(\d+),output:(\d+),pop_queue/, "set_queue:$1,output:$2"),
    )
    .sort();

describeWith(
  {
    programs: ["ovs-testcontroller", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-vswitchd", "ovsdb-server"],
  },
  "ovs-testcontroller's options",
  () => {
    let sut: SwitchUnderTest;
    beforeAll(async () => {
      sut = await startOvs({ vswitchd: ["--enable-dummy"] });
      await sut.vsctl(
        ..."add-br br0 -- set bridge br0 fail_mode=secure protocols=OpenFlow10,OpenFlow13 datapath_type=dummy".split(
          " ",
        ),
        ...["p1", "p2", "p3"].flatMap((port, i) =>
          `-- add-port br0 ${port} -- set interface ${port} type=dummy ofport_request=${i + 1}`.split(" "),
        ),
      );
      writeFileSync(
        `${sut.rundir}/flows`,
        "priority=9,tcp,tp_dst=22 actions=drop\n# a comment\nipv6,actions=2\n",
      );
    });
    afterAll(() => sut?.stop());

    const dump = () => sut.ofctl("--no-names", "--no-stats", "dump-flows", "br0");
    const sent = async (): Promise<number> =>
      [...(await sut.ofctl("dump-ports", "br0")).matchAll(/tx pkts=(\d+)/g)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );

    async function leave(program: readonly string[], options: readonly string[]): Promise<string[]> {
      const socket = `${sut.rundir}/${program.includes(SLUICE) ? "ours" : "theirs"}`;
      const args = options.map((option) => option.replace("FLOWS", `${sut.rundir}/flows`));
      const daemon = new Daemon([...program, ...args, `punix:${socket}`], {
        env: { OVS_RUNDIR: sut.rundir },
      });
      try {
        await until(
          () => existsSync(socket),
          "the controller",
          20_000,
          () => daemon.output,
        );
        await sut.vsctl("set-controller", "br0", `unix:${socket}`);
        const [first] = options.includes("--with-flows=FLOWS") ? ["priority=9"] : ["actions=CONTROLLER"];
        const isOpenFlow10 = program.includes("OpenFlow10");
        const isUp = async () =>
          isOpenFlow10
            ? (await sut.vsctl("get", "controller", "br0", "is_connected")).trim() === "true"
            : (await dump()).includes(first!);
        await until(isUp, "the first flow", 30_000, () => daemon.output);
        for (const [port, text] of PACKETS) {
          const before = await sent();
          await check(["ovs-appctl", "netdev-dummy/receive", port, text], {
            env: { OVS_RUNDIR: sut.rundir },
          });
          // What decides about the packet sends it on, behind the flow for it.
          await until(async () => (await sent()) > before, "the packet to go on", 10_000, dump);
        }
        return comparable(await dump());
      } finally {
        await daemon.stop();
        await sut.vsctl("del-controller", "br0");
        await sut.ofctl("del-flows", "br0");
      }
    }

    const theirs = (...options: string[]) => leave(["ovs-testcontroller", "-O", "OpenFlow13"], options);
    const ours = (...options: string[]) => leave(["node", SLUICE, "controller", "-O", "OpenFlow13"], options);

    test.each([
      [["--max-idle=permanent", "--wildcards", "--with-flows=FLOWS"], 7],
      [["--queue=3", "--wildcards=0x2000EC"], 5],
      [["--hub", "--noflow"], 1],
    ])("%j leave the same", async (options, count) => {
      const flows = await theirs(...options);
      expect(flows).toHaveLength(count);
      expect(await ours(...options)).toEqual(flows);
    });

    test("exact matches are --wildcards=0 in ours", async () => {
      const flows = await theirs("--max-idle=17");
      expect(flows.filter((line) => /idle_timeout=17.*tp_dst/.test(line))).toHaveLength(3);
      expect(await ours("--max-idle=17", "--wildcards=0")).toEqual(flows);
    });

    /** ovs-testcontroller knows the names of ports with OpenFlow 1.0 only, which has no flow for a table's misses. */
    test("--port-queue stands above --queue and --normal", async () => {
      const options = ["--port-queue=p1:4", "--queue=3", "--normal", "--wildcards"];
      const flows = await leave(["ovs-testcontroller", "-O", "OpenFlow10"], options);
      expect(flows.filter((line) => line.includes("set_queue:4"))).toHaveLength(1);
      expect(await ours(...options)).toEqual([...flows, "priority=0 actions=CONTROLLER"].sort());
    });

    /** What the manual says of --normal. ovs-testcontroller 3.1 floods by a flow for each. */
    test("--normal leaves to the switch what need not be flooded", async () => {
      const flows = await ours("--normal", "--wildcards");
      expect(flows.filter((line) => line.endsWith("actions=NORMAL"))).toHaveLength(4);
      expect((await theirs("--normal", "--wildcards")).filter((line) => line.endsWith("FLOOD"))).not.toEqual(
        [],
      );
    });
  },
);
