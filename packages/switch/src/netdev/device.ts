import { readMac, writeMac } from "@sluice/wire";
import { deviceError, type Libc } from "./libc.js";
import type { NetdevStatus } from "./netdev.js";

/** What can be asked of and told to any Linux network device, by ioctl (netdevice(7)). */

export const AF_INET = 2;
export const SOCK_DGRAM_CLOEXEC = 2 | 0x80000;
const IFNAMSIZ = 16;
/** struct ifreq: the name, then 24 bytes of union. */
const IFREQ_SIZE = 40;

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCGIFMTU = 0x8921;
const SIOCSIFMTU = 0x8922;
const SIOCSIFHWADDR = 0x8924;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFINDEX = 0x8933;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GSET = 1;
const ETHTOOL_GDRVINFO = 3;
/** What the device does for those that use it, by the words of ethtool(8), and how it is asked about and told
 *  (ETHTOOL_GTXCSUM, _STXCSUM, _GGRO, _SGRO): "tx" to finish checksums, and to cut up what needs that too; "gro" to merge
 *  segments that come in. */
const FEATURES = { tx: [0x16, 0x17], gro: [0x2b, 0x2c] } as const;
export type Feature = keyof typeof FEATURES;
export const isFeature = (name: unknown): name is Feature => typeof name === "string" && name in FEATURES;
const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;

const IFF_UP = 1;
const IFF_RUNNING = 0x40;
const ADMIN = "CAP_NET_ADMIN";

/** Throws an Error of one line for what cannot be a device's name. */
export function checkDeviceName(name: string): void {
  if (name.length === 0 || Buffer.byteLength(name) >= IFNAMSIZ) {
    throw new Error(`${name}: a device's name has 1 to ${IFNAMSIZ - 1} bytes`);
  }
  if (/[/\s]/.test(name) || name === "." || name === "..") throw new Error(`${name}: not a device's name`);
}

/** Calls on one network device, by a socket of its own. */
export class Device {
  readonly name: string;
  readonly #libc: Libc;
  readonly #fd: number;

  constructor(libc: Libc, name: string) {
    checkDeviceName(name);
    this.name = name;
    this.#libc = libc;
    this.#fd = libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    if (this.#fd < 0) throw deviceError(name, "socket", libc.errno(), ADMIN);
  }

  close(): void {
    this.#libc.close(this.#fd);
  }

  /** The device as it is now; `gone` when there is none of this name. */
  status(): NetdevStatus {
    const flags = this.#tryGet(SIOCGIFFLAGS);
    const ifindex = this.#tryGet(SIOCGIFINDEX);
    if (!flags || !ifindex) {
      return {
        mac: "00:00:00:00:00:00",
        mtu: 0,
        ifindex: 0,
        link: false,
        admin: false,
        speed: 0,
        gone: true,
      };
    }
    const bits = flags.getUint16(IFNAMSIZ, true);
    return {
      mac: readMac(new Uint8Array((this.#tryGet(SIOCGIFHWADDR) ?? flags).buffer), IFNAMSIZ + 2),
      mtu: this.#tryGet(SIOCGIFMTU)?.getInt32(IFNAMSIZ, true) ?? 0,
      ifindex: ifindex.getInt32(IFNAMSIZ, true),
      link: (bits & IFF_RUNNING) !== 0,
      admin: (bits & IFF_UP) !== 0,
      speed: this.#speed(),
      gone: false,
    };
  }

  /** Its number; throws an Error of one line when there is no such device, or it is no Ethernet device. */
  ifindex(): number {
    const index = this.#get(SIOCGIFINDEX, "cannot be opened").getInt32(IFNAMSIZ, true);
    const type = this.#get(SIOCGIFHWADDR, "cannot be opened").getUint16(IFNAMSIZ, true);
    if (type !== ARPHRD_ETHER && type !== ARPHRD_LOOPBACK) {
      throw new Error(`${this.name}: not an Ethernet device`);
    }
    return index;
  }

  /** Whether the device of this name is the one with that number. */
  is(ifindex: number): boolean {
    return this.#tryGet(SIOCGIFINDEX)?.getInt32(IFNAMSIZ, true) === ifindex;
  }

  set(change: { up?: boolean; mac?: string; mtu?: number }): void {
    if (change.mac !== undefined) {
      const request = this.#request();
      request.setUint16(IFNAMSIZ, ARPHRD_ETHER, true);
      writeMac(new Uint8Array(request.buffer), IFNAMSIZ + 2, change.mac);
      this.#call(SIOCSIFHWADDR, request, `cannot set MAC address ${change.mac}`);
    }
    if (change.mtu !== undefined) {
      const request = this.#request();
      request.setInt32(IFNAMSIZ, change.mtu, true);
      this.#call(SIOCSIFMTU, request, `cannot set MTU ${change.mtu}`);
    }
    if (change.up !== undefined) {
      const request = this.#get(SIOCGIFFLAGS, "cannot be set up");
      const flags = request.getUint16(IFNAMSIZ, true);
      request.setUint16(IFNAMSIZ, change.up ? flags | IFF_UP : flags & ~IFF_UP, true);
      this.#call(SIOCSIFFLAGS, request, change.up ? "cannot be set up" : "cannot be set down");
    }
  }

  /** The name of its driver; empty when it tells none. */
  driver(): string {
    // struct ethtool_drvinfo: the command, then the driver's name of 32 bytes.
    const info = new Uint8Array(new ArrayBuffer(196));
    new DataView(info.buffer).setUint32(0, ETHTOOL_GDRVINFO, true);
    return this.#ethtool(info) ? readText(info.subarray(4, 36)) : "";
  }

  /** Whether it does that for its users. */
  does(feature: Feature): boolean {
    const value = Uint32Array.of(FEATURES[feature][0], 0);
    return this.#ethtool(new Uint8Array(value.buffer)) && value[1] === 1;
  }

  /** Has it do so, or not. False where that cannot be. */
  turn(feature: Feature, on: boolean): boolean {
    const value = Uint32Array.of(FEATURES[feature][1], on ? 1 : 0);
    return this.#ethtool(new Uint8Array(value.buffer)) && this.does(feature) === on;
  }

  #request(): DataView {
    const bytes = new Uint8Array(new ArrayBuffer(IFREQ_SIZE));
    new TextEncoder().encodeInto(this.name, bytes);
    return new DataView(bytes.buffer);
  }

  #tryGet(request: number): DataView | undefined {
    const view = this.#request();
    return this.#libc.ioctl(this.#fd, request, new Uint8Array(view.buffer)) < 0 ? undefined : view;
  }

  #get(request: number, what: string): DataView {
    const view = this.#request();
    this.#call(request, view, what);
    return view;
  }

  #call(request: number, view: DataView, what: string): void {
    if (this.#libc.ioctl(this.#fd, request, new Uint8Array(view.buffer)) < 0) {
      throw deviceError(this.name, what, this.#libc.errno(), ADMIN);
    }
  }

  /** bits/s by struct ethtool_cmd, which every driver still answers; 0 when it does not know. */
  #speed(): number {
    const command = new DataView(new ArrayBuffer(44));
    command.setUint32(0, ETHTOOL_GSET, true);
    if (!this.#ethtool(new Uint8Array(command.buffer))) return 0;
    const mbits = command.getUint16(12, true) + command.getUint16(28, true) * 0x10000;
    return mbits === 0xffff_ffff || mbits === 0xffff ? 0 : mbits * 1e6;
  }

  /** Whether it was carried out; the answer is where the command was. */
  #ethtool(command: Uint8Array): boolean {
    const view = this.#request();
    view.setBigUint64(IFNAMSIZ, BigInt(this.#libc.addressOf(command.buffer)), true);
    return this.#libc.ioctl(this.#fd, SIOCETHTOOL, new Uint8Array(view.buffer)) >= 0;
  }
}

/** The text before the first zero. */
const readText = (bytes: Uint8Array): string => String.fromCharCode(...bytes).split("\0")[0]!;
