// Forwards all frames from each of two devices to the other by the switch's packet sockets, with no pipeline between:
// node forward-frames.mjs DEVICE DEVICE. It ends by a signal.
import { AfPacketNetdev } from "../../packages/switch/dist/netdev/af-packet.js";
import { loadLibc } from "../../packages/switch/dist/netdev/libc.js";
import { RxRing } from "../../packages/switch/dist/netdev/rx-ring.js";

const POLLIN = 1;

const libc = loadLibc();
const ring = new RxRing(libc);
const devices = process.argv.slice(2).map((name) => new AfPacketNetdev(libc, ring, name));
// struct pollfd: fd, then events and revents.
const pollfds = new Int32Array(new ArrayBuffer(8 * devices.length));
devices.forEach(({ fd }, i) => {
  pollfds[i * 2] = fd;
  pollfds[i * 2 + 1] = POLLIN;
});
const address = libc.addressOf(pollfds.buffer);
const ways = devices.map((from, i) => {
  const to = devices[1 - i];
  return { from, send: (packet) => to.send(packet), flush: () => to.flush() };
});

for (;;) {
  libc.poll(address, devices.length, -1);
  for (const [i, { from, send, flush }] of ways.entries())
    if (pollfds[i * 2 + 1] >>> 16 !== 0) from.receive(send, flush);
}
