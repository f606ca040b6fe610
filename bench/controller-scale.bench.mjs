// What a thousand switches cost our controller, and how soon controllers listen.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installed, startController } from "./lib/controllers.mjs";
import { EmulatedSwitch } from "./lib/emulated-switch.mjs";
import { cpuSeconds, residentMb, sleep } from "./lib/shell.mjs";

export const title = "start, and 1,000 switches with 100 hosts each";

const SWITCHES = 1000;

export async function run(ctx) {
  const dir = mkdtempSync(join(tmpdir(), "sl-bench-"));
  ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }));
  const present = installed();
  const samples = new Map(present.map(({ name }) => [name, []]));
  for (let round = 0; round < ctx.rounds; round++) {
    for (const controller of present) {
      const program = await startController(controller, dir);
      samples.get(controller.name).push(program.startMs);
      await program.stop();
    }
  }
  const times = Object.fromEntries([...samples].map(([name, list]) => [name, ctx.figure(ctx.median(list))]));
  ctx.row({ what: "from start to listening", unit: "ms", ...times });
  const { connectMs, idleMb, residentMb: mb, answered, idleCpu } = await thousand(present[0], ctx, dir);
  ctx.row({ what: `${SWITCHES} switches: all set up`, unit: "ms", sluice: ctx.figure(connectMs) });
  ctx.row({
    what: `${SWITCHES} switches: resident memory, connected`,
    unit: "MB",
    sluice: ctx.figure(idleMb),
  });
  ctx.row({
    what: `${SWITCHES} switches: resident memory, 100 hosts each learned and ten packet-ins a switch answered`,
    unit: "MB",
    sluice: ctx.figure(mb),
  });
  ctx.row({ what: `${SWITCHES} switches: answered wholly`, unit: "switches", sluice: String(answered) });
  ctx.row({
    what: `${SWITCHES} switches: processor while they are idle`,
    unit: "%",
    sluice: ctx.figure(idleCpu),
  });
}

async function thousand(controller, ctx, dir) {
  const program = await startController(controller, dir);
  ctx.cleanup(() => program.stop());
  const switches = [];
  ctx.cleanup(() => {
    for (const sw of switches) sw.close();
  });
  const started = performance.now();
  const dpids = Array.from({ length: SWITCHES }, (_, i) => i + 1);
  switches.push(...(await Promise.all(dpids.map((dpid) => EmulatedSwitch.connect(program.port, dpid)))));
  const connectMs = performance.now() - started;
  const idleMb = residentMb(program.pid);
  await Promise.all(switches.map((sw) => sw.introduceHosts()));
  for (let i = 0; i < 10; i++) for (const sw of switches) sw.ask();
  const end = performance.now() + 20_000;
  while (switches.some((sw) => sw.unanswered > 0) && performance.now() < end) await sleep(20);
  const answered = switches.filter((sw) => sw.unanswered === 0).length;
  const before = cpuSeconds(program.pid);
  await sleep(5000);
  const idleCpu = ((cpuSeconds(program.pid) - before) / 5) * 100;
  return { connectMs, idleMb, residentMb: residentMb(program.pid), answered, idleCpu };
}
