import { afterEach, describe, expect, test, vi } from "vitest";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { RestController } from "../support/rest.js";
import { type BookExample, type BookHost, DATABASE, RYU_BOOK, type Step } from "../support/ryu-book.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** The examples of the Ryu book, done as it has them: each request, its answer, and who then reaches whom. */
const KINDS = [
  ["Sluice", startSluice],
  ["Open vSwitch", startOvs],
] as const;
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovsdb-server", "ip", "ping", "ethtool"];

const SOON = { timeout: 15_000, interval: 100 };

/** Lists have no order in Ryu's answers. */
const unordered = (value: unknown): unknown => {
  if (Array.isArray(value))
    return value.map(unordered).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [name, unordered(member)] as const);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
};

const withoutHardware = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value).replace(/"hw_addr":"[0-9a-f:]+"/g, '"hw_addr":"*"'));

describeWith({ root: true, programs: PROGRAMS }, "the Ryu book", () => {
  describe.each(KINDS)("on %s", (kind, start) => {
    let net: Topology;
    let sut: SwitchUnderTest | undefined;
    let rest: RestController | undefined;

    afterEach(async () => {
      await rest?.stop();
      await sut?.stop();
      await net.destroy();
      rest = sut = undefined;
    });

    const portOf = ([sw, port]: readonly [number, number]): string => `s${sw}-eth${port}`;

    async function addHost({ name, address, gateway, vlan, at }: BookHost, n: number): Promise<void> {
      const port = vlan === undefined ? portOf(at) : `access${n}`;
      const isIpv6 = address.includes(":");
      const mac = `00:00:00:00:00:${String(n).padStart(2, "0")}`;
      await net.addHost(name, isIpv6 ? `192.0.2.${n}/24` : address, port, "sw", { mac, offloads: false });
      if (isIpv6) {
        await net.check(name, ["ip", "link", "set", "eth0", "addrgenmode", "none"]);
        await net.check(name, ["sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=0"]);
        await net.check(name, ["ip", "addr", "add", address, "dev", "eth0", "nodad"]);
      }
      if (gateway !== undefined) await net.check(name, ["ip", "route", "add", "default", "via", gateway]);
    }

    async function build({ apps, switches, hosts, links }: BookExample): Promise<void> {
      net = new Topology();
      const netns = await net.add("sw");
      for (const [i, host] of hosts.entries()) await addHost(host, i + 1);
      const running = await start({ netns });
      sut = running;
      rest = await RestController.start(`${running.rundir}/c.sock`, ...apps.flatMap((app) => ["--app", app]));
      const numbers = Array.from({ length: switches }, (_, i) => i + 1);
      const patch = (from: string, to: string, sw: string, ofport: number): string[] => [
        ...addPort(sw, from, "type=patch", `options:peer=${to}`, `ofport_request=${ofport}`),
      ];
      const tagged = hosts.flatMap(({ vlan, at }, i) => (vlan === undefined ? [] : [{ vlan, at, n: i + 1 }]));
      await running.vsctl(
        ...numbers.flatMap((n) =>
          addBridge(
            `s${n}`,
            ...["datapath_type=netdev", "fail_mode=secure", "protocols=OpenFlow13"],
            `other_config:datapath-id=${String(n).padStart(16, "0")}`,
          ),
        ),
        ...hosts
          .filter(({ vlan }) => vlan === undefined)
          .flatMap(({ at }) => addPort(`s${at[0]}`, portOf(at), `ofport_request=${at[1]}`)),
        ...links.flatMap(([sw1, port1, sw2, port2]) => {
          const [one, other] = [portOf([sw1, port1]), portOf([sw2, port2])];
          return [...patch(one, other, `s${sw1}`, port1), ...patch(other, one, `s${sw2}`, port2)];
        }),
        // Hosts that tag are behind a bridge that does it for them, since a kernel may have no VLAN devices.
        ...(tagged.length === 0
          ? []
          : addBridge("access", "datapath_type=netdev", "fail_mode=secure", "protocols=OpenFlow13")),
        ...tagged.flatMap(({ at, n }) => [
          ...addPort("access", `access${n}`, `ofport_request=${2 * n}`),
          ...patch(`trunk${n}`, portOf(at), "access", 2 * n + 1),
          ...patch(portOf(at), `trunk${n}`, `s${at[0]}`, at[1]),
        ]),
        ...numbers.flatMap((n) => ["--", "set-controller", `s${n}`, `unix:${running.rundir}/c.sock`]),
      );
      for (const { vlan, n } of tagged) {
        const tag = `push_vlan:0x8100,set_field:${0x1000 + vlan}->vlan_vid`;
        await running.ofctl("add-flow", "access", `in_port=${2 * n},actions=${tag},output:${2 * n + 1}`);
        await running.ofctl(
          "add-flow",
          "access",
          `in_port=${2 * n + 1},dl_vlan=${vlan},actions=pop_vlan,output:${2 * n}`,
        );
      }
      await rest.hasSwitches(switches);
    }

    /** What came of a step, in the shape of the step. */
    async function perform(step: Step): Promise<Step> {
      if ("ping" in step) {
        const [from, to] = step.ping;
        const target = to.startsWith("fe80:") ? `${to}%eth0` : to;
        const options = step.passes ? ["-c", "3", "-i", "0.2", "-W", "5"] : ["-c", "1", "-W", "1"];
        const ttl = /ttl=(\d+)/.exec((await net.run(from, ["ping", ...options, target])).stdout)?.[1];
        return {
          ...{ ping: step.ping, passes: ttl !== undefined },
          ...(step.ttl !== undefined && { ttl: Number(ttl) }),
        };
      }
      if ("connect" in step) {
        const [from, to, port] = step.connect;
        const run = await net.run(from, [
          "timeout",
          step.passes ? "5" : "1",
          "bash",
          "-c",
          `: < /dev/tcp/${to}/${port}`,
        ]);
        return { ...step, passes: run.stderr.includes("Connection refused") };
      }
      if ("udp" in step) {
        const [[from, to, port], [sw, text]] = [step.udp, step.flow];
        const flow = async (): Promise<string | undefined> =>
          (await sut!.ofctl("dump-flows", sw)).split("\n").find((line) => line.includes(text));
        await until(
          async () => {
            await net.check(from, ["bash", "-c", `echo > /dev/udp/${to}/${port}`]);
            return /n_packets=[1-9]/.test((await flow()) ?? "");
          },
          `${text} to count`,
          10_000,
          async () => String(await flow()),
        );
        return step;
      }
      const { method, path, body, eventually } = step;
      const { status, body: answer } = await rest!.ask(
        method,
        path,
        body === DATABASE ? JSON.stringify(sut!.db) : body,
      );
      const shown = eventually ? withoutHardware(answer) : answer;
      return { ...step, ...("answer" in step && { answer: shown }), status };
    }

    const examples = RYU_BOOK.filter(({ ofSluiceOnly }) => kind === "Sluice" || !ofSluiceOnly);
    test.each(examples)("$title", async (example) => {
      await build(example);
      for (const step of example.steps) {
        const expected = unordered("method" in step ? { status: 200, ...step } : step);
        const done = async (): Promise<unknown> => unordered(await perform(step));
        if ("eventually" in step) await vi.waitFor(async () => expect(await done()).toEqual(expected), SOON);
        else expect(await done()).toEqual(expected);
      }
    });
  });
});
