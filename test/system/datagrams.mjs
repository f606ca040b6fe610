// Datagrams of all lengths, some at a time, for a test in network namespaces:
//   node datagrams.mjs receive          says "ready" and sends each back as it came
//   node datagrams.mjs send ADDRESS     says how many came back whole and in order
import { createSocket } from "node:dgram";

const PORT = 9753;
const COUNT = 2000;
const AT_ONCE = 20;
const LONGEST = 1472;
const PATIENCE_MS = 20_000;

const [mode, address] = process.argv.slice(2);
const socket = createSocket("udp4");

/** Short and long ones in turn: of each length there are some. */
function datagram(number) {
  const size = 4 + (number % 3 === 0 ? (number * 7) % (LONGEST - 4) : (number * 5) % 260);
  const bytes = Buffer.alloc(size, number & 0xff);
  bytes.writeUInt32BE(number);
  return bytes;
}

if (mode === "receive") {
  socket.on("message", (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(PORT, () => console.log("ready"));
} else {
  let next = 0;
  const sendSome = () => {
    for (let i = next; i < Math.min(next + AT_ONCE, COUNT); i++) socket.send(datagram(i), PORT, address);
  };
  const timer = setTimeout(() => {
    console.log(`nothing after ${next}`);
    process.exit(1);
  }, PATIENCE_MS);
  socket.on("message", (bytes) => {
    if (!bytes.equals(datagram(next))) {
      console.log(`${next} came back as ${bytes.subarray(0, 4).toString("hex")}, ${bytes.length} bytes`);
      process.exit(1);
    }
    next++;
    if (next === COUNT) {
      console.log(`${COUNT} datagrams, all answered in order`);
      clearTimeout(timer);
      socket.close();
    } else if (next % AT_ONCE === 0) sendSome();
  });
  socket.bind(0, sendSome);
}
