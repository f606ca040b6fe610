// Sends 60-byte UDP frames (64 with the FCS) through an AF_PACKET socket, as fast as one thread can or at a rate:
//   node send-frames.mjs INTERFACE DESTINATION_MAC SECONDS FLOWS [KIND [RATE]]
// KIND says in what flows differ: "ports" (source ports, then addresses), "hosts" (source addresses), "macs" (those of Ethernet) or
// "all" (IP addresses and both ports, at random but the same in each run; "all:2" are others). Prints the number sent. Runs in the sending
// host's namespace.
import koffi from "koffi";

const [device, destination, seconds, flows, kinds = "ports", rate = "Infinity"] = process.argv.slice(2);
const [kind, seed = 0] = kinds.split(":");
const BATCH = 64;
const FRAME_SIZE = 60;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const ENOBUFS = 105;
const MMSGHDR_SIZE = 64;
const IOVEC_SIZE = 16;

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)");
const bind = libc.func("int bind(int, void *, uint32_t)");
const sendmmsg = libc.func("int sendmmsg(int, intptr_t, uint32_t, int)");
const ifNameToIndex = libc.func("uint32_t if_nametoindex(const char *)");
const mmap = libc.func("intptr_t mmap(intptr_t, size_t, int, int, int, long)");

const index = ifNameToIndex(device);
if (index === 0) throw new Error(`no interface ${device}`);
const fd = socket(AF_PACKET, SOCK_RAW, 0);
if (fd < 0) throw new Error("no AF_PACKET socket: needs CAP_NET_RAW");
const address = Buffer.alloc(20);
address.writeUInt16LE(AF_PACKET, 0);
address.writeInt32LE(index, 4);
if (bind(fd, address, address.length) !== 0) throw new Error(`cannot bind to ${device}`);

// One mapping holds the frames of all flows, then batches of mmsghdr and iovec that point into it.
const flowCount = Math.ceil(Number(flows) / BATCH) * BATCH;
const size = flowCount * (FRAME_SIZE + MMSGHDR_SIZE + IOVEC_SIZE) + 4096;
const base = Number(mmap(0, size, 3, 0x22, -1, 0));
const memory = Buffer.from(koffi.view(base, size));
const headersAt = flowCount * FRAME_SIZE;
const iovecsAt = headersAt + flowCount * MMSGHDR_SIZE;

let random = 0x2545_f491 + Number(seed);
const next = () => {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return random >>> 0;
};
const PORTS = 50_000;
const differ = {
  ports(at, flow) {
    memory.writeUInt8(1 + Math.floor(flow / PORTS), at + 28); // 10.0.N.1
    memory.writeUInt16BE(1024 + (flow % PORTS), at + 34);
    memory.writeUInt16BE(9, at + 36);
  },
  hosts(at, flow) {
    memory.writeUInt32BE(0x0a01_0000 + flow, at + 26); // 10.1.0.0 and on
    memory.writeUInt16BE(1024, at + 34);
    memory.writeUInt16BE(9, at + 36);
  },
  macs(at, flow) {
    memory.writeUInt32BE(0x1000_0000 + flow, at + 8);
    memory.writeUInt16BE(1024, at + 34);
    memory.writeUInt16BE(9, at + 36);
  },
  all(at) {
    memory.writeUInt32BE(next(), at + 26);
    memory.writeUInt32BE(0x0a00_0000 + (next() & 0x3ff), at + 30); // one of 1,024 destinations
    memory.writeUInt16BE(1024 + (next() % 60_000), at + 34);
    memory.writeUInt16BE(next() & 0x3ff, at + 36);
  },
};

/** Sets the IPv4 header's checksum. */
function finishHeader(at) {
  memory.writeUInt16BE(0, at + 24);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += memory.readUInt16BE(at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  memory.writeUInt16BE(~sum & 0xffff, at + 24);
}

for (let flow = 0; flow < flowCount; flow++) {
  const frameAt = flow * FRAME_SIZE;
  Buffer.from(destination.replaceAll(":", ""), "hex").copy(memory, frameAt);
  Buffer.from("0200000000aa08004500002e000040004011", "hex").copy(memory, frameAt + 6);
  Buffer.from("26bd0a0000010a000002", "hex").copy(memory, frameAt + 24);
  differ[kind](frameAt, flow % Number(flows));
  finishHeader(frameAt);
  memory.writeUInt16BE(26, frameAt + 38); // UDP length; a zero checksum says that there is none
  memory.writeBigUInt64LE(BigInt(base + frameAt), iovecsAt + flow * IOVEC_SIZE);
  memory.writeBigUInt64LE(BigInt(FRAME_SIZE), iovecsAt + flow * IOVEC_SIZE + 8);
  memory.writeBigUInt64LE(BigInt(base + iovecsAt + flow * IOVEC_SIZE), headersAt + flow * MMSGHDR_SIZE + 16);
  memory.writeBigUInt64LE(1n, headersAt + flow * MMSGHDR_SIZE + 24);
}

const begun = performance.now();
const end = begun + Number(seconds) * 1000;
const perMs = Number(rate) / 1000;
let sent = 0;
let batch = 0;
for (;;) {
  const now = performance.now();
  if (now >= end) break;
  if (sent > (now - begun) * perMs) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    continue;
  }
  const count = sendmmsg(fd, base + headersAt + batch * BATCH * MMSGHDR_SIZE, BATCH, 0);
  if (count < 0 && koffi.errno() !== ENOBUFS) throw new Error(`sendmmsg: errno ${koffi.errno()}`);
  if (count > 0) sent += count;
  batch = (batch + 1) % (flowCount / BATCH);
}
process.stdout.write(`${sent}\n`);
