import type { Shape } from "@sluice/lab";
import type { SwitchUnderTest } from "./daemons.js";
import { Topology } from "./netns.js";
import { run } from "./process.js";

/** Starts a switch daemon: `startSluice` or `startOvs`. */
export type StartSwitch = (options: { netns: string }) => Promise<SwitchUnderTest>;

export interface RealFabricOptions {
  /** Where the bridges' controller is, by the daemon's directory; in the namespace of the switches. Open vSwitch goes to
   *  unix sockets in its directory only. */
  controller?: (rundir: string) => string;
  /** Starts a second daemon, for the bridges of `others` (numbers from 0). */
  other?: { start: StartSwitch; bridges: readonly number[] };
}

/** Bridges s1, s2, … with dpids 1, 2, … of a real switch daemon in one namespace, veth pairs between them, and hosts h1,
 *  h2, … (10.0.0.1, …) in namespaces of their own. The end of the cable of host hN is pN; the ends of the cable between
 *  sA and sB are cA-B at sA and cB-A at sB; of a second one, cA-Bx and cB-Ax. */
export class RealFabric {
  readonly net: Topology;
  readonly shape: Shape;
  /** The daemon of each bridge. */
  readonly #daemons: SwitchUnderTest[];

  private constructor(net: Topology, shape: Shape, daemons: SwitchUnderTest[]) {
    this.net = net;
    this.shape = shape;
    this.#daemons = daemons;
  }

  static async start(start: StartSwitch, shape: Shape, options: RealFabricOptions = {}): Promise<RealFabric> {
    const { controller = () => "tcp:127.0.0.1:6653", other } = options;
    const net = new Topology();
    const netns = await net.add("sw");
    const ports: string[][] = Array.from({ length: shape.switches }, () => []);
    for (const [i, [a, b]] of shape.links.entries()) {
      const isSecond = shape.links.findIndex(([x, y]) => x === a && y === b) !== i;
      const [one, two] = [cableEnd(a, b, isSecond), cableEnd(b, a, isSecond)];
      await net.check("sw", ["ip", "link", "add", one, "type", "veth", "peer", "name", two]);
      for (const end of [one, two]) {
        // Open vSwitch's user-space datapath does not complete the checksums that a veth leaves to hardware.
        await net.offloadsOff("sw", end);
        await net.check("sw", ["ip", "link", "set", end, "up"]);
      }
      ports[a]!.push(one);
      ports[b]!.push(two);
    }
    for (const [i, at] of shape.hosts.entries()) {
      await net.addHost(`h${i + 1}`, `${ipOf(i + 1)}/24`, `p${i + 1}`, "sw", {
        offloads: false,
        mac: macOf(i + 1),
      });
      ports[at]!.push(`p${i + 1}`);
    }
    const first = await start({ netns });
    const second = await other?.start({ netns });
    const daemons = ports.map((_, i) => (second && other?.bridges.includes(i) ? second : first));
    for (const [i, names] of ports.entries()) {
      const bridge = `s${i + 1}`;
      const { vsctl, rundir } = daemons[i]!;
      // Secure before it has ports: a bridge that forwards by itself for a moment makes a storm where cables form a ring.
      await vsctl(
        ...`add-br ${bridge} -- set bridge ${bridge} datapath_type=netdev fail_mode=secure`.split(" "),
        ...`protocols=OpenFlow13 other_config:datapath-id=${dpidOf(i)}`.split(" "),
      );
      await vsctl(
        ...`--no-wait set-controller ${bridge} ${controller(rundir)}`.split(" "),
        ...`-- set controller ${bridge} max_backoff=1000`.split(" "),
        ...names.flatMap((name, at) =>
          `-- add-port ${bridge} ${name} -- set interface ${name} ofport_request=${at + 1}`.split(" "),
        ),
      );
    }
    return new RealFabric(net, shape, daemons);
  }

  get netns(): string {
    return this.net.netns("sw");
  }

  get hosts(): readonly string[] {
    return this.shape.hosts.map((_, i) => `h${i + 1}`);
  }

  /** The daemon of a bridge, by its number from 0. */
  daemon(at: number): SwitchUnderTest {
    return this.#daemons[at]!;
  }

  flows(at: number): Promise<string> {
    return this.daemon(at).ofctl("--no-names", "dump-flows", `s${at + 1}`);
  }
  groups(at: number): Promise<string> {
    return this.daemon(at).ofctl("--no-names", "dump-groups", `s${at + 1}`);
  }

  /** Pulls the cable between two switches out, or puts it back. */
  async cable(a: number, b: number, state: "down" | "up"): Promise<void> {
    await this.net.check("sw", ["ip", "link", "set", cableEnd(a, b), state]);
    await this.net.check("sw", ["ip", "link", "set", cableEnd(b, a), state]);
  }

  /** The cable carries nothing from `a` to `b` any more, though both ports are up and the way back is as before. */
  async muteOneWay(a: number, b: number): Promise<void> {
    const tc = (...args: string[]) => this.net.check("sw", ["tc", ...args]);
    await tc("qdisc", "replace", "dev", cableEnd(a, b), "root", "blackhole");
  }

  /** Takes a host's cable out of its bridge and puts it into another, while the host sees its carrier all the time. */
  async moveHost(host: string, from: number, to: number): Promise<void> {
    const port = `p${host.slice(1)}`;
    await this.daemon(from).vsctl("del-port", `s${from + 1}`, port);
    await this.daemon(to).vsctl("add-port", `s${to + 1}`, port);
  }

  /** One echo, from no neighbours known. Empty when it came back, once; else what ping printed. */
  async ping(from: string, to: string, ...more: string[]): Promise<string> {
    await this.net.check(from, ["ip", "neigh", "flush", "dev", "eth0"]);
    const argv = ["ping", "-c", "1", "-W", "3", ...more, ipOf(Number(to.slice(1)))];
    const { stdout } = await run(argv, { netns: this.net.netns(from) });
    return / 1 received/.test(stdout) && !/DUP|duplicates/.test(stdout) ? "" : stdout;
  }

  /** Pairs of hosts of which one does not reach the other. */
  async lostPings(hosts: readonly string[] = this.hosts): Promise<string[]> {
    const lost: string[] = [];
    // Those of different hosts at once; each host asks the others one after the other.
    await Promise.all(
      hosts.map(async (from) => {
        for (const to of hosts)
          if (from !== to && (await this.ping(from, to)) !== "") lost.push(`${from}-${to}`);
      }),
    );
    return lost.sort();
  }

  /** Frames that a host's interface has received. */
  async received(host: string): Promise<number> {
    return Number(await this.net.check(host, ["cat", "/sys/class/net/eth0/statistics/rx_packets"]));
  }

  async destroy(): Promise<void> {
    for (const daemon of new Set(this.#daemons)) await daemon.stop();
    await this.net.destroy();
  }
}

export const ipOf = (host: number): string => `10.0.0.${host}`;
export const macOf = (host: number): string => `02:00:00:00:01:${host.toString(16).padStart(2, "0")}`;
export const dpidOf = (at: number): string => (at + 1).toString(16).padStart(16, "0");
const cableEnd = (a: number, b: number, isSecond = false): string =>
  `c${a + 1}-${b + 1}${isSecond ? "x" : ""}`;
