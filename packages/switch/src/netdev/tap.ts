// Hot path: `receive`, `send`. Nothing is allocated, nothing throws.

import { checkDeviceName, Device } from "./device.js";
import { deviceError, EAGAIN, EBADFD, EBUSY, EINTR, EINVAL, type Libc } from "./libc.js";
import { NetdevCounters, type NetdevStatus, type PolledNetdev } from "./netdev.js";
import {
  HEADROOM,
  MAX_FRAME,
  type Packet,
  readVnetHeader,
  VNET_HDR_SIZE,
  writeVnetHeader,
} from "./packet.js";
import { BURST, type RxRing } from "./rx-ring.js";

const O_RDWR_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x80000;
const TUNSETIFF = 0x4004_54ca;
const TUNSETOFFLOAD = 0x4004_54d0;
const TUNGETIFF = 0x8004_54d2;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFNAMSIZ = 16;
/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN; then USO4 and USO6, which kernels before 6.2 do not know. */
const OFFLOADS = 0x01 | 0x02 | 0x04 | 0x08;
const OFFLOADS_USO = 0x20 | 0x40;
const NEEDS = "CAP_NET_ADMIN and /dev/net/tun";

/** A TAP device of the switch's own: what the host sends into it comes to the switch, and the reverse. It exists as
 *  long as its file descriptor is open. */
export class TapNetdev implements PolledNetdev {
  readonly name: string;
  readonly takesOffload = true;
  readonly stats = new NetdevCounters();
  readonly fd: number;
  readonly #libc: Libc;
  readonly #device: Device;
  readonly #ring: RxRing;
  #lastSeen: NetdevStatus;

  /** Makes the device, or goes on with one by the descriptor that an earlier thread opened. Throws an Error of one
   *  line: the name is taken or too long, a missing privilege. */
  constructor(libc: Libc, ring: RxRing, name: string, adoptedFd?: number) {
    checkDeviceName(name);
    this.name = name;
    this.#libc = libc;
    this.#ring = ring;
    this.fd = adoptedFd ?? openTap(libc, name);
    this.#device = new Device(libc, name);
    this.#lastSeen = this.#device.status();
  }

  receive(sink: (packet: Packet) => void, endOfBurst: () => void): number {
    const { packets, addresses } = this.#ring;
    let count = 0;
    while (count < BURST) {
      const size = this.#libc.read(this.fd, addresses[count]!, VNET_HDR_SIZE + MAX_FRAME) - VNET_HDR_SIZE;
      if (size < 0) {
        const errno = this.#libc.errno();
        if (errno !== EAGAIN && errno !== EINTR && errno !== EBADFD) this.stats.rx_errors++;
        break;
      }
      const packet = packets[count++]!;
      packet.reset(HEADROOM, HEADROOM + size);
      readVnetHeader(packet);
      this.stats.rx_packets++;
      this.stats.rx_bytes += size;
      sink(packet);
    }
    endOfBurst();
    return count;
  }

  send(packet: Packet): void {
    if (packet.address === 0) packet.address = this.#libc.addressOf(packet.buffer.buffer);
    writeVnetHeader(packet);
    const size = packet.end - packet.start;
    const address = packet.address + packet.start - VNET_HDR_SIZE;
    if (this.#libc.write(this.fd, address, size + VNET_HDR_SIZE) >= 0) {
      this.stats.tx_packets++;
      this.stats.tx_bytes += size;
      return;
    }
    // EIO: the device is down; EAGAIN: its queue is full.
    if (this.#libc.errno() === EINVAL) this.stats.tx_errors++;
    else this.stats.tx_dropped++;
  }

  flush(): void {}

  /** A device that cannot be seen although the descriptor holds it was moved to another network namespace: it goes on
   *  as it was last seen, and what becomes of its link there is not known here. */
  status(): NetdevStatus {
    const status = this.#device.status();
    if (!status.gone) this.#lastSeen = status;
    else if (this.#isHeld()) return { ...this.#lastSeen, link: true, admin: true };
    return status;
  }

  #isHeld(): boolean {
    return this.#libc.ioctl(this.fd, TUNGETIFF, new Uint8Array(40)) >= 0;
  }

  set(change: { up?: boolean; mac?: string; mtu?: number }): void {
    this.#device.set(change);
  }

  close(): void {
    this.#libc.close(this.fd);
    this.leave();
  }

  /** Closes all but the descriptor that the device exists by: another goes on with that. */
  leave(): void {
    this.#device.close();
  }
}

function openTap(libc: Libc, name: string): number {
  const fd = libc.open("/dev/net/tun", O_RDWR_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw deviceError(name, "cannot open /dev/net/tun", libc.errno(), NEEDS);
  const request = new Uint8Array(new ArrayBuffer(40));
  new TextEncoder().encodeInto(name, request);
  new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  if (libc.ioctl(fd, TUNSETIFF, request) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    if (errno === EBUSY || errno === EINVAL) {
      throw new Error(`${name}: cannot be made: there is a device of this name`);
    }
    throw deviceError(name, "cannot be made", errno, NEEDS);
  }
  if (libc.ioctlInt(fd, TUNSETOFFLOAD, OFFLOADS | OFFLOADS_USO) < 0) {
    libc.ioctlInt(fd, TUNSETOFFLOAD, OFFLOADS);
  }
  return fd;
}
