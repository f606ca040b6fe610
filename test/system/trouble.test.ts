import { readdirSync } from "node:fs";
import { seededRandom } from "@sluice/lab";
import { OFPP } from "@sluice/openflow-codec";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OfClient } from "../support/conformance/client.js";
import { flowMod } from "../support/conformance/session.js";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** What befalls a switch while its ports are busy: devices that go and come, rules that come and go, many ports at once.
 *  Nothing that is forwarded goes uncounted, and who is not concerned does not notice. */

const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ip", "ping", "python3"];
const H1 = "10.0.0.1";
const H2 = "10.0.0.2";

/** Sends UDP to H2 from 64 source ports in turn, until its input ends; then says how many datagrams it sent. */
const DATAGRAMS = `
import select, socket, sys
socks = []
for i in range(64):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", 5000 + i))
    socks.append(s)
sent = 0
print("sending", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for s in socks:
        s.sendto(b"x" * 100, ("${H2}", 9))
        sent += 1
`;

/** Sends UDP to H2, until its input ends: again and again from STEADY ports, and once now and then from each of SCANNED
 *  others in turn. */
const STEADY = 8;
const SCANNED = 2_000;
const FIRST_PORT = 5_000;
const SCAN = `
import select, socket, sys, time
socks = []
for i in range(${STEADY + SCANNED}):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", ${FIRST_PORT} + i))
    socks.append(s)
print("sending", flush=True)
at = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for s in socks[:${STEADY}]:
        s.sendto(b"x" * 100, ("${H2}", 9))
    for _ in range(2):
        socks[${STEADY} + at % ${SCANNED}].sendto(b"x" * 100, ("${H2}", 9))
        at += 1
    time.sleep(0.002)
`;

/** Sends frames by each of the devices named, in turn, so many a device. */
const FLOOD = `
import socket, sys
count, *devices = sys.argv[1:]
socks = []
for name in devices:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((name, 0))
    socks.append(s)
frame = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(46)
for _ in range(int(count)):
    for s in socks:
        s.send(frame)
`;

describeWith({ root: true, programs: PROGRAMS }, "trouble under traffic", () => {
  const net = new Topology();
  let sut: SwitchUnderTest;

  beforeAll(async () => {
    const netns = await net.add("sw");
    await net.addHost("h1", `${H1}/24`, "p1", "sw");
    await net.addHost("h2", `${H2}/24`, "p2", "sw");
    await net.addHost("h3", "10.0.0.3/24", "p3", "sw");
    sut = await startSluice({ netns });
    const port = (n: number): string[] => {
      const set = ["set", "interface", `p${n}`, `ofport_request=${n}`];
      return ["--", "add-port", "br0", `p${n}`, "--", ...set];
    };
    await sut.vsctl(
      ...["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=secure"],
      ...[1, 2, 3].flatMap(port),
    );
    await sut.ofctl("add-flow", "br0", "priority=1,actions=NORMAL");
    expect(await net.ping("h1", H2)).toBe(true);
  });

  afterAll(async () => {
    await sut?.stop();
    await net.destroy();
  });

  const get = async (table: string, record: string, column: string): Promise<string> =>
    (await sut.vsctl("get", table, record, column)).trim();
  const appctl = (...args: string[]): Promise<string> =>
    check(["node", SLUICE, "appctl", ...args], { env: { SLUICE_RUNDIR: sut.rundir } });
  const descriptors = (): number => readdirSync(`/proc/${sut.daemons[1]!.pid}/fd`).length;

  /** Runs `body` while h1 sends datagrams to h2, as fast as it can unless told otherwise. */
  async function underTraffic(body: () => Promise<void>, program = DATAGRAMS): Promise<void> {
    const sender = new Daemon(["python3", "-c", program], { netns: net.netns("h1") });
    try {
      await sender.prints(/sending/);
      await body();
      sender.endInput();
      expect(await sender.ended()).toBe(0);
    } finally {
      sender.kill();
    }
  }

  const counter = async (name: string): Promise<number> =>
    Number(await appctl("coverage/read-counter", name));

  /** Packets that came in, less those that some rule counted, that is there or was and counted `removed()`, none matched,
   *  or found no room to the slow path. */
  async function uncounted(client: OfClient, removed: () => Promise<number>): Promise<number> {
    await appctl("revalidator/wait");
    const gone = await removed();
    const { entries: ports } = await client.multipart({ type: "OFPMP_PORT_STATS", port_no: OFPP.ANY });
    const { entries: rules } = await client.multipart({ type: "OFPMP_FLOW" });
    const { entries: tables } = await client.multipart({ type: "OFPMP_TABLE" });
    const lost = await counter("datapath_misses_lost");
    const received = ports.reduce((sum, { rx_packets }) => sum + Number(rx_packets), 0);
    const counted = rules.reduce((sum, { packet_count }) => sum + Number(packet_count), gone);
    const { lookup_count, matched_count } = tables.find(({ table_id }) => table_id === 0)!;
    return received - counted - Number(lookup_count - matched_count) - lost;
  }

  /** Hosts may say something of their own between the questions: an answer that comes twice is right. */
  async function settledOf(ask: () => Promise<number>): Promise<number> {
    for (let last = Number.NaN; ; ) {
      const now = await ask();
      if (now === last) return now;
      last = now;
    }
  }

  test("devices that go down, are renamed, deleted with their peer's namespace, and ports that are removed", async () => {
    const isError = (name: string, error: RegExp): Promise<void> =>
      until(async () => error.test(await get("interface", name, "error")), `${name} to have error ${error}`);
    const before = descriptors();
    await underTraffic(async () => {
      await net.check("sw", ["ip", "link", "set", "p2", "down"]);
      await until(async () => (await get("interface", "p2", "admin_state")) === "down", "p2 to be down");
      await net.check("sw", ["ip", "link", "set", "p2", "up"]);
      await until(async () => (await get("interface", "p2", "link_state")) === "up", "p2 to be up");
      await sut.vsctl("del-port", "br0", "p2");
      await sut.vsctl("add-port", "br0", "p2", "--", "set", "interface", "p2", "ofport_request=2");
      // A name is what a port is called by: renamed, the device is another one, until it has the name again.
      for (const [from, to, error] of [
        ["p2", "x2", /no such device/i],
        ["x2", "p2", /^\[\]$/],
      ] as const) {
        for (const command of [
          ["ip", "link", "set", from, "down"],
          ["ip", "link", "set", from, "name", to],
          ["ip", "link", "set", to, "up"],
        ])
          await net.check("sw", command);
        await isError("p2", error);
      }
      await net.addHost("h4", "10.0.0.4/24", "p4", "sw");
      await sut.vsctl("add-port", "br0", "p4");
      await check(["ip", "netns", "del", net.netns("h4")]);
      await isError("p4", /no such device/i);
      await sut.vsctl("del-port", "br0", "p4");
    });
    await until(() => net.ping("h1", H2, 1), "h1 to reach h2 again");
    expect(sut.daemons[1]!.output).not.toMatch(/the datapath failed|Error:/);
    await until(
      () => descriptors() <= before,
      `${before} open descriptors`,
      20_000,
      () => `${descriptors()}`,
    );
  });

  test.each([
    ["one thread", ""],
    ["two threads", "3"],
  ])(
    "rules that are added, replaced, changed, deleted, evicted and expire: every packet is counted once (%s)",
    async (_, mask) => {
      const setting = ["Open_vSwitch", ".", "other_config", "pmd-cpu-mask"] as const;
      if (mask !== "") await sut.vsctl("set", "Open_vSwitch", ".", `other_config:pmd-cpu-mask=${mask}`);
      await sut.vsctl(
        ...["--", "--id=@t", "create", "flow_table", "flow_limit=20", "overflow_policy=evict"],
        ...["--", "set", "bridge", "br0", "flow_tables:0=@t"],
      );
      const client = await OfClient.connect(`unix:${sut.rundir}/br0.mgmt`);
      const draw = seededRandom(mask === "" ? 1 : 2);
      let removed = 0;
      const reasons = new Set<string>();
      const hear = async (): Promise<void> => {
        for (const message of await client.unasked()) {
          if (message.type !== "OFPT_FLOW_REMOVED") continue;
          removed += Number(message.packet_count);
          reasons.add(String(message.reason));
        }
      };
      const one = (): Parameters<OfClient["send"]>[0] => {
        const match = `udp,tp_src=${5000 + Math.floor(draw() * 64)}`;
        const kind = draw();
        if (kind < 0.2) return flowMod(`priority=10,${match}`, "delete_strict");
        if (kind < 0.4) return flowMod(`${match},actions=${draw() < 0.5 ? "output:2" : "drop"}`, "modify");
        const idle = draw() < 0.5 ? "idle_timeout=1," : "";
        return flowMod(`priority=10,${match},${idle}send_flow_rem,actions=output:2`);
      };
      const settled = (): Promise<number> =>
        settledOf(() =>
          uncounted(client, async () => {
            await hear();
            return removed;
          }),
        );
      try {
        await client.exchange(flowMod("priority=1,send_flow_rem,actions=NORMAL"));
        const before = await settled();
        const end = performance.now() + 3_000;
        await underTraffic(async () => {
          while (performance.now() < end) {
            await client.exchange(...Array.from({ length: 10 }, one));
            await hear();
          }
        });
        expect(await settled()).toBe(before);
        const last = flowMod("priority=10,udp,tp_src=5000,idle_timeout=1,send_flow_rem,actions=drop");
        await client.exchange(flowMod("udp", "delete"), last);
        await until(async () => {
          await hear();
          return reasons.has("OFPRR_IDLE_TIMEOUT");
        }, "a flow to expire");
        expect(await settled()).toBe(before);
        // OpenFlow 1.3 has no word for eviction: an evicted flow was deleted.
        expect([...reasons].sort()).toEqual(["OFPRR_DELETE", "OFPRR_IDLE_TIMEOUT"]);
        expect(removed).toBeGreaterThan(1000);
      } finally {
        client.close();
        await sut.vsctl("clear", "bridge", "br0", "flow_tables");
        if (mask !== "") await sut.vsctl("remove", ...setting);
        await sut.ofctl("del-flows", "br0");
        await sut.ofctl("add-flow", "br0", "priority=1,actions=NORMAL");
      }
    },
    60_000,
  );

  test("at flow-limit: what is used keeps its cached flow, what comes once makes room, and every packet is counted once", async () => {
    const limit = 80;
    const client = await OfClient.connect(`unix:${sut.rundir}/br0.mgmt`);
    const sources = Array.from({ length: STEADY + SCANNED }, (_, i) => FIRST_PORT + i);
    try {
      await client.exchange(
        ...sources.map((source) => flowMod(`priority=10,udp,tp_src=${source},actions=output:2`)),
      );
      await sut.vsctl("set", "Open_vSwitch", ".", `other_config:flow-limit=${limit}`);
      const settled = (): Promise<number> => settledOf(() => uncounted(client, async () => 0));
      const before = await settled();
      const evicted = await counter("megaflow_evicted");
      const counts: number[] = [];
      const counted = new Map<unknown, number>();
      let cached: string[] = [];
      await underTraffic(async () => {
        await until(async () => {
          counts.push(Number(/flows: (\d+)/.exec(await appctl("dpctl/show"))![1]));
          return (await counter("megaflow_evicted")) >= evicted + 4 * Math.ceil(limit / 8);
        }, "many cached flows to be evicted");
        const { entries: rules } = await client.multipart({ type: "OFPMP_FLOW" });
        for (const { match, packet_count } of rules) counted.set(match.udp_src, Number(packet_count));
        cached = (await appctl("dpctl/dump-flows")).split("\n");
      }, SCAN);
      expect(Math.max(...counts)).toBeLessThanOrEqual(limit);
      expect(await settled()).toBe(before);
      for (const source of sources.slice(0, STEADY)) {
        // One that had been evicted in between would have begun to count again.
        const its = cached.find((flow) => flow.includes(`udp(src=${source}`)) ?? "none";
        const packets = Number(/packets:(\d+)/.exec(its)?.[1] ?? 0);
        expect(packets, `${source}: ${its}`).toBeGreaterThan(counted.get(source)! / 2);
      }
    } finally {
      client.close();
      await sut.vsctl("remove", "Open_vSwitch", ".", "other_config", "flow-limit");
      await sut.ofctl("del-flows", "br0");
      await sut.ofctl("add-flow", "br0", "priority=1,actions=NORMAL");
    }
  }, 60_000);

  test("64 ports that all send: each is served alike, and what it sent is all accounted for", async () => {
    const names = Array.from({ length: 64 }, (_, n) => `m${n}`);
    const many = await net.add("many");
    const pairs = names.map((name) => `link add ${name} type veth peer name ${name} netns ${many}`);
    const up = names.map((name) => `link set ${name} up`);
    await net.check("sw", ["ip", "-batch", "-"], { input: `${[...pairs, ...up].join("\n")}\n` });
    await net.check("many", ["ip", "-batch", "-"], { input: `${up.join("\n")}\n` });
    await sut.vsctl(...names.flatMap((name) => ["--", "add-port", "br0", name]));
    await sut.ofctl("add-flow", "br0", "priority=9,dl_type=0x88b5,actions=output:3");
    const numbers = new Map<string, number>();
    for (const [, name, ofport] of (
      await sut.vsctl("--format=csv", "--no-headings", "--columns=name,ofport", "list", "interface")
    ).matchAll(/^"?(m\d+)"?,(\d+)$/gm))
      numbers.set(name!, Number(ofport));
    expect(numbers.size).toBe(64);
    const count = 2_000;
    const flood = net.run("many", ["python3", "-c", FLOOD, String(count), ...names], { timeoutMs: 30_000 });
    const ping = ["ping", "-q", "-c", "20", "-i", "0.02", "-W", "5", H2];
    expect((await net.run("h1", ping)).stdout).toContain(" 20 received");
    expect((await flood).code).toBe(0);
    const client = await OfClient.connect(`unix:${sut.rundir}/br0.mgmt`);
    const { entries } = await client.multipart({ type: "OFPMP_PORT_STATS", port_no: OFPP.ANY });
    client.close();
    const received = [...numbers].map(([name, port_no]) => {
      const { rx_packets, rx_dropped } = entries.find((entry) => entry.port_no === port_no)!;
      expect(Number(rx_packets + rx_dropped), name).toBe(count);
      return Number(rx_packets);
    });
    expect(Math.min(...received)).toBeGreaterThan(Math.max(...received) / 2);
    await sut.vsctl(...names.flatMap((name) => ["--", "del-port", "br0", name]));
  });
});
