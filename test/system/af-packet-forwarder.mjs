// Two devices joined by packet sockets that get no memory for rings, for a test in a network namespace: what comes in by
// the first named leaves by the other, and the reverse. It says "ready", ends at the end of its input, and says what was
// counted.
import { AfPacketNetdev } from "../../packages/switch/dist/netdev/af-packet.js";
import { loadLibc } from "../../packages/switch/dist/netdev/libc.js";
import { RxRing } from "../../packages/switch/dist/netdev/rx-ring.js";

const SOL_PACKET = 263;
const RINGS = [5, 13]; // PACKET_RX_RING, PACKET_TX_RING
const POLLIN = 1;

const libc = loadLibc();
/** As where the kernel has no memory left. */
const poor = {
  ...libc,
  setsockopt: (fd, level, option, value, size) =>
    level === SOL_PACKET && RINGS.includes(option) ? -1 : libc.setsockopt(fd, level, option, value, size),
};
const ring = new RxRing(poor);
const devices = process.argv.slice(2, 4).map((name) => new AfPacketNetdev(poor, ring, name));
const pollfds = Int32Array.from(devices.flatMap(({ fd }) => [fd, POLLIN]));
const address = libc.addressOf(pollfds.buffer);

let isRunning = true;
process.stdin.on("end", () => {
  isRunning = false;
});
process.stdin.resume();
console.log("ready");
while (isRunning) {
  if (libc.poll(address, devices.length, 20) > 0)
    for (const [i, device] of devices.entries()) {
      const other = devices[1 - i];
      device.receive(
        (packet) => other.send(packet),
        () => other.flush(),
      );
    }
  await new Promise(setImmediate);
}
console.log(JSON.stringify(devices.map(({ stats }) => stats)));
for (const device of devices) device.close();
