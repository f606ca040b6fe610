import { describe, expect, test } from "vitest";
import { type CapturedFrame, readCapture } from "./capture-file.js";
import { type CapturedMessage, Conversations } from "./conversation.js";
import { type Segment, segmentOf } from "./segment.js";

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function frames(bytes: Uint8Array, chunk = bytes.length): Promise<CapturedFrame[]> {
  const all: CapturedFrame[] = [];
  for await (const frame of readCapture(inChunks(bytes, chunk)))
    all.push({ ...frame, data: Uint8Array.from(frame.data) });
  return all;
}

/** Fields of 16 and 32 bits and bytes, in one order of bytes. */
class Writer {
  #parts: Uint8Array[] = [];
  readonly #little: boolean;
  constructor(little: boolean) {
    this.#little = little;
  }
  u16(...values: number[]): this {
    for (const value of values) this.#put(2, (view) => view.setUint16(0, value, this.#little));
    return this;
  }
  u32(...values: number[]): this {
    for (const value of values) this.#put(4, (view) => view.setUint32(0, value, this.#little));
    return this;
  }
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }
  #put(size: number, set: (view: DataView) => void): void {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    this.#parts.push(bytes);
  }
  bytes(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.#parts));
  }
}

const pcap = (little: boolean, magic: number, linkType: number, data: Uint8Array): Uint8Array =>
  new Writer(little)
    .u32(magic)
    .u16(2, 4)
    .u32(0, 0, 65535, linkType)
    .u32(1000, 5, data.length, data.length)
    .raw(data)
    .bytes();

const padded = (bytes: Uint8Array): Uint8Array => {
  const whole = new Uint8Array((bytes.length + 3) & ~3);
  whole.set(bytes);
  return whole;
};

function block(little: boolean, type: number, body: Uint8Array): Uint8Array {
  const size = 12 + body.length;
  return new Writer(little).u32(type, size).raw(body).u32(size).bytes();
}

/** A section with one interface whose clock ticks in nanoseconds, an unknown block, and one frame. */
function pcapng(little: boolean, data: Uint8Array): Uint8Array {
  const section = new Writer(little).u32(0x1a2b3c4d).u16(1, 0).u32(0xffffffff, 0xffffffff).bytes();
  const resolution = new Writer(little)
    .u16(9, 1)
    .raw(Uint8Array.of(9, 0, 0, 0))
    .u16(0, 0)
    .bytes();
  const iface = new Writer(little).u16(1, 0).u32(0).raw(resolution).bytes();
  const time = 1_000_000_005_000n;
  const packet = new Writer(little)
    .u32(0, Number(time >> 32n), Number(time & 0xffffffffn), data.length, data.length)
    .raw(padded(data))
    .bytes();
  return Buffer.concat([
    block(little, 0x0a0d0d0a, section),
    block(little, 1, iface),
    block(little, 0x0bad, Uint8Array.of(1, 2, 3, 4)),
    block(little, 6, packet),
  ]);
}

const DATA = Uint8Array.of(1, 2, 3, 4, 5);
const TIME = 1_000_000_005_000n;

describe("capture files", () => {
  test.each([
    ["big-endian", false],
    ["little-endian", true],
  ])("%s pcap and pcapng, in any chunking", async (_, little) => {
    const wanted = [{ time: TIME, linkType: 1, data: DATA }];
    for (const chunk of [1, 7, 4096]) {
      expect(await frames(pcap(little, 0xa1b2c3d4, 1, DATA), chunk)).toEqual(wanted);
      expect(await frames(pcapng(little, DATA), chunk)).toEqual(wanted);
    }
    expect((await frames(pcap(little, 0xa1b23c4d, 1, DATA)))[0]!.time).toBe(1_000_000_000_005n);
  });

  test("a section may follow in the other order of bytes", async () => {
    const both = Buffer.concat([pcapng(true, DATA), pcapng(false, DATA)]);
    expect(await frames(both)).toHaveLength(2);
  });

  test("a file that is cut off ends at its last whole frame, wherever the cut is", async () => {
    for (const file of [pcap(true, 0xa1b2c3d4, 1, DATA), pcapng(true, DATA)])
      for (let end = 24; end < file.length; end++) expect(await frames(file.subarray(0, end))).toEqual([]);
  });

  test("what is no capture, or says impossible sizes, is refused in one line", async () => {
    await expect(frames(Buffer.from("hello world"))).rejects.toThrow("not a pcap or pcapng file");
    const huge = pcap(true, 0xa1b2c3d4, 1, DATA);
    new DataView(huge.buffer).setUint32(32, 0x7fffffff, true);
    await expect(frames(huge)).rejects.toThrow("the file is damaged");
    const bad = Buffer.concat([pcapng(true, DATA), Buffer.from("0600000003000000", "hex")]);
    await expect(frames(bad)).rejects.toThrow("bad pcapng block length 3");
    expect(await frames(new Uint8Array(0))).toEqual([]);
  });
});

/** An IPv4 TCP packet with a payload. */
function tcpPacket(payload: Uint8Array, { seq = 1, flags = 0x18 } = {}): Uint8Array {
  const bytes = new Uint8Array(40 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x45;
  view.setUint16(2, bytes.length);
  bytes[8] = 64;
  bytes[9] = 6;
  bytes.set([10, 0, 0, 1], 12);
  bytes.set([10, 0, 0, 2], 16);
  view.setUint16(20, 40000);
  view.setUint16(22, 6653);
  view.setUint32(24, seq);
  bytes[32] = 0x50;
  bytes[33] = flags;
  bytes.set(payload, 40);
  return bytes;
}

const prefixed = (hex: string, packet: Uint8Array): Uint8Array =>
  Uint8Array.from(Buffer.concat([Buffer.from(hex, "hex"), packet]));

describe("segments", () => {
  const packet = tcpPacket(DATA);
  test.each([
    ["Ethernet", 1, prefixed("0000000000010000000000020800", packet)],
    ["Ethernet with two VLAN tags", 1, prefixed("00000000000100000000000288a80007810000050800", packet)],
    ["raw IP", 101, packet],
    ["Linux cooked", 113, prefixed("00000001000600000000000100000800", packet)],
    ["Linux cooked v2", 276, prefixed("0800000000000001000100060000000000010000", packet)],
    ["BSD loopback", 0, prefixed("02000000", packet)],
  ])("are found in %s frames", (_, linkType, frame) => {
    expect(segmentOf(linkType, frame)).toEqual({
      src: "10.0.0.1:40000",
      dst: "10.0.0.2:6653",
      seq: 1,
      syn: false,
      fin: false,
      rst: false,
      payload: DATA,
      missing: 0,
    });
  });

  test("frames cut off anywhere give no error", () => {
    const frame = prefixed("0000000000010000000000020800", packet);
    for (let end = 0; end < frame.length; end++) segmentOf(1, frame.subarray(0, end));
    expect(segmentOf(1, frame.subarray(0, frame.length - 2))).toMatchObject({ missing: 2 });
  });

  test("Ethernet's padding is no payload", () => {
    const frame = prefixed(
      "0000000000010000000000020800",
      Buffer.concat([tcpPacket(new Uint8Array(0)), Buffer.alloc(6)]),
    );
    expect(segmentOf(1, frame)!.payload).toHaveLength(0);
  });
});

const hello = (xid: number): Uint8Array => Uint8Array.of(4, 0, 0, 8, 0, 0, 0, xid);
const echo = (xid: number, size: number): Uint8Array => {
  const bytes = new Uint8Array(8 + size);
  bytes.set([4, 2, (8 + size) >> 8, (8 + size) & 0xff, 0, 0, 0, xid]);
  return bytes;
};
const segment = (seq: number, payload: Uint8Array, more: Partial<Segment> = {}): Segment => ({
  src: "10.0.0.1:40000",
  dst: "10.0.0.2:6653",
  seq: seq >>> 0,
  syn: false,
  fin: false,
  rst: false,
  payload,
  missing: 0,
  ...more,
});

function messages(segments: readonly Segment[]): CapturedMessage[] {
  const conversations = new Conversations();
  return [...segments.flatMap((each, i) => conversations.push(each, BigInt(i))), ...conversations.end(99n)];
}
const xids = (found: readonly CapturedMessage[]): number[] => found.map(({ bytes }) => bytes[7]!);

describe("conversations", () => {
  const stream = Buffer.concat([hello(1), echo(2, 100), echo(3, 5)]);
  const cut = (start: number, size: number): Segment[] => {
    const parts: Segment[] = [];
    for (let at = 0; at < stream.length; at += size)
      parts.push(segment(start + at, Uint8Array.from(stream.subarray(at, at + size))));
    return parts;
  };

  test("segments of any size, in any order, twice over, give the messages once and in order", () => {
    // The numbers wrap around within the stream.
    for (const start of [1, 0xffffffd0])
      for (const size of [1, 9, 40, 1000]) {
        const parts = cut(start, size);
        const syn = segment(start - 1, new Uint8Array(0), { syn: true });
        expect(xids(messages([syn, ...parts]))).toEqual([1, 2, 3]);
        expect(xids(messages([syn, ...parts.toReversed()]))).toEqual([1, 2, 3]);
        expect(xids(messages([syn, ...parts, ...parts]))).toEqual([1, 2, 3]);
      }
  });

  test("overlapping segments are not read twice", () => {
    const bytes = Uint8Array.from(stream);
    expect(xids(messages([segment(0, bytes.subarray(0, 30)), segment(10, bytes.subarray(10))]))).toEqual([
      1, 2, 3,
    ]);
  });

  test("a message has the time of the segment that completed it, and both ends", () => {
    expect(messages(cut(0, 60))[1]).toMatchObject({ time: 1n, src: "10.0.0.1:40000", dst: "10.0.0.2:6653" });
  });

  test("after a hole it goes on at the next segment that starts with a message", () => {
    const lost = [segment(0, hello(1)), segment(500, echo(2, 4).subarray(5)), segment(600, echo(3, 4))];
    expect(xids(messages(lost))).toEqual([1, 3]);
    const cutOff = [
      segment(0, hello(1)),
      segment(8, echo(2, 100).subarray(0, 20), { missing: 88 }),
      segment(116, hello(3)),
    ];
    expect(xids(messages(cutOff))).toEqual([1, 3]);
  });

  test("what waits ahead of a hole is bounded", () => {
    const conversations = new Conversations();
    conversations.push(segment(0, hello(1)), 0n);
    let found = 0;
    for (let i = 0; i < 5000; i++)
      found += conversations.push(segment(100 + i * 12, echo(i & 0xff, 4)), 0n).length;
    expect(found).toBeGreaterThan(0);
  });

  test("connections that are no OpenFlow are passed over", () => {
    const http = Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const tls = Buffer.from("1603010200010001fc0303", "hex");
    expect(messages([segment(0, http), segment(http.length, tls)])).toEqual([]);
    expect(messages([segment(0, tls)])).toEqual([]);
  });

  test("a port used again is a new connection", () => {
    const again = [
      segment(99, new Uint8Array(0), { syn: true }),
      segment(100, hello(1)),
      segment(7_000_000, new Uint8Array(0), { syn: true }),
      segment(7_000_001, hello(2)),
    ];
    expect(xids(messages(again))).toEqual([1, 2]);
  });
});
