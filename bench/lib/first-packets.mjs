// What the first packet of a flow takes longer than the second, by blocking sockets:
//   node first-packets.mjs echo                          answers UDP at port 7
//   node first-packets.mjs ADDRESS FIRST_PORT COUNT MS   asks it from COUNT source ports, one each MS ms, twice from each
// Prints a line a port: the first and the second round trip, µs. Runs in a host's namespace.
import koffi from "koffi";

const [address, firstPort, count, everyMs] = process.argv.slice(2);
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const PORT = 7;
const PAYLOAD = 18;

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)");
const bind = libc.func("int bind(int, void *, uint32_t)");
const setsockopt = libc.func("int setsockopt(int, int, int, void *, uint32_t)");
const sendto = libc.func("intptr_t sendto(int, void *, uintptr_t, int, void *, uint32_t)");
const recvfrom = libc.func("intptr_t recvfrom(int, void *, uintptr_t, int, void *, void *)");
const close = libc.func("int close(int)");

function addressOf(host, port) {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  for (const [i, part] of host.split(".").entries()) bytes[4 + i] = Number(part);
  return bytes;
}

function open(port) {
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  const own = addressOf("0.0.0.0", port);
  if (fd < 0 || bind(fd, own, own.length) !== 0) throw new Error(`no UDP socket at port ${port}`);
  return fd;
}

const buffer = Buffer.alloc(2048);
if (address === "echo") {
  const fd = open(PORT);
  const from = Buffer.alloc(16);
  const length = Buffer.alloc(4);
  process.stdout.write("ready\n");
  for (;;) {
    length.writeUInt32LE(from.length, 0);
    const size = recvfrom(fd, buffer, buffer.length, 0, from, length);
    if (size >= 0) sendto(fd, buffer, size, 0, from, from.length);
  }
}

const to = addressOf(address, PORT);
const timeout = Buffer.alloc(16);
timeout.writeBigInt64LE(1n, 0);
const sleeper = new Int32Array(new SharedArrayBuffer(4));
let lines = "";
for (let i = 0; i < Number(count); i++) {
  const fd = open(Number(firstPort) + i);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
  const times = [0, 0].map(() => {
    const begun = process.hrtime.bigint();
    sendto(fd, buffer, PAYLOAD, 0, to, to.length);
    return recvfrom(fd, buffer, buffer.length, 0, null, null) < 0
      ? Number.NaN
      : Number(process.hrtime.bigint() - begun) / 1000;
  });
  close(fd);
  lines += `${times.join(" ")}\n`;
  Atomics.wait(sleeper, 0, 0, Number(everyMs));
}
process.stdout.write(lines);
