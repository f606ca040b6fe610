import { mkdtempSync } from "node:fs";
import { installed, residentMb, sleep, startController } from "./lib/controllers.mjs";
import { EmulatedSwitch } from "./lib/emulated-switch.mjs";
import { cpuSeconds } from "./lib/shell.mjs";
const dir = mkdtempSync("/tmp/fwx/d");
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

const total = (switches) => switches.reduce((sum, sw) => sum + sw.packetOuts, 0);

const [sluice, tc] = installed();
const load = { start: (s) => { for (const sw of s) sw.startAsking(); } };
const ctx = { seconds: 3, cleanup: () => {} };
for (let r = 0; r < 4; r++) for (const [name, c, defer] of [["now", sluice, "0"], ["deferred", sluice, "1"], ["testcontroller", tc, "0"]]) {
  process.env.SLUICE_DEFER = defer;
  const m = await measure(c, 16, load, ctx, dir);
  console.log(name.padEnd(15), Math.round(m.perSecond), "per CPU-s", Math.round(m.perCpuSecond), "p50", m.p50.toFixed(0), "p99", m.p99.toFixed(0));
}
process.exit(0);
