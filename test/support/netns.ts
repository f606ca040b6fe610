import { spawnSync } from "node:child_process";
import { check, type RunOptions, type RunResult, run } from "./process.js";

/** Namespaces are named sl-<pid of the test>-<n>-<name>, so that those a killed run left can be found and removed. */
const PREFIX = "sl-";
let serial = 0;

function removeLeftovers(): void {
  const list = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout ?? "";
  for (const name of list.split("\n").map((line) => line.split(" ")[0]!)) {
    const pid = /^sl-(\d+)-/.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch {
      spawnSync("ip", ["netns", "del", name]);
    }
  }
}

/** A set of network namespaces made for one test and removed with it. Devices inside go with them. */
export class Topology {
  readonly #id = `${PREFIX}${process.pid}-${serial++}-`;
  readonly #names = new Set<string>();
  readonly #onExit = (): void => {
    for (const name of this.#names) spawnSync("ip", ["netns", "del", name]);
  };

  constructor() {
    removeLeftovers();
    process.on("exit", this.#onExit);
  }

  /** The machine-wide name of namespace `name`. */
  netns(name: string): string {
    return this.#id + name;
  }

  async add(name: string): Promise<string> {
    const netns = this.netns(name);
    await check(["ip", "netns", "add", netns]);
    this.#names.add(netns);
    await check(["ip", "-n", netns, "link", "set", "lo", "up"]);
    // What IPv6 sends by itself would make hosts heard before they are asked.
    const noIpv6 = "for conf in all default; do echo 1 > /proc/sys/net/ipv6/conf/$conf/disable_ipv6; done";
    await run(["sh", "-c", noIpv6], { netns });
    return netns;
  }

  /** Adds host `name` (a namespace with interface eth0, address `cidr`, optional MAC) whose cable ends as `port`
   *  in namespace `switchName`. `offloads: false` turns checksum and segmentation offload off at both ends. */
  async addHost(
    name: string,
    cidr: string,
    port: string,
    switchName: string,
    options: { mac?: string; offloads?: boolean } = {},
  ): Promise<void> {
    const host = await this.add(name);
    const sw = this.netns(switchName);
    await check(["ip", "-n", host, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", sw]);
    if (options.mac) await check(["ip", "-n", host, "link", "set", "eth0", "address", options.mac]);
    if (options.offloads === false) {
      await this.offloadsOff(name, "eth0");
      await this.offloadsOff(switchName, port);
    }
    await check(["ip", "-n", host, "addr", "add", cidr, "dev", "eth0"]);
    await check(["ip", "-n", host, "link", "set", "eth0", "up"]);
    await check(["ip", "-n", sw, "link", "set", port, "up"]);
  }

  async offloadsOff(name: string, device: string): Promise<void> {
    await this.check(name, [
      "ethtool",
      "-K",
      device,
      "tx",
      "off",
      "rx",
      "off",
      "tso",
      "off",
      "gso",
      "off",
      "gro",
      "off",
    ]);
  }

  run(name: string, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(argv, { ...options, netns: this.netns(name) });
  }

  check(name: string, argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return check(argv, { ...options, netns: this.netns(name) });
  }

  /** One ping run; true when every echo came back. It begins with no neighbour known, unless `keepNeighbours`: an
   *  address that an earlier run is still asking for would soon be given up, and this run's echoes with it. */
  async ping(from: string, to: string, count = 3, keepNeighbours = false): Promise<boolean> {
    if (!keepNeighbours) await this.check(from, ["ip", "neigh", "flush", "dev", "eth0"]);
    const result = await this.run(from, ["ping", "-c", String(count), "-i", "0.2", "-W", "4", to]);
    return result.code === 0 && result.stdout.includes(` ${count} received`);
  }

  async destroy(): Promise<void> {
    for (const name of this.#names) await run(["ip", "netns", "del", name]);
    this.#names.clear();
    process.off("exit", this.#onExit);
  }
}
