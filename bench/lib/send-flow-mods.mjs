// Adds flows by OpenFlow 1.3 as a controller does, without waiting for each:
//   node send-flow-mods.mjs SOCKET COUNT PRIORITY
// COUNT flow_mods for UDP from 10.1.0.0 on, a barrier after each hundred; prints the ms until the last is answered.
import { once } from "node:events";
import { connect } from "node:net";
import { encode } from "@sluice/openflow-codec";

const [path, count, priority] = process.argv.slice(2);
const BARRIER_EVERY = 100;
const OFPT_BARRIER_REPLY = 21;

const messages = [];
for (let i = 0; i < Number(count); i++) {
  const ipv4_src = `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
  const match = { eth_type: 0x0800, ip_proto: 17, ipv4_src, udp_dst: 1 };
  messages.push(
    encode({ type: "OFPT_FLOW_MOD", xid: i, command: "OFPFC_ADD", priority: Number(priority), match }),
  );
  if ((i + 1) % BARRIER_EVERY === 0) messages.push(encode({ type: "OFPT_BARRIER_REQUEST", xid: i }));
}
const bytes = Buffer.concat(messages);

const socket = connect(path);
await once(socket, "connect");
socket.write(encode({ type: "OFPT_HELLO", xid: 0, elements: [] }));
let rest = Buffer.alloc(0);
let replies = 0;
const wanted = Math.floor(Number(count) / BARRIER_EVERY);
const begun = performance.now();
const done = new Promise((resolve, reject) => {
  socket.on("error", reject);
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 8 && rest.length >= rest.readUInt16BE(2)) {
      const type = rest[1];
      if (type === 1) reject(new Error(`the switch answers with an error: ${rest.toString("hex")}`));
      if (type === 2)
        socket.write(Buffer.concat([Buffer.from([4, 3]), rest.subarray(2, rest.readUInt16BE(2))]));
      if (type === OFPT_BARRIER_REPLY && ++replies === wanted) resolve();
      rest = rest.subarray(rest.readUInt16BE(2));
    }
  });
});
socket.write(bytes);
await done;
process.stdout.write(`${performance.now() - begun}\n`);
socket.destroy();
