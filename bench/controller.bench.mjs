// The learning switches of three controllers under cbench's loads, in turn: as many packet-ins as they read
// (throughput), one after the other on each switch (latency), and as many a second for each controller (equal load).
// Needs ovs-testcontroller and os-ken; one that is not there is left out.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installed, startController } from "./lib/controllers.mjs";
import { EmulatedSwitch } from "./lib/emulated-switch.mjs";
import { cpuSeconds, residentMb, sleep } from "./lib/shell.mjs";

export const title =
  "answers to packet-ins by a learning switch (100 hosts a switch; a flow-mod and a packet-out each)";

/** Packet-ins a second, over all switches, that each of the three can answer. */
const EQUAL_LOAD = 4000;
const TICK_MS = 1;

const each = (act) => (switches) => {
  for (const sw of switches) act(sw);
};
const LOADS = [
  { name: "throughput", counts: [1, 16, 64], start: each((sw) => sw.start()) },
  { name: "latency", counts: [1, 16, 64], start: each((sw) => sw.startAsking()) },
  { name: `${EQUAL_LOAD}/s`, counts: [16], start: (switches) => askAtRate(switches, EQUAL_LOAD) },
];

const FIGURES = [
  { unit: "answers/s", key: "perSecond", better: "more", loads: /throughput|latency/ },
  { unit: "answers per CPU-second", key: "perCpuSecond", better: "more", loads: /throughput|latency/ },
  { unit: "µs, median", key: "p50", better: "less", loads: /latency|\/s/ },
  { unit: "µs, 99th percentile", key: "p99", better: "less", loads: /latency|\/s/ },
  { unit: "resident memory, MB", key: "residentMb", better: "less", loads: /throughput/ },
];

export async function run(ctx) {
  const dir = mkdtempSync(join(tmpdir(), "sl-bench-"));
  ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }));
  for (const load of LOADS) {
    for (const count of load.counts) {
      const present = installed().filter(({ maxSwitches = 1000 }) => count <= maxSwitches);
      const samples = new Map(present.map(({ name }) => [name, []]));
      for (let round = 0; round < ctx.rounds; round++) {
        for (const controller of present) {
          const sample = await measure(controller, count, load, ctx, dir);
          ctx.log(`${load.name}, ${count} switches, ${controller.name}: ${ctx.figure(sample.perSecond)}/s`);
          samples.get(controller.name).push(sample);
        }
      }
      for (const figure of FIGURES.filter(({ loads }) => loads.test(load.name)))
        ctx.row(rowOf(ctx, load, count, figure, samples));
    }
  }
}

function rowOf(ctx, load, count, { unit, key, better }, samples) {
  const medians = [...samples].map(([name, list]) => [name, ctx.median(list.map((sample) => sample[key]))]);
  const [[, ours], ...peers] = medians;
  return {
    load: load.name,
    switches: count,
    unit: `${unit} (${better} is better)`,
    ...Object.fromEntries(medians.map(([name, value]) => [name, ctx.figure(value)])),
    ...Object.fromEntries(peers.map(([name, value]) => [`sluice / ${name}`, (ours / value).toFixed(2)])),
  };
}

async function measure(controller, count, load, ctx, dir) {
  const program = await startController(controller, dir);
  const switches = [];
  let stopLoad;
  const stop = async () => {
    stopLoad?.();
    for (const sw of switches.splice(0)) sw.close();
    await program.stop();
  };
  ctx.cleanup(stop);
  try {
    const dpids = Array.from({ length: count }, (_, i) => i + 1);
    switches.push(...(await Promise.all(dpids.map((dpid) => EmulatedSwitch.connect(program.port, dpid)))));
    await Promise.all(switches.map((sw) => sw.introduceHosts()));
    stopLoad = load.start(switches);
    // The first moments warm caches and compilers up.
    await sleep(1000);
    for (const sw of switches) sw.latencies = [];
    const before = total(switches);
    const cpuBefore = cpuSeconds(program.pid);
    const start = performance.now();
    await sleep(ctx.seconds * 1000);
    const answers = total(switches) - before;
    const cpu = cpuSeconds(program.pid) - cpuBefore;
    const seconds = (performance.now() - start) / 1000;
    for (const sw of switches) sw.stop();
    const latencies = Float64Array.from(switches.flatMap((sw) => sw.latencies)).sort();
    const quantile = (q) => latencies[Math.floor(latencies.length * q)] ?? Number.NaN;
    return {
      perSecond: answers / seconds,
      perCpuSecond: answers / cpu,
      p50: quantile(0.5),
      p99: quantile(0.99),
      residentMb: residentMb(program.pid),
    };
  } finally {
    await stop();
  }
}

/** So many packet-ins a second, from one switch after the other, whether or not they are answered. */
function askAtRate(switches, rate) {
  const started = performance.now();
  let asked = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - started) * rate) / 1000;
    for (; asked < due; asked++) switches[asked % switches.length].ask();
  }, TICK_MS);
  return () => clearInterval(timer);
}

const total = (switches) => switches.reduce((sum, sw) => sum + sw.packetOuts, 0);
