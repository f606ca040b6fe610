// The learning switches of three controllers under cbench's throughput load, in turn. Needs ovs-testcontroller and
// os-ken; one that is not there is left out.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmulatedSwitch } from "./lib/emulated-switch.mjs";
import { cpuSeconds, daemon, until } from "./lib/shell.mjs";

export const title =
  "answers to packet-ins by a learning switch (100 hosts a switch; a flow-mod and a packet-out each)";

const SLUICE = fileURLToPath(new URL("../packages/cli/bin/sluice.js", import.meta.url));
const OSKEN_APP = fileURLToPath(new URL("../test/support/osken/learning_switch.py", import.meta.url));

const controllers = [
  {
    name: "sluice",
    program: process.execPath,
    argv: (port) => [process.execPath, SLUICE, "controller", "--listen", `127.0.0.1:${port}`],
  },
  {
    name: "ovs-testcontroller",
    program: "ovs-testcontroller",
    argv: (port, dir) => [
      "ovs-testcontroller",
      `--unixctl=${dir}/tc.ctl`,
      "-O",
      "OpenFlow13",
      `ptcp:${port}:127.0.0.1`,
    ],
  },
  {
    name: "os-ken",
    program: "osken-manager",
    argv: (port) => [
      "osken-manager",
      "--ofp-listen-host",
      "127.0.0.1",
      "--ofp-tcp-listen-port",
      String(port),
      OSKEN_APP,
    ],
  },
];

const isInstalled = ({ program }) => spawnSync(program, ["--version"]).error === undefined;

export async function run(ctx) {
  const dir = mkdtempSync(join(tmpdir(), "sl-bench-"));
  ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }));
  const present = controllers.filter(isInstalled);
  for (const count of [1, 16]) {
    const samples = new Map(present.map(({ name }) => [name, []]));
    for (let round = 0; round < ctx.rounds; round++) {
      for (const controller of present) {
        const sample = await measure(controller, count, ctx, dir);
        ctx.log(`${count} switches, ${controller.name}: ${ctx.figure(sample.perSecond)}/s`);
        samples.get(controller.name).push(sample);
      }
    }
    for (const [unit, key] of [
      ["answers/s", "perSecond"],
      ["answers per CPU-second", "perCpuSecond"],
      ["resident memory, MB", "residentMb"],
    ]) {
      const figures = present.map(({ name }) => [name, ctx.median(samples.get(name).map((s) => s[key]))]);
      ctx.row({
        switches: count,
        unit,
        ...Object.fromEntries(figures.map(([name, value]) => [name, ctx.figure(value)])),
        ...Object.fromEntries(
          figures.slice(1).map(([name, value]) => [`sluice / ${name}`, (figures[0][1] / value).toFixed(2)]),
        ),
      });
    }
  }
}

async function measure(controller, count, ctx, dir) {
  const port = await freePort();
  const program = daemon(controller.argv(port, dir));
  const switches = [];
  const stop = async () => {
    for (const sw of switches.splice(0)) sw.close();
    await program.stop();
  };
  ctx.cleanup(stop);
  try {
    await until(() => accepts(port), `${controller.name} to listen`, 20_000, program.output);
    switches.push(...(await Promise.all(numbers(count).map((i) => EmulatedSwitch.connect(port, i + 1)))));
    await Promise.all(switches.map((sw) => sw.introduceHosts()));
    for (const sw of switches) sw.start();
    // The first moments warm caches and compilers up.
    await sleep(1000);
    const before = total(switches);
    const cpuBefore = cpuSeconds(program.pid);
    const start = performance.now();
    await sleep(ctx.seconds * 1000);
    const answers = total(switches) - before;
    const cpu = cpuSeconds(program.pid) - cpuBefore;
    const seconds = (performance.now() - start) / 1000;
    for (const sw of switches) sw.stop();
    return { perSecond: answers / seconds, perCpuSecond: answers / cpu, residentMb: residentMb(program.pid) };
  } finally {
    await stop();
  }
}

const numbers = (count) => Array.from({ length: count }, (_, i) => i);
const total = (switches) => switches.reduce((sum, sw) => sum + sw.packetOuts, 0);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Whether something listens. The attempt looks to it like a switch that goes at once. */
async function accepts(port) {
  const socket = connect({ port, host: "127.0.0.1" });
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}

function residentMb(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}
