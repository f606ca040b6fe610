import { expect, test } from "vitest";
import { ENETDOWN, ENOBUFS, type Libc } from "./libc.js";
import { NetdevCounters } from "./netdev.js";
import { GSO_TCPV4, GSO_UDP_L4, HEADROOM, NEEDS_CSUM, Packet, VNET_HDR_SIZE } from "./packet.js";
import { SendRing } from "./send-ring.js";

const PLACE = 512;
const PLACES = 128;
const AVAILABLE = 0;
const SEND_REQUEST = 1;
const SENDING = 2;
const WRONG_FORMAT = 4;

/** A ring beside a kernel that takes frames as packet(7) says: from where it stopped, in order, for as long as it has
 *  room, and no longer than `longest`. With `keeps` it is not done with those that it has taken; with `wasDown` it tells
 *  that first. */
function open() {
  const memory = new DataView(new ArrayBuffer(PLACE * PLACES));
  const kernel = { room: Infinity, keeps: false, longest: 1514, calls: 0, wasDown: false, isOpen: true };
  const taken: { header: Uint8Array; frame: Uint8Array }[] = [];
  let head = 0;
  let errno = 0;
  const libc: Partial<Libc> = {
    socket: () => 7,
    setsockopt: () => 0,
    bind: () => 0,
    mapShared: (_, size) => (size === memory.byteLength ? 4096 : undefined),
    view: () => memory.buffer as ArrayBuffer,
    sendto: () => {
      kernel.calls++;
      errno = kernel.wasDown ? ENETDOWN : ENOBUFS;
      const { wasDown } = kernel;
      kernel.wasDown = false;
      if (wasDown) return -1;
      for (;;) {
        const at = (head % PLACES) * PLACE;
        if (memory.getUint32(at, true) !== SEND_REQUEST) return 0;
        const size = memory.getUint32(at + 4, true);
        if (size - VNET_HDR_SIZE > kernel.longest) memory.setUint32(at, WRONG_FORMAT, true);
        if (size - VNET_HDR_SIZE > kernel.longest || kernel.room === 0) return -1;
        const bytes = new Uint8Array(memory.buffer, at + 32, size).slice();
        taken.push({ header: bytes.subarray(0, VNET_HDR_SIZE), frame: bytes.subarray(VNET_HDR_SIZE) });
        memory.setUint32(at, kernel.keeps ? SENDING : AVAILABLE, true);
        kernel.room--;
        head++;
      }
    },
    errno: () => errno,
    unmap: () => undefined,
    close: () => {
      kernel.isOpen = false;
      return 0;
    },
  };
  const done = (): void => {
    for (let i = 0; i < PLACES; i++)
      if (memory.getUint32(i * PLACE, true) === SENDING) memory.setUint32(i * PLACE, AVAILABLE, true);
  };
  return { ring: SendRing.open(libc as Libc, 3)!, kernel, taken, done, stats: new NetdevCounters() };
}

/** A packet that begins at `start` with bytes that tell where each belongs. */
function packetOf(size: number, start = HEADROOM): Packet {
  const packet = new Packet();
  packet.reset(start, start + size);
  for (let i = 0; i < size; i++) packet.buffer[start + i] = (i * 7 + size) & 0xff;
  return packet;
}

test("frames leave as they are, wherever they begin, and are told to be of headers alone", () => {
  const { ring, taken, stats } = open();
  const sizes = [14, 15, 42, 60, 61, 64, 255, 256];
  let bytes = 0;
  for (let start = HEADROOM; start < HEADROOM + 4; start++) {
    for (const size of sizes) {
      const packet = packetOf(size, start);
      expect(ring.put(packet)).toBe(true);
      // It has been copied: what becomes of it is of no matter.
      packet.buffer.fill(0);
      bytes += size;
    }
    ring.flush(stats);
  }
  expect(taken.map(({ frame }) => frame)).toEqual(
    [0, 1, 2, 3].flatMap(() => sizes.map((size) => packetOf(size).frame())),
  );
  for (const { header, frame } of taken)
    expect([...header]).toEqual([0, 0, frame.length & 0xff, frame.length >>> 8, 0, 0, 0, 0, 0, 0]);
  expect(stats).toMatchObject({ tx_packets: taken.length, tx_bytes: bytes, tx_dropped: 0, tx_errors: 0 });
});

test("an unfinished checksum is told of; super-frames and long frames are not taken", () => {
  const { ring, taken, stats } = open();
  const packet = packetOf(60);
  packet.csumStart = packet.start + 34;
  packet.csumOffset = 6;
  expect(ring.put(packet)).toBe(true);
  expect(ring.put(packetOf(257))).toBe(false);
  for (const gsoType of [GSO_TCPV4, GSO_UDP_L4]) {
    const superFrame = packetOf(200);
    superFrame.gsoType = gsoType;
    expect(ring.put(superFrame)).toBe(false);
  }
  ring.flush(stats);
  expect([...taken[0]!.header]).toEqual([NEEDS_CSUM, 0, 60, 0, 0, 0, 34, 0, 6, 0]);
  expect(taken[0]!.frame).toEqual(packetOf(60).frame());
  expect(taken).toHaveLength(1);
});

test("what the kernel has no room for is dropped and counted, and the next frames leave", () => {
  const { ring, kernel, taken, stats } = open();
  for (let round = 0; round < 50; round++) {
    kernel.room = round % 6;
    for (let i = 0; i < 5; i++) expect(ring.put(packetOf(60 + i))).toBe(true);
    ring.flush(stats);
    expect(ring.pending).toBe(0);
  }
  const rooms = Array.from({ length: 50 }, (_, round) => round % 6);
  expect(taken.map(({ frame }) => frame.length)).toEqual(
    rooms.flatMap((room) => [60, 61, 62, 63, 64].slice(0, room)),
  );
  expect(stats.tx_packets).toBe(taken.length);
  expect(stats.tx_dropped).toBe(50 * 5 - taken.length);
  expect(stats.tx_bytes).toBe(taken.reduce((sum, { frame }) => sum + frame.length, 0));
});

test("what is sent first when the device is up again leaves", () => {
  const { ring, kernel, taken, stats } = open();
  kernel.wasDown = true;
  ring.put(packetOf(60));
  ring.flush(stats);
  expect(taken).toHaveLength(1);
  expect(stats).toMatchObject({ tx_packets: 1, tx_bytes: 60, tx_dropped: 0 });
});

test("a frame that the device does not take is an error of its own, and the ring goes on", () => {
  const { ring, kernel, taken, stats } = open();
  kernel.longest = 100;
  for (const size of [60, 101, 62]) expect(ring.put(packetOf(size))).toBe(true);
  ring.flush(stats);
  expect(stats).toMatchObject({ tx_packets: 1, tx_bytes: 60, tx_errors: 1, tx_dropped: 1 });
  expect(ring.put(packetOf(63))).toBe(true);
  ring.flush(stats);
  expect(taken.map(({ frame }) => frame.length)).toEqual([60, 63]);
});

test("a place that the kernel is not done with is not used again", () => {
  const { ring, kernel, taken, done, stats } = open();
  kernel.keeps = true;
  for (let i = 0; i < PLACES; i++) {
    expect(ring.put(packetOf(60))).toBe(true);
    if (i % 64 === 63) ring.flush(stats);
  }
  expect(ring.put(packetOf(61))).toBe(false);
  ring.flush(stats);
  done();
  expect(ring.put(packetOf(62))).toBe(true);
  ring.flush(stats);
  expect(taken).toHaveLength(PLACES + 1);
  expect(taken.at(-1)!.frame).toEqual(packetOf(62).frame());
  ring.close();
  expect(kernel.isOpen).toBe(false);
});
