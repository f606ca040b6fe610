// The apps topology and forwarding on emulated switches: how long until all links are found, and from the port-status of a
// cut cable to the last message that leads around it.
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { EmulatedNetwork, randomGraph } from "./lib/emulated-network.mjs";
import { cpuSeconds, until } from "./lib/shell.mjs";

export const title = "500 switches and 2,000 links: discovery, and rerouting around a cut cable";

const SWITCHES = 500;
const LINKS = 2000;
const PAIRS = 1000;
const CUTS = 10;
const CONTROLLER = fileURLToPath(new URL("./lib/topology-controller.mjs", import.meta.url));

export async function run(ctx) {
  const rounds = [];
  for (let round = 0; round < ctx.rounds; round++) {
    const sample = await measure(ctx, round + 1);
    ctx.log(
      `found in ${sample.foundMs} ms, rerouted in ${ctx.median(sample.reroutes.map(({ ms }) => ms)).toFixed(1)} ms`,
    );
    rounds.push(sample);
  }
  const row = (what, unit, values, aim = "") =>
    ctx.row({
      what,
      unit,
      median: ctx.figure(ctx.median(values)),
      most: ctx.figure(Math.max(...values)),
      aim,
    });
  const reroutes = rounds.flatMap((sample) => sample.reroutes);
  row(
    "all links found after the first connection",
    "ms",
    rounds.map((r) => r.foundMs),
    "4000: an interval of 2 s and 2 s",
  );
  row(
    "controller's CPU time for it",
    "ms",
    rounds.map((r) => r.foundCpuMs),
  );
  row(
    "ways of 1,000 pairs of hosts, flows and groups sent",
    "ms",
    rounds.map((r) => r.pairsMs),
  );
  row(
    "port-status to all 1,000 pairs reaching each other (0: none was lost)",
    "ms",
    reroutes.map(({ healedMs }) => healedMs),
    "50",
  );
  row(
    "port-status to the last group-mod, better paths and spares too",
    "ms",
    reroutes.map(({ ms }) => ms),
  );
  row(
    "group-mods for it",
    "messages",
    reroutes.map(({ groupMods }) => groupMods),
  );
  row(
    "probing 4,000 ports every 2 s, controller's CPU",
    "%",
    rounds.map((r) => r.idlePercent),
  );
  row(
    "controller's resident memory",
    "MB",
    rounds.map((r) => r.residentMb),
  );
}

async function measure(ctx, seed) {
  const network = new EmulatedNetwork(SWITCHES, randomGraph(SWITCHES, LINKS, seed));
  const controller = fork(CONTROLLER, [String(2 * LINKS)]);
  const stop = () => {
    network.close();
    controller.kill();
  };
  ctx.cleanup(stop);
  const [{ target }] = await once(controller, "message");
  const cpuAtStart = cpuSeconds(controller.pid);
  const start = Date.now();
  const found = once(controller, "message");
  await network.connect(Number(target.split(":")[1]));
  const [{ at }] = await found;
  const foundMs = at - start;
  const foundCpuMs = (cpuSeconds(controller.pid) - cpuAtStart) * 1000;

  // Ports without a cable are hosts' two seconds later.
  await sleep(4000);
  const cpuBefore = cpuSeconds(controller.pid);
  await sleep(4000);
  const idlePercent = ((cpuSeconds(controller.pid) - cpuBefore) / 4) * 100;

  for (let i = 0; i < SWITCHES; i++) network.say(i, undefined);
  await quiet(network);
  const pairs = Array.from({ length: PAIRS }, (_, i) => [
    i % SWITCHES,
    (i * 37 + 11 * seed) % SWITCHES,
  ]).filter(([a, b]) => a !== b);
  const pairsStart = performance.now();
  for (const [a, b] of pairs) network.say(a, b);
  await until(() => pairs.every(([a, b]) => network.reaches(a, b)), "ways for all pairs", 60_000);
  await quiet(network);
  const pairsMs = network.lastGroupModAt - pairsStart;

  const reroutes = [];
  for (const cable of network.cables.slice(0, CUTS)) {
    const before = network.groupMods;
    network.remember();
    const cutAt = performance.now();
    network.setCable(cable, false);
    await quiet(network);
    const ms = network.lastGroupModAt - cutAt;
    // Where spares are, switches go round the cable before they are told: nothing was lost then.
    const healedMs = Math.max(0, (network.reachedAt(pairs) ?? cutAt) - cutAt);
    reroutes.push({ healedMs, ms, groupMods: network.groupMods - before });
    const lost = pairs.filter(([a, b]) => !network.reaches(a, b));
    if (lost.length > 0) {
      const [a, b] = lost[0];
      throw new Error(
        `${lost.length} pairs have no way round ${JSON.stringify(cable)}: ${network.explain(a, b)}`,
      );
    }
    network.setCable(cable, true);
    await quiet(network);
  }
  const residentMb = residentOf(controller.pid);
  stop();
  return { foundMs, foundCpuMs, pairsMs, idlePercent, reroutes, residentMb };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Until no flow-mod and no group-mod has come for 500 ms. */
async function quiet(network) {
  let before = -1;
  while (network.groupMods + network.flowMods !== before) {
    before = network.groupMods + network.flowMods;
    await sleep(500);
  }
}

function residentOf(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}
