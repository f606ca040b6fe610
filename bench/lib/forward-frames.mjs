// Forwards all frames from each of two devices to the other by the switch's sockets, with no pipeline between:
//   node forward-frames.mjs DEVICE DEVICE [xdp]
// By AF_XDP (native mode) nothing is done but to move descriptors, and less often than they come, as the switch's thread
// does. It ends by a signal.
import { AfPacketNetdev } from "../../packages/switch/dist/netdev/af-packet.js";
import { AfXdpNetdev } from "../../packages/switch/dist/netdev/af-xdp.js";
import { loadLibc } from "../../packages/switch/dist/netdev/libc.js";
import { RxRing } from "../../packages/switch/dist/netdev/rx-ring.js";
import { XdpArena } from "../../packages/switch/dist/netdev/xdp-arena.js";

const POLLIN = 1;
const NICE = -10;
const PR_SET_TIMERSLACK = 29;
/** Frames from which, and up to which, a pause follows, and its µs. */
const PAUSE_FROM = 8;
const PAUSE_BELOW = 32;
const PAUSE_US = 20;

const libc = loadLibc();
const names = process.argv.slice(2, 4);
const byXdp = process.argv[4] === "xdp";
const memory = byXdp ? new XdpArena(libc) : new RxRing(libc);
const devices = names.map((name) =>
  byXdp ? new AfXdpNetdev(libc, memory, name, "native") : new AfPacketNetdev(libc, memory, name),
);
libc.setpriority(0, 0, NICE);
libc.prctl(PR_SET_TIMERSLACK, 1000);
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

let came = 0;
for (;;) {
  if (byXdp && came >= PAUSE_FROM && came < PAUSE_BELOW) libc.usleep(PAUSE_US);
  libc.poll(address, devices.length, -1);
  came = 0;
  for (let i = 0; i < ways.length; i++) {
    const { from, send, flush } = ways[i];
    if (pollfds[i * 2 + 1] >>> 16 !== 0) came += from.receive(send, flush);
  }
}
