// One case of the bench "memory", in a process of its own: the datapath in this thread, between two dummy ports.
//   node --expose-gc in-memory.mjs '{"flows": 1000, "masks": 1, "actions": "output", "seconds": 3}'
// Prints as JSON: ns of CPU a packet, ns by stage, the share of the exact-match cache, collections, bytes a flow.
import { PerformanceObserver } from "node:perf_hooks";
import { realClock } from "@sluice/runtime";
import { createUserspaceDpif, DummyHub } from "@sluice/switch";
import { extract, Layers } from "../../packages/switch/dist/flow/extract.js";
import { newFlowKey } from "../../packages/switch/dist/flow/flow-key.js";
import { matchToKey } from "../../packages/switch/dist/flow/match.js";

const { flows, masks, actions, seconds } = JSON.parse(process.argv[2]);
/** Frames that come at the same time: the clock is read once for all, and a number of it is garbage. */
const BURST = 1024;
const WARM_UP_MS = 1000;
const SOURCE = 26;
const ROUTE = [
  { type: "set_field", field: "eth_src", value: Buffer.from("020000000099", "hex") },
  { type: "set_field", field: "eth_dst", value: Buffer.from("020000000098", "hex") },
  { type: "set_field", field: "nw_ttl", value: Buffer.of(63) },
];
const ACTIONS = { output: [], route: ROUTE, "push VLAN": [{ type: "push_vlan", tpid: 0x8100, tci: 0x1005 }] };

/** A UDP packet of 60 bytes (64 with the FCS); flows differ in its source address. */
const FRAME = Uint8Array.from(
  Buffer.from(
    "0200000000020200000000010800" +
      "4500002e00004000401126bd0a0000010a000002" +
      "04000009001a0000".padEnd(52, "0"),
    "hex",
  ),
);
function setFlow(frame, flow) {
  frame[SOURCE + 1] = flow >>> 16;
  frame[SOURCE + 2] = flow >>> 8;
  frame[SOURCE + 3] = flow;
}

const collections = [];
new PerformanceObserver((list) => collections.push(...list.getEntries())).observe({ entryTypes: ["gc"] });
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));
function bytesInUse() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const dummies = new DummyHub();
const log = { info() {}, warn() {} };
const dpif = createUserspaceDpif({ clock: realClock, log, host: "inline", dummies });
const [inside, outside] = await Promise.all(
  ["p1", "p2"].map((name) => dpif.portAdd({ name, type: "dummy", options: {} })),
);
dpif.events.on("upcall", () => {
  throw new Error("a packet matched no flow");
});

const { mask } = matchToKey({ in_port: 1, eth_type: 0x0800, ip_proto: 17, ipv4_src: "10.0.0.0" });
const PORTS_LANE = 9;
const before = bytesInUse();
for (let flow = 0; flow < flows; flow++) {
  const frame = FRAME.slice();
  setFlow(frame, flow);
  const key = newFlowKey();
  extract(frame, 0, frame.length, key, new Layers());
  key[0] = inside.odpPort;
  // Masks differ in how many bits of the ports they look at.
  const own = mask.slice();
  own[PORTS_LANE] = Math.imul(flow % masks, 0x0101_0101) >>> 0;
  dpif.flowPut({
    id: flow + 1,
    key,
    mask: own,
    actions: [...ACTIONS[actions], { type: "output", port: outside.odpPort }],
  });
}
const bytesPerFlow = Math.max(0, Math.round((bytesInUse() - before) / flows));

const cable = dummies.port("p1");
const burst = Array.from({ length: BURST }, () => FRAME.slice());
let random = 0x2545_f491 | 0;
/** Bursts for `ms`; gives how many packets. */
function run(ms) {
  const end = realClock.now() + ms;
  let packets = 0;
  while (realClock.now() < end) {
    for (let i = 0; i < 4; i++) {
      for (let j = 0; j < BURST; j++) {
        random ^= random << 13;
        random ^= random >>> 17;
        random ^= random << 5;
        setFlow(burst[j], (random >>> 1) % flows);
      }
      packets += cable.receiveAll(burst);
    }
  }
  return packets;
}

run(WARM_UP_MS);
await turn();
globalThis.gc();
const [earlier] = await dpif.threadCounters();
const begun = performance.now();
const cpu = process.cpuUsage();
const packets = run(seconds * 1000);
const { user, system } = process.cpuUsage(cpu);
const ended = performance.now();
await turn();
const [later] = await dpif.threadCounters();
const since = (name) => later[name] - earlier[name];
const stages = Object.fromEntries(
  ["receive", "parse", "emc", "smc", "megaflow", "actions", "send"].map((stage) => [
    stage,
    since(`sampled_${stage}_ns`) / since("sampled_packets"),
  ]),
);
process.stdout.write(
  JSON.stringify({
    nsPerPacket: ((user + system) * 1000) / packets,
    packetsPerSecond: packets / seconds,
    emcShare: since("emc_hits") / since("packets"),
    smcShare: since("smc_hits") / since("packets"),
    probes: since("megaflow_probes") / Math.max(1, since("megaflow_lookups")),
    collections: collections.filter(({ startTime }) => startTime >= begun && startTime < ended).length,
    bytesPerFlow,
    stages,
  }),
);
await dpif.destroy();
