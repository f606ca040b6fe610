import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OFPCML, OFPFF, OFPG, OFPM, OFPP, type OfMessage } from "@sluice/openflow-codec";
import { controlCall, controlPath } from "@sluice/runtime";
import { toHex } from "@sluice/wire";
import { type SwitchUnderTest, startOvs } from "../daemons.js";
import { type Bench, BRIDGE, PORTS, type Sent } from "./bench.js";
import { OfClient } from "./client.js";

const ALL = [OFPP.LOCAL, ...PORTS];
const nameOf = (port: number): string => (port === OFPP.LOCAL ? BRIDGE : `p${port}`);

/** Open vSwitch's user-space datapath with the dummy devices that its own tests use: frames go in by the control
 *  socket and come out as capture files, and time moves when told. */
export class OvsBench implements Bench {
  readonly #ovs: SwitchUnderTest;
  readonly #captures = new Map<number, Capture>();
  readonly #clients: OfClient[] = [];
  readonly #unplugged = new Set<number>();
  readonly #missing = new Set<number>();
  #isLimited = false;
  #admin!: OfClient;
  #control!: string;

  private constructor(ovs: SwitchUnderTest) {
    this.#ovs = ovs;
  }

  static async start(): Promise<OvsBench> {
    const bench = new OvsBench(await startOvs({ vswitchd: ["--enable-dummy=override"] }));
    try {
      await bench.#setUp();
      return bench;
    } catch (error) {
      await bench.close();
      throw error;
    }
  }

  async #setUp(): Promise<void> {
    const { rundir, vsctl } = this.#ovs;
    for (const port of ALL) this.#captures.set(port, new Capture(join(rundir, `${nameOf(port)}.pcap`)));
    await vsctl(
      ...["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=dummy", "fail_mode=secure"],
      ...["protocols=OpenFlow13", "other_config:datapath-id=0000000000001234"],
      ...["--", "set", "interface", BRIDGE, this.#tap(OFPP.LOCAL)],
      ...PORTS.flatMap((port) => ["--", ...this.#portAdd(port)]),
    );
    this.#control = controlPath("ovs-vswitchd", rundir);
    await this.#ask("time/stop");
    this.#admin = await OfClient.connect(this.target);
    // Of what comes unasked it hears of removed flows only.
    this.#admin.send({
      type: "OFPT_SET_ASYNC",
      packet_in_mask: [0, 0],
      port_status_mask: [0, 0],
      flow_removed_mask: [0xf, 0],
    });
  }

  get target(): string {
    return `unix:${join(this.#ovs.rundir, `${BRIDGE}.mgmt`)}`;
  }

  #tap(port: number): string {
    return `options:tx_pcap=${this.#captures.get(port)!.path}`;
  }

  #portAdd(port: number): string[] {
    const name = nameOf(port);
    return [
      ...["add-port", BRIDGE, name, "--", "set", "interface", name, "type=dummy"],
      ...[`ofport_request=${port}`, this.#tap(port)],
    ];
  }

  async #ask(command: string, ...args: string[]): Promise<string> {
    const { result, error } = await controlCall(this.#control, command, args);
    if (error) throw new Error(`${command} ${args.join(" ")}: ${error}`);
    return result ?? "";
  }

  async connect(miss_send_len?: number): Promise<OfClient> {
    const client = await OfClient.connect(this.target, miss_send_len);
    this.#clients.push(client);
    return client;
  }

  async receive(port: number, ...frames: readonly Uint8Array[]): Promise<void> {
    // A barrier does not wait for flows cached in the datapath: they are thrown away.
    await this.#ask("revalidator/purge");
    for (const frame of frames) await this.#ask("netdev-dummy/receive", nameOf(port), toHex(frame));
    // Ports are polled before connections are.
    await this.#admin.settle();
  }

  async sent(): Promise<Sent[]> {
    return ALL.flatMap((port) =>
      this.#captures
        .get(port)!
        .read()
        .map((frame) => ({ port, frame })),
    );
  }

  async advance(ms: number): Promise<void> {
    // Counts go from the datapath to the flows when a cached flow goes.
    await this.#ask("revalidator/purge");
    await this.#ask("time/warp", String(ms), String(Math.min(ms, Math.max(100, Math.floor(ms / 20)))));
    await this.#admin.settle();
  }

  async carrier(port: number, isUp: boolean): Promise<void> {
    if (isUp) this.#unplugged.delete(port);
    else this.#unplugged.add(port);
    // Counts are credited by a new translation when a cached flow goes: to what was live.
    await this.#ask("revalidator/purge");
    await this.#ask("netdev-dummy/set-admin-state", nameOf(port), isUp ? "up" : "down");
    await this.#admin.settle();
  }

  async addPort(port: number): Promise<void> {
    this.#missing.delete(port);
    await this.#ovs.vsctl(...this.#portAdd(port));
    this.#captures.get(port)!.rewind();
  }

  async removePort(port: number): Promise<void> {
    this.#missing.add(port);
    await this.#ovs.vsctl("del-port", BRIDGE, nameOf(port));
  }

  async vlanLimit(limit: number): Promise<void> {
    this.#isLimited = true;
    await this.#ovs.vsctl("set", "Open_vSwitch", ".", `other_config:vlan-limit=${limit}`);
  }

  async reset(): Promise<void> {
    if (this.#isLimited) await this.#ovs.vsctl("remove", "Open_vSwitch", ".", "other_config", "vlan-limit");
    this.#isLimited = false;
    for (const client of this.#clients.splice(0)) client.close();
    for (const port of [...this.#missing]) await this.addPort(port);
    for (const port of [...this.#unplugged]) await this.carrier(port, true);
    const { entries } = await this.#admin.multipart({ type: "OFPMP_PORT_DESC" });
    await this.#admin.exchange(
      { type: "OFPT_FLOW_MOD", command: "OFPFC_DELETE", table_id: 0xff },
      { type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_type: "OFPGT_ALL", group_id: OFPG.ALL },
      { type: "OFPT_METER_MOD", command: "OFPMC_DELETE", meter_id: OFPM.ALL, flags: 0 },
      { type: "OFPT_SET_CONFIG", flags: 0, miss_send_len: OFPCML.NO_BUFFER },
      ...entries
        .filter(({ config }) => config !== 0)
        .map(({ port_no, hw_addr }) => ({
          type: "OFPT_PORT_MOD" as const,
          port_no,
          hw_addr,
          config: 0,
          mask: 0xff,
          advertise: 0,
        })),
    );
    await this.#flowRemovalsTold();
    await this.#ask("fdb/flush");
    await this.sent();
  }

  /** Removed flows are told of by another thread, in order: when one removed last has been told of, the next case
   *  will not hear of this one's. */
  async #flowRemovalsTold(): Promise<void> {
    const last = { type: "OFPT_FLOW_MOD", table_id: 253, cookie: LAST_COOKIE } as const;
    await this.#admin.exchange(
      { ...last, command: "OFPFC_ADD", flags: OFPFF.SEND_FLOW_REM },
      { ...last, command: "OFPFC_DELETE" },
    );
    const isLast = (message: OfMessage): boolean =>
      message.type === "OFPT_FLOW_REMOVED" && message.cookie === LAST_COOKIE;
    while (!(await this.#admin.unasked(1)).some(isLast));
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.#admin?.close();
    await this.#ovs.stop();
  }
}

const LAST_COOKIE = 0xdead_beefn;

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** A capture file that grows. */
class Capture {
  readonly path: string;
  #at = FILE_HEADER;

  constructor(path: string) {
    this.path = path;
  }

  /** The file was begun anew. */
  rewind(): void {
    this.#at = FILE_HEADER;
  }

  /** The frames since the last call. */
  read(): Uint8Array[] {
    if (!existsSync(this.path)) return [];
    const bytes = readFileSync(this.path).subarray(this.#at);
    const frames: Uint8Array[] = [];
    let at = 0;
    while (at + RECORD_HEADER <= bytes.length) {
      const size = bytes.readUInt32LE(at + 8);
      frames.push(Uint8Array.from(bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + size)));
      at += RECORD_HEADER + size;
    }
    this.#at += at;
    return frames;
  }
}
