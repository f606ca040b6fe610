// Passes frames between two interfaces and does nothing else, as nice as the thread of Sluice's datapath:
//   node bare-bridge.mjs INTERFACE INTERFACE
// What a packet waits for here it waits for in any user-space switch on this machine at this time. Runs until it is
// killed, in the namespace of the interfaces.
import { setPriority } from "node:os";
import koffi from "koffi";

const NICE = -10;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL_BE = 0x0300;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const POLLIN = 1;

setPriority(NICE);
const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)");
const bind = libc.func("int bind(int, void *, uint32_t)");
const setsockopt = libc.func("int setsockopt(int, int, int, void *, uint32_t)");
const poll = libc.func("int poll(void *, unsigned long, int)");
const recv = libc.func("intptr_t recv(int, void *, uintptr_t, int)");
const send = libc.func("intptr_t send(int, void *, uintptr_t, int)");
const ifNameToIndex = libc.func("uint32_t if_nametoindex(const char *)");

const sockets = process.argv.slice(2, 4).map((device) => {
  const fd = socket(AF_PACKET, SOCK_RAW, 0);
  const one = Buffer.from([1, 0, 0, 0]);
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16LE(ETH_P_ALL_BE, 2);
  address.writeInt32LE(ifNameToIndex(device), 4);
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, one, 4) !== 0 || bind(fd, address, 20) !== 0)
    throw new Error(`cannot open ${device}`);
  return fd;
});
const polled = Buffer.alloc(16);
for (const [i, fd] of sockets.entries()) {
  polled.writeInt32LE(fd, 8 * i);
  polled.writeInt16LE(POLLIN, 8 * i + 4);
}
const frame = Buffer.alloc(65_536);
process.stdout.write("ready\n");
for (;;) {
  poll(polled, 2, -1);
  for (const [i, fd] of sockets.entries()) {
    if (polled.readInt16LE(8 * i + 6) === 0) continue;
    const size = recv(fd, frame, frame.length, 0);
    if (size > 0) send(sockets[1 - i], frame, size, 0);
  }
}
