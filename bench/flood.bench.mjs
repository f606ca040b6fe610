// Switches that are served while others connect by the thousand and behave badly.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installed, startController } from "./lib/controllers.mjs";
import { EmulatedSwitch } from "./lib/emulated-switch.mjs";
import { cpuSeconds, residentMb, sleep } from "./lib/shell.mjs";

export const title = "8 switches with 400 packet-ins a second, beside connections that behave badly";

const SWITCHES = 8;
const ASKED_A_SECOND = 400;
const RATES = [0, 1000, 2000];
const TICK_MS = 20;
/** Left open at this end; for one more the oldest goes. */
const MAX_OPEN = 4000;

const HELLO = Buffer.from("0400001000000001" + "0001000800000010", "hex");
const BAD = [
  Buffer.alloc(0),
  HELLO.subarray(0, 5),
  HELLO,
  Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
  Buffer.concat([HELLO, Buffer.from("0402000700000001", "hex")]),
  Buffer.concat([HELLO, Buffer.from("040affff00000001", "hex")]),
  Buffer.concat([HELLO, Buffer.from("0463000800000001", "hex")]),
];

export async function run(ctx) {
  const dir = mkdtempSync(join(tmpdir(), "sl-bench-"));
  ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }));
  const controllers = installed();
  for (const rate of RATES) {
    const found = new Map();
    for (const controller of controllers) {
      ctx.log(`${controller.name}, ${rate} bad connections a second`);
      found.set(controller.name, await measure(controller, rate, ctx, dir));
    }
    const row = (what, unit, key) =>
      ctx.row({
        ...{ what: `${rate}/s: ${what}`, unit },
        ...Object.fromEntries([...found].map(([name, one]) => [name, one[key]])),
      });
    if (rate > 0) row("bad connections greeted", "a second", "greeted");
    row("packet-ins answered", "%", "answered");
    row("from packet-in to answer, median", "µs", "median");
    row("99th percentile", "µs", "p99");
    row("processor", "%", "cpu");
    row("resident memory at the end", "MB", "mb");
    row("open files, the most", "files", "files");
  }
}

async function measure(controller, rate, ctx, dir) {
  const program = await startController(controller, dir);
  const switches = [];
  const flood = new Flood(program.port, rate);
  try {
    for (let dpid = 1; dpid <= SWITCHES; dpid++)
      switches.push(await EmulatedSwitch.connect(program.port, dpid));
    await Promise.all(switches.map((sw) => sw.introduceHosts()));
    const cpu = cpuSeconds(program.pid);
    const started = performance.now();
    let [asked, files] = [0, 0];
    for (let now = started; now < started + ctx.seconds * 1000; now = performance.now()) {
      flood.keepUp(now - started);
      for (; asked < ((now - started) / 1000) * ASKED_A_SECOND; asked++) switches[asked % SWITCHES].ask();
      files = Math.max(files, readdirSync(`/proc/${program.pid}/fd`).length);
      await sleep(TICK_MS);
    }
    const seconds = (performance.now() - started) / 1000;
    const end = performance.now() + 5000;
    while (switches.some((sw) => sw.unanswered > 0) && performance.now() < end) await sleep(TICK_MS);
    const latencies = switches.flatMap((sw) => sw.latencies).sort((a, b) => a - b);
    return {
      greeted: ctx.figure(flood.greeted / seconds),
      answered: ctx.figure((latencies.length / asked) * 100),
      median: ctx.figure(latencies[Math.floor(latencies.length / 2)] ?? Number.NaN),
      p99: ctx.figure(latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN),
      cpu: ctx.figure(((cpuSeconds(program.pid) - cpu) / seconds) * 100),
      mb: ctx.figure(residentMb(program.pid)),
      files: String(files),
    };
  } finally {
    flood.end();
    for (const sw of switches) sw.close();
    await program.stop();
  }
}

class Flood {
  greeted = 0;
  #made = 0;
  #port;
  #rate;
  #open = new Set();

  constructor(port, rate) {
    this.#port = port;
    this.#rate = rate;
  }

  /** Makes as many as there are to be by now. */
  keepUp(elapsedMs) {
    while (this.#made < (elapsedMs / 1000) * this.#rate) this.#connect(this.#made++);
    for (const oldest of this.#open) {
      if (this.#open.size <= MAX_OPEN) break;
      oldest.destroy();
      this.#open.delete(oldest);
    }
  }

  end() {
    for (const socket of this.#open) socket.destroy();
  }

  #connect(n) {
    const socket = connect({ port: this.#port, host: "127.0.0.1" });
    this.#open.add(socket);
    socket.on("error", () => {}).on("close", () => this.#open.delete(socket));
    socket.once("data", () => {
      this.greeted++;
      socket.write(BAD[n % BAD.length]);
      // A third stays as it is, a third half closes, a third is cut off.
      if (n % 3 === 1) socket.end();
      else if (n % 3 === 2) socket.resetAndDestroy();
    });
  }
}
