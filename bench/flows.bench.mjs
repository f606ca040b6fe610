// Tables of 100,000 flows: one controller adds, adds again, dumps and deletes, on ours and on Open vSwitch in turn, each
// round on a fresh daemon. Needs root (the switches live in network namespaces of their own) and Open vSwitch.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { encode, parseFlow } from "@sluice/openflow-codec";
import { missingProgram } from "./lib/shell.mjs";
import { removeLeftovers, startSwitch } from "./lib/switches.mjs";

export const title = "100,000 flows in a table, beside Open vSwitch";

const FLOWS = 100_000;
/** flow_mods between two barriers. */
const STRETCH = 1000;
const TYPE = { HELLO: 0, ERROR: 1, ECHO_REQUEST: 2, MULTIPART_REPLY: 19, BARRIER_REPLY: 21 };

const address = (base, i) => `${base}.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

/** What a flow matches, by table. */
const tables = {
  exact: (i) =>
    `in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,tcp,nw_src=${address(10, i)},nw_dst=10.255.0.1,tp_src=${1024 + (i % 50_000)},tp_dst=80`,
  // Twenty pairs of prefix lengths, 5000 flows each.
  "20 masks": (i) => {
    const mask = i % 20;
    const n = Math.floor(i / 20);
    const [src, dst] = [32 - (mask % 5), 32 - Math.floor(mask / 5)];
    return `ip,nw_src=${address(10, n << (32 - src))}/${src},nw_dst=${address(11, n << (32 - dst))}/${dst}`;
  },
};

export async function run(ctx) {
  const missing = missingProgram("ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl", "ip", "ethtool");
  if (missing) ctx.skip(`${missing} is not installed`);
  if (process.getuid() !== 0) ctx.skip("needs root, for network namespaces");
  await removeLeftovers();
  for (const [name, matchOf] of Object.entries(tables)) {
    const matches = Array.from({ length: FLOWS }, (_, i) => matchOf(i));
    const work = {
      add: stream(matches, (match) => parseFlow(`${match},actions=output:2`, "add")),
      removal: stream(matches, (match) => parseFlow(`${match},priority=32768`, "delete_strict")),
      removalOfAll: stream(["all"], () => parseFlow("table=all", "delete")),
    };
    const samples = { sluice: [], ovs: [] };
    for (let round = 0; round < ctx.rounds; round++) {
      for (const kind of round % 2 === 0 ? ["sluice", "ovs"] : ["ovs", "sluice"]) {
        const sample = await measure(kind, work);
        samples[kind].push(sample);
        ctx.log(`${name}, ${kind}: ${Object.values(sample).map(ctx.figure).join(" ")}`);
      }
    }
    for (const [what, unit, isCost] of WHAT) {
      const of = (kind) => samples[kind].map((sample) => sample[what]);
      const [ours, theirs] = ["sluice", "ovs"].map((kind) => ctx.median(of(kind)));
      ctx.row({
        flows: name,
        what: `${what}${isCost ? " (less is better)" : ""}`,
        unit,
        sluice: range(ctx, of("sluice")),
        "Open vSwitch": range(ctx, of("ovs")),
        "sluice / OVS": (ours / theirs).toFixed(2),
      });
    }
  }
}

const WHAT = [
  ["added in one stream", "flows/s"],
  ["added again", "flows/s"],
  ["dumped", "flows/s"],
  ["deleted one by one", "flows/s"],
  ["deleted by one request", "flows/s"],
  ["resident memory", "bytes per flow", true],
];

const range = (ctx, values) =>
  `${ctx.figure(ctx.median(values))} (${ctx.figure(Math.min(...values))} .. ${ctx.figure(Math.max(...values))})`;

/** flow_mods as bytes, with a barrier after each stretch and at the end. */
function stream(items, flowModOf) {
  const messages = [];
  items.forEach((item, i) => {
    messages.push(encode({ ...flowModOf(item), xid: 1 }));
    if ((i + 1) % STRETCH === 0 || i + 1 === items.length)
      messages.push(encode({ type: "OFPT_BARRIER_REQUEST", xid: 2 }));
  });
  return { bytes: Buffer.concat(messages), barriers: Math.ceil(items.length / STRETCH) };
}

async function measure(kind, { add, removal, removalOfAll }) {
  const undo = [];
  try {
    const { pid, dir } = await startSwitch(kind, (fn) => undo.push(fn));
    const client = await Client.connect(join(dir, "br0.mgmt"));
    undo.push(() => client.close());
    await client.perform(removalOfAll);
    const before = resident(pid);
    const added = await client.perform(add);
    // Collectors of garbage take their time.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const memory = (resident(pid) - before) / FLOWS;
    const again = await client.perform(add);
    const dumped = await client.dump();
    const removed = await client.perform(removal);
    if ((await client.dump()).flows !== 0) throw new Error(`${kind}: flows are left`);
    await client.perform(add);
    const removedAtOnce = await client.perform(removalOfAll);
    if (dumped.flows !== FLOWS) throw new Error(`${kind}: ${dumped.flows} flows were dumped`);
    return {
      "added in one stream": FLOWS / added,
      "added again": FLOWS / again,
      dumped: FLOWS / dumped.seconds,
      "deleted one by one": FLOWS / removed,
      "deleted by one request": FLOWS / removedAtOnce,
      "resident memory": memory,
    };
  } finally {
    for (const fn of undo.reverse()) await fn();
  }
}

const resident = (pid) =>
  1024 * Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);

/** A connection that sends what is ready and counts what comes back. */
class Client {
  #socket;
  #rest = Buffer.alloc(0);
  #barriers = 0;
  #flows = 0;
  #isDumped = false;
  #error;
  #wake = () => {};

  constructor(socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("close", () => this.#fail(new Error("the switch closed the connection")));
  }

  static async connect(path) {
    const socket = connect(path);
    await once(socket, "connect");
    socket.write(
      encode({ type: "OFPT_HELLO", elements: [{ type: "OFPHET_VERSIONBITMAP", bitmaps: [0x10] }] }),
    );
    return new Client(socket);
  }

  /** Seconds until the last barrier is answered. */
  async perform({ bytes, barriers }) {
    this.#barriers = 0;
    const start = performance.now();
    this.#socket.write(bytes);
    await this.#until(() => this.#barriers === barriers);
    return (performance.now() - start) / 1000;
  }

  async dump() {
    this.#flows = 0;
    this.#isDumped = false;
    const start = performance.now();
    const body = { type: "OFPMP_FLOW", table_id: 0xff };
    this.#socket.write(encode({ type: "OFPT_MULTIPART_REQUEST", xid: 3, body }));
    await this.#until(() => this.#isDumped);
    return { flows: this.#flows, seconds: (performance.now() - start) / 1000 };
  }

  close() {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  async #until(isDone) {
    while (!isDone()) {
      if (this.#error) throw this.#error;
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #fail(error) {
    this.#error ??= error;
    this.#wake();
  }

  #onData(chunk) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + 8 <= bytes.length) {
      const length = bytes.readUInt16BE(at + 2);
      if (at + length > bytes.length) break;
      this.#take(bytes.subarray(at, at + length));
      at += length;
    }
    this.#rest = bytes.subarray(at);
    this.#wake();
  }

  #take(message) {
    const type = message[1];
    if (type === TYPE.BARRIER_REPLY) this.#barriers++;
    else if (type === TYPE.ERROR) this.#fail(new Error(`refused: ${message.toString("hex", 0, 80)}`));
    else if (type === TYPE.ECHO_REQUEST) {
      const reply = Buffer.from(message);
      reply[1] = 3;
      this.#socket.write(reply);
    } else if (type === TYPE.MULTIPART_REPLY) {
      for (let at = 16; at < message.length; at += message.readUInt16BE(at)) this.#flows++;
      if ((message.readUInt16BE(10) & 1) === 0) this.#isDumped = true;
    }
  }
}
