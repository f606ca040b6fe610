// A datapath with nothing above it, for tests in a network namespace: ports and flows come as JSON in the first
// argument, `{ ports: [{ name, type }], flows: [{ in_port, actions, match? }] }`. Ports are numbered from 1 in their
// order. Each line on standard input is a method of the dpif with its arguments, `["portStats", 1]`; its result is a
// line on standard output, as every event is; `["block", FIFO]` says "blocked" and stops all but the datapath's threads
// until somebody opens the FIFO. It stops at the end of its input. With `hurry` timers take so many times less.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { realClock } from "@sluice/runtime";
import { createUserspaceDpif } from "../../packages/switch/dist/datapath/userspace/dpif.js";
import { matchToKey } from "../../packages/switch/dist/flow/match.js";

const { ports, flows, hurry = 1 } = JSON.parse(process.argv[2]);
const say = (what, value) => process.stdout.write(`${JSON.stringify([what, value ?? null])}\n`);
const revive = (_, value) =>
  typeof value === "object" && value !== null && "hex" in value ? Buffer.from(value.hex, "hex") : value;

const log = { info: (text) => say("log", text), warn: (text) => say("log", text) };
const clock = Object.create(realClock, {
  setTimeout: { value: (callback, ms) => realClock.setTimeout(callback, ms / hurry) },
});
const dpif = createUserspaceDpif({ clock, log, host: "worker" });
dpif.events.on("port", (event) => say("port", event));
dpif.events.on("error", (error) => say("error", error.message));
dpif.events.on("upcall", ({ kind, odpPort, packet, cookie, offload }) =>
  say("upcall", {
    kind,
    odpPort,
    cookie,
    size: packet.length,
    offload,
    packet: Buffer.from(packet).toString("hex"),
  }),
);

const flowOf = ({ in_port, match, actions }, id) => ({
  id,
  ...matchToKey({ in_port, ...match }),
  actions: JSON.parse(JSON.stringify(actions), revive),
});

try {
  for (const port of ports) say("added", await dpif.portAdd({ options: {}, ...port }));
} catch (error) {
  say("failed", error.message);
  await dpif.destroy();
  process.exit(1);
}
for (const [i, flow] of flows.entries()) dpif.flowPut(flowOf(flow, i + 1));
await dpif.barrier();
say("ready");

for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...rest] = JSON.parse(line, revive);
  try {
    if (method === "block") {
      say("blocked");
      readFileSync(rest[0]);
      say("block");
      continue;
    }
    say(method, await dpif[method](...rest));
  } catch (error) {
    say("failed", error.message);
  }
}
await dpif.destroy();
