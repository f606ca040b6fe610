// Hot path: `receive`, `send`, `flush`. Nothing is allocated, nothing throws.

import { Device, type Feature } from "./device.js";
import type { FoundFeature } from "./feature-record.js";
import { deviceError, EAGAIN, EINTR, ENETDOWN, ENOBUFS, ENODEV, ENXIO, type Libc } from "./libc.js";
import { NetdevCounters, type NetdevStatus, type PolledNetdev } from "./netdev.js";
import { GSO_NONE, HEADROOM, Packet, readVnetHeader, VNET_HDR_SIZE, writeVnetHeader } from "./packet.js";
import {
  PacketRing,
  TP_STATUS_COPY,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
} from "./packet-ring.js";
import {
  bindPacketSocket,
  MSG_DONTWAIT,
  openPacketSocket,
  PACKET_VNET_HDR,
  SO_SNDBUFFORCE,
  SOL_PACKET,
  SOL_SOCKET,
  setOption,
} from "./packet-socket.js";
import {
  BURST,
  CONTROL_SIZE,
  MMSG_WORDS,
  MSG_CONTROLLEN,
  MSG_FLAGS,
  MSG_IOV,
  MSG_IOVLEN,
  MSG_LEN,
  putAddress,
  type RxRing,
} from "./rx-ring.js";
import { SendRing } from "./send-ring.js";

const ETH_P_ALL = 3;
const SO_RCVBUFFORCE = 33;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_PROMISC = 1;
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
const PACKET_FANOUT = 18;
const PACKET_FANOUT_HASH = 0;
const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000;
const PACKET_IGNORE_OUTGOING = 23;
const MSG_TRUNC = 0x20;

/** tpacket_auxdata, after the 16 bytes of cmsghdr. */
const AUX_STATUS = 16;
const AUX_VLAN_TCI = 32;
const AUX_VLAN_TPID = 34;
const ETH_VLAN = 0x8100;
const ETH_IPV4_HIGH = 0x08;
const ETH_IPV6_HIGH = 0x86;
const IP_TCP = 6;

/** For long frames; the default holds two. This is 120 of them: what waits longer had better be dropped. */
const SOCKET_BUFFER = 8 << 20;
const SLOTS = 64;
/** Frames of a ring that are forwarded together. */
const RING_BURST = 64;

/** A Linux network device through a packet socket (packet(7)). The device keeps its offloads on: frames come with a
 *  virtio_net_hdr that tells what is unfinished, and leave with one. The host's own stack sees the frames too.
 *
 *  Frames come in a ring that is read in place, but for those that are too long for it: they come by recvmmsg. */
export class AfPacketNetdev implements PolledNetdev {
  readonly name: string;
  readonly takesOffload = true;
  readonly stats = new NetdevCounters();
  readonly fd: number;
  readonly ifindex: number;
  /** The group of sockets (PACKET_FANOUT) that the device's packets are spread over by flow, where there is one. */
  readonly fanout: number | undefined;
  /** Whether it is one end of a pair (veth), so that what its other end leaves to cards can be told. */
  readonly isPair: boolean;
  /** Frames that came in one piece, since somebody set these to 0: with a checksum that is not finished; TCP segments
   *  with one that is. */
  unfinished = 0;
  finished = 0;
  readonly #libc: Libc;
  readonly #device: Device;
  /** What long frames are received into. */
  readonly #ring: RxRing;
  /** What the others come in, where there is memory for it. */
  #frames: PacketRing | undefined;
  readonly #packets: readonly Packet[];
  readonly #messages = new Uint32Array(new ArrayBuffer(SLOTS * MMSG_WORDS * 4));
  readonly #iov = new Uint32Array(new ArrayBuffer(SLOTS * 16));
  readonly #messagesAddress: number;
  #pending = 0;
  /** What short frames are sent by, where there is memory for it. */
  readonly #sends: SendRing | undefined;
  /** What the device was found to do, where it does otherwise now. */
  readonly #found = new Map<Feature, boolean>();
  readonly #isOnRecord: (found: FoundFeature) => boolean;

  /** `isOnRecord`: whether what the device was found to do has been kept, and may so be changed; where it is left out the
   *  device is left as it is. Throws an Error of one line: no such device, a missing privilege. */
  constructor(
    libc: Libc,
    ring: RxRing,
    name: string,
    fanout?: number | "new",
    isOnRecord: (found: FoundFeature) => boolean = () => false,
  ) {
    this.name = name;
    this.#isOnRecord = isOnRecord;
    this.#libc = libc;
    this.#ring = ring;
    this.#device = new Device(libc, name);
    try {
      this.ifindex = this.#device.ifindex();
      this.fd = this.#open();
      this.fanout = fanout === undefined ? undefined : this.#join(fanout);
      this.isPair = this.#device.driver() === "veth";
    } catch (error) {
      this.#device.close();
      throw error;
    }
    // What another socket sends comes back to a group of sockets, whatever its members say (PACKET_IGNORE_OUTGOING).
    if (fanout === undefined) this.#sends = SendRing.open(libc, this.ifindex);
    const frames = this.#frames;
    this.#packets = frames
      ? Array.from({ length: RING_BURST }, () => new Packet(frames.bytes, frames.address))
      : [];
    const iovAddress = libc.addressOf(this.#iov.buffer);
    this.#messagesAddress = libc.addressOf(this.#messages.buffer);
    for (let i = 0; i < SLOTS; i++) {
      putAddress(this.#messages, i * MMSG_WORDS + MSG_IOV, iovAddress + i * 16);
      this.#messages[i * MMSG_WORDS + MSG_IOVLEN] = 1;
    }
  }

  #open(): number {
    const libc = this.#libc;
    const fd = openPacketSocket(libc);
    if (fd < 0) throw deviceError(this.name, "cannot be opened", libc.errno(), "CAP_NET_RAW");
    const check = (isDone: boolean, what: string): void => {
      if (isDone) return;
      const errno = libc.errno();
      libc.close(fd);
      throw deviceError(this.name, what, errno, "CAP_NET_RAW");
    };
    const set = (option: number, what: string, ...words: number[]): void =>
      check(setOption(libc, fd, SOL_PACKET, option, ...words), `cannot set ${what}`);
    // Options come before the bind: it starts the flow of packets.
    set(PACKET_VNET_HDR, "PACKET_VNET_HDR", 1);
    set(PACKET_AUXDATA, "PACKET_AUXDATA", 1);
    set(PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", 1);
    this.#frames = PacketRing.open(libc, fd);
    // Without CAP_NET_ADMIN the buffers stay as they are: slower, not wrong.
    setOption(libc, fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
    setOption(libc, fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
    check(bindPacketSocket(libc, fd, ETH_P_ALL, this.ifindex), "cannot be bound to");
    // struct packet_mreq: ifindex, type, length, address. It ends with the socket.
    set(PACKET_ADD_MEMBERSHIP, "promiscuous mode", this.ifindex, PACKET_MR_PROMISC, 0, 0);
    return fd;
  }

  /** Makes the socket one of a group; gives the group's number. */
  #join(group: number | "new"): number {
    const how = PACKET_FANOUT_HASH | (group === "new" ? PACKET_FANOUT_FLAG_UNIQUEID : 0);
    const value = Uint32Array.of(((how << 16) | (group === "new" ? 0 : group)) >>> 0);
    const bytes = new Uint8Array(value.buffer);
    const size = new Uint8Array(Uint32Array.of(4).buffer);
    if (
      this.#libc.setsockopt(this.fd, SOL_PACKET, PACKET_FANOUT, bytes, 4) < 0 ||
      this.#libc.getsockopt(this.fd, SOL_PACKET, PACKET_FANOUT, bytes, size) < 0
    ) {
      const errno = this.#libc.errno();
      this.#libc.close(this.fd);
      throw deviceError(this.name, "cannot join a fanout group", errno, "CAP_NET_RAW");
    }
    return value[0]! & 0xffff;
  }

  isReady(): boolean {
    const frames = this.#frames;
    return frames !== undefined && (frames.status(0) & TP_STATUS_USER) !== 0;
  }

  receive(sink: (packet: Packet) => void, endOfBurst: () => void): number {
    const frames = this.#frames;
    if (!frames) {
      const count = this.#receiveMessages(BURST, sink);
      endOfBurst();
      return Math.max(0, count);
    }
    let count = 0;
    let status = 0;
    while (count < RING_BURST) {
      status = frames.status(count);
      if ((status & TP_STATUS_USER) === 0 || (status & TP_STATUS_COPY) !== 0) break;
      const packet = this.#packets[count]!;
      if (frames.load(count, packet)) {
        if ((status & TP_STATUS_VLAN_VALID) !== 0) {
          const tag = frames.tag(count);
          pushTag(packet, status, tag & 0xffff, tag >>> 16);
        }
        this.#received(packet, sink);
      } else this.stats.rx_dropped++;
      count++;
    }
    // Long frames come in the socket's queue, in the same order: those that are next to each other are read together.
    if (count < RING_BURST && (status & TP_STATUS_COPY) !== 0) {
      let long = 1;
      while (long < BURST && (frames.status(count + long) & TP_STATUS_COPY) !== 0) long++;
      count += this.#receiveMessages(long, sink);
    }
    endOfBurst();
    frames.release(count);
    return count;
  }

  /** Receives up to `most` packets by a call; gives how many. */
  #receiveMessages(most: number, sink: (packet: Packet) => void): number {
    const { messages, packets, messagesAddress } = this.#ring;
    for (let i = 0; i < most; i++) messages[i * MMSG_WORDS + MSG_CONTROLLEN] = CONTROL_SIZE;
    const count = this.#libc.recvmmsg(this.fd, messagesAddress, most, MSG_DONTWAIT, 0);
    if (count < 0) {
      const errno = this.#libc.errno();
      if (errno === EINTR || errno === ENETDOWN || (errno === EAGAIN && !this.#frames)) return 0;
      this.stats.rx_errors++;
      // A frame that is not where its place says does not come any more.
      return this.#frames && errno === EAGAIN ? 1 : 0;
    }
    for (let i = 0; i < count; i++) {
      const at = i * MMSG_WORDS;
      const size = messages[at + MSG_LEN]! - VNET_HDR_SIZE;
      const packet = packets[i]!;
      packet.reset(HEADROOM, HEADROOM + size);
      if ((messages[at + MSG_FLAGS]! & MSG_TRUNC) !== 0) {
        this.stats.rx_errors++;
        continue;
      }
      readVnetHeader(packet);
      if (messages[at + MSG_CONTROLLEN]! >= CONTROL_SIZE - 4) {
        const aux = this.#ring.control;
        const control = i * CONTROL_SIZE;
        const status = aux.getUint32(control + AUX_STATUS, true);
        if ((status & TP_STATUS_VLAN_VALID) !== 0)
          pushTag(
            packet,
            status,
            aux.getUint16(control + AUX_VLAN_TCI, true),
            aux.getUint16(control + AUX_VLAN_TPID, true),
          );
      }
      this.#received(packet, sink);
    }
    return count;
  }

  #received(packet: Packet, sink: (packet: Packet) => void): void {
    const size = packet.end - packet.start;
    if (size < 14) {
      this.stats.rx_errors++;
      return;
    }
    this.stats.rx_packets++;
    this.stats.rx_bytes += size;
    if (packet.gsoType === GSO_NONE) {
      if (packet.csumStart !== 0) this.unfinished++;
      else if (isTcp(packet)) this.finished++;
    }
    sink(packet);
  }

  send(packet: Packet): void {
    // What comes after a message goes as one, too: in order.
    const ring = this.#sends;
    if (ring !== undefined && this.#pending === 0 && ring.put(packet)) {
      if (ring.pending === SLOTS) ring.flush(this.stats);
      return;
    }
    if (packet.address === 0) packet.address = this.#libc.addressOf(packet.buffer.buffer);
    writeVnetHeader(packet);
    const at = this.#pending * 4;
    putAddress(this.#iov, at, packet.address + packet.start - VNET_HDR_SIZE);
    this.#iov[at + 2] = packet.end - packet.start + VNET_HDR_SIZE;
    packet.held++;
    if (++this.#pending === SLOTS) this.flush();
  }

  flush(): void {
    if (this.#sends !== undefined && this.#sends.pending > 0) this.#sends.flush(this.stats);
    let done = 0;
    let wasDown = false;
    while (done < this.#pending) {
      const sent = this.#libc.sendmmsg(
        this.fd,
        // A sum that is handed over is a new number for the collector; what is kept is not.
        done === 0 ? this.#messagesAddress : this.#messagesAddress + done * MMSG_WORDS * 4,
        this.#pending - done,
        MSG_DONTWAIT,
      );
      if (sent > 0) {
        for (let i = done; i < done + sent; i++) {
          this.stats.tx_packets++;
          this.stats.tx_bytes += this.#iov[i * 4 + 2]! - VNET_HDR_SIZE;
        }
        done += sent;
        continue;
      }
      const errno = this.#libc.errno();
      if (errno === EINTR) continue;
      if (errno === ENETDOWN && !wasDown) {
        // That the device was down is told by the next call, when it may be up again.
        wasDown = true;
        continue;
      }
      if (
        errno === EAGAIN ||
        errno === ENOBUFS ||
        errno === ENETDOWN ||
        errno === ENXIO ||
        errno === ENODEV
      ) {
        // No room, or nobody there: nothing behind this packet fares better.
        this.stats.tx_dropped += this.#pending - done;
        break;
      }
      this.stats.tx_errors++;
      done++;
    }
    this.#pending = 0;
  }

  refreshStats(): void {
    // struct tpacket_stats: packets, drops; reading sets both to 0.
    const stats = new Uint32Array(2);
    const size = Uint32Array.of(8);
    const got = this.#libc.getsockopt(
      this.fd,
      SOL_PACKET,
      PACKET_STATISTICS,
      new Uint8Array(stats.buffer),
      new Uint8Array(size.buffer),
    );
    if (got === 0) this.stats.rx_dropped += stats[1]!;
  }

  /** Whether what it would have to change to merge, or to finish, is on record. */
  mayMerge(): boolean {
    return this.#mayTurn("gro", true);
  }

  mayFinish(): boolean {
    return this.#mayTurn("tx", false);
  }

  /** Has the kernel merge the TCP segments that come in (GRO), or leaves it as it was found. False: it cannot be. */
  merge(on: boolean): boolean {
    return on ? this.#turn("gro", true) : this.#restore("gro");
  }

  /** Has the kernel finish checksums and cut up super-frames before the other end sees them, or leaves it as it was
   *  found. False: it cannot be. */
  finish(on: boolean): boolean {
    return on ? this.#turn("tx", false) : this.#restore("tx");
  }

  #mayTurn(feature: Feature, on: boolean): boolean {
    const found = this.#found.get(feature) ?? this.#device.does(feature);
    if (found === on) return true;
    return this.#isOnRecord({ device: this.name, ifindex: this.ifindex, feature, found });
  }

  #turn(feature: Feature, on: boolean): boolean {
    if (this.#found.has(feature)) return true;
    const found = this.#device.does(feature);
    if (found === on) return true;
    if (!this.#mayTurn(feature, on) || !this.#device.is(this.ifindex)) return false;
    if (!this.#device.turn(feature, on)) return false;
    this.#found.set(feature, found);
    return true;
  }

  /** Another device may have the name by now, which is left alone. */
  #restore(feature: Feature): boolean {
    const found = this.#found.get(feature);
    if (found === undefined || !this.#device.is(this.ifindex)) return true;
    if (this.#device.turn(feature, found)) this.#found.delete(feature);
    return true;
  }

  status(): NetdevStatus {
    return this.#device.status();
  }

  set(change: { up?: boolean; mac?: string; mtu?: number }): void {
    this.#device.set(change);
  }

  close(): void {
    this.#sends?.close();
    this.merge(false);
    this.finish(false);
    this.#frames?.close();
    this.#libc.close(this.fd);
    this.#device.close();
  }
}

/** Whether it is a TCP segment, with no VLAN tag and no extension header before. */
function isTcp({ buffer: b, start }: Packet): boolean {
  const type = b[start + 12]!;
  return (
    (type === ETH_IPV4_HIGH && b[start + 23] === IP_TCP) ||
    (type === ETH_IPV6_HIGH && b[start + 20] === IP_TCP)
  );
}

/** Puts the VLAN tag back, which the kernel has taken out of the frame and tells beside it. */
function pushTag(packet: Packet, status: number, tci: number, tpid: number): void {
  const type = (status & TP_STATUS_VLAN_TPID_VALID) !== 0 ? tpid : ETH_VLAN;
  const b = packet.buffer;
  const start = packet.start - 4;
  for (let i = 0; i < 12; i++) b[start + i] = b[start + 4 + i]!;
  b[start + 12] = type >>> 8;
  b[start + 13] = type;
  b[start + 14] = tci >>> 8;
  b[start + 15] = tci;
  packet.start = start;
}
