import { CliError } from "../io.js";
import { ByteSource } from "./byte-source.js";

/** One captured frame. `time` is nanoseconds since 1970 (0n where the file has none); `data` may be cut short. */
export interface CapturedFrame {
  time: bigint;
  linkType: number;
  data: Uint8Array;
}

/** No frame or block of a real capture is longer; a longer one is a damaged file. */
const MAX_BLOCK = 16 << 20;

const PCAP_MAGIC: Readonly<Record<number, { little: boolean; nsPerTick: bigint }>> = {
  2712847316: { little: false, nsPerTick: 1000n },
  3569595041: { little: true, nsPerTick: 1000n },
  2712812621: { little: false, nsPerTick: 1n },
  1295823521: { little: true, nsPerTick: 1n },
};
const SECTION_HEADER = 0x0a0d0d0a;

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The frames of a pcap or pcapng file, as they come: a pipe from a running tcpdump is read live. A file that is cut
 *  off in the middle of a frame ends before it. Throws CliError for what is no capture file, and for a damaged one. */
export async function* readCapture(stream: AsyncIterable<Uint8Array>): AsyncGenerator<CapturedFrame> {
  const source = new ByteSource(stream);
  const start = await source.read(4);
  if (start.length === 0) return;
  const magic = start.length === 4 ? viewOf(start).getUint32(0) : 0;
  const pcap = PCAP_MAGIC[magic];
  if (pcap) yield* readPcap(source, pcap.little, pcap.nsPerTick);
  else if (magic === SECTION_HEADER) yield* readPcapng(source);
  else throw new CliError("not a pcap or pcapng file");
}

/** draft-ietf-opsawg-pcap: a file header, then frames. */
async function* readPcap(
  source: ByteSource,
  little: boolean,
  nsPerTick: bigint,
): AsyncGenerator<CapturedFrame> {
  const header = await source.read(20);
  if (header.length < 20) throw new CliError("the pcap file ends within its header");
  // The upper bits tell of frame check sequences.
  const linkType = viewOf(header).getUint32(16, little) & 0xffff;
  for (;;) {
    const record = await source.read(16);
    if (record.length < 16) return;
    const view = viewOf(record);
    const time =
      BigInt(view.getUint32(0, little)) * 1_000_000_000n + BigInt(view.getUint32(4, little)) * nsPerTick;
    const size = checkedSize(view.getUint32(8, little));
    const data = await source.read(size);
    if (data.length < size) return;
    yield { time, linkType, data };
  }
}

interface Interface {
  linkType: number;
  /** Ticks a second of its time stamps. */
  ticks: bigint;
}

const INTERFACE = 1;
const OLD_PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;

/** draft-ietf-opsawg-pcapng: blocks of (type, total length, body, total length), in sections that each choose the
 *  order of bytes and number their interfaces from 0. The first block's type has been read. */
async function* readPcapng(source: ByteSource): AsyncGenerator<CapturedFrame> {
  let little = false;
  let interfaces: Interface[] = [];
  for (let type = SECTION_HEADER; ; ) {
    const length = await source.read(4);
    if (length.length < 4) return;
    let bodyRead = 0;
    if (type === SECTION_HEADER) {
      const byteOrder = await source.read(4);
      bodyRead = byteOrder.length;
      little = byteOrder[0] === 0x4d;
      interfaces = [];
    }
    // The length covers the type and, twice, itself.
    const size = checkedSize(viewOf(length).getUint32(0, little));
    if (size < 12 + bodyRead || size % 4 !== 0) throw new CliError(`bad pcapng block length ${size}`);
    const rest = await source.read(size - 8 - bodyRead);
    if (rest.length < size - 8 - bodyRead) return;
    const body = rest.subarray(0, -4);
    if (type === INTERFACE) interfaces.push(interfaceOf(body, little));
    const frame = frameOf(type, body, little, interfaces);
    if (frame) yield frame;
    const nextType = await source.read(4);
    if (nextType.length < 4) return;
    // A section header's type reads the same in both orders of bytes.
    type = viewOf(nextType).getUint32(0, little);
  }
}

function interfaceOf(body: Uint8Array, little: boolean): Interface {
  if (body.length < 8) throw new CliError("bad pcapng interface block");
  const view = viewOf(body);
  return { linkType: view.getUint16(0, little), ticks: ticksOf(body.subarray(8), little) };
}

/** Option if_tsresol (9): a power of ten, or of two when its upper bit is set. Microseconds without it. */
function ticksOf(options: Uint8Array, little: boolean): bigint {
  const view = viewOf(options);
  for (let at = 0; at + 4 <= options.length; ) {
    const code = view.getUint16(at, little);
    const size = view.getUint16(at + 2, little);
    if (code === 0) break;
    if (code === 9 && size >= 1 && at + 4 < options.length) {
      const exponent = options[at + 4]!;
      return exponent & 0x80 ? 1n << BigInt(exponent & 0x7f) : 10n ** BigInt(exponent);
    }
    at += 4 + ((size + 3) & ~3);
  }
  return 1_000_000n;
}

function frameOf(
  type: number,
  body: Uint8Array,
  little: boolean,
  interfaces: readonly Interface[],
): CapturedFrame | undefined {
  const view = viewOf(body);
  if (type === SIMPLE_PACKET && body.length >= 4 && interfaces[0]) {
    const size = Math.min(view.getUint32(0, little), body.length - 4);
    return { time: 0n, linkType: interfaces[0].linkType, data: body.subarray(4, 4 + size) };
  }
  if ((type !== ENHANCED_PACKET && type !== OLD_PACKET) || body.length < 20) return undefined;
  const from = interfaces[type === ENHANCED_PACKET ? view.getUint32(0, little) : view.getUint16(0, little)];
  if (!from) throw new CliError("a pcapng frame names an interface that the file does not describe");
  const ticks = (BigInt(view.getUint32(4, little)) << 32n) | BigInt(view.getUint32(8, little));
  const size = Math.min(view.getUint32(12, little), body.length - 20);
  return {
    time: (ticks * 1_000_000_000n) / from.ticks,
    linkType: from.linkType,
    data: body.subarray(20, 20 + size),
  };
}

function checkedSize(size: number): number {
  if (size <= MAX_BLOCK) return size;
  throw new CliError(`a captured frame of ${size} bytes: the file is damaged`);
}
