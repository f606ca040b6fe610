// The user-space datapath with no I/O: what a packet costs between two dummy ports, by flows, masks and actions.
// CPU time is counted, so that the numbers stand on a busy machine too. The copy into the datapath's buffer is in them.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sh } from "./lib/shell.mjs";

export const title = "the user-space datapath in memory: between two dummy ports, on one core";

const CASE = join(dirname(fileURLToPath(import.meta.url)), "lib/in-memory.mjs");
const CASES = [
  ...[1, 1000, 10_000, 100_000, 1_000_000].map((flows) => ({ flows, masks: 1, actions: "output" })),
  ...[5, 20, 100].map((masks) => ({ flows: 100_000, masks, actions: "output" })),
  ...["route", "push VLAN"].map((actions) => ({ flows: 1000, masks: 1, actions })),
];
const STEADY_SECONDS = 10;

export async function run(ctx) {
  for (const one of CASES) {
    const isSteady = one.flows === 1000 && one.actions === "output";
    const seconds = isSteady ? STEADY_SECONDS : ctx.seconds;
    const samples = [];
    for (let round = 0; round < ctx.rounds; round++) samples.push(await measure({ ...one, seconds }));
    const of = (value) => ctx.median(samples.map(value));
    const ns = of(({ nsPerPacket }) => nsPerPacket);
    const what = `${one.flows} flows, ${one.masks} masks, ${one.actions}`;
    ctx.log(`${what}: ${ctx.figure(1e9 / ns)} packets per CPU-second`);
    ctx.row({
      flows: one.flows,
      masks: one.masks,
      actions: one.actions,
      "packets per CPU-second": ctx.figure(1e9 / ns),
      "ns a packet": ns.toFixed(0),
      "of these: in, parse, exact match, signature match, masks, actions": [
        "receive",
        "parse",
        "emc",
        "smc",
        "megaflow",
        "actions",
      ]
        .map((stage) =>
          Math.max(
            0,
            of(({ stages }) => stages[stage]),
          ).toFixed(0),
        )
        .join(", "),
      "cache hits": `${(100 * of(({ emcShare }) => emcShare)).toFixed(0)} %`,
      "masks tried": of(({ probes }) => probes).toFixed(1),
      "bytes a flow": of(({ bytesPerFlow }) => bytesPerFlow).toFixed(0),
      [`collections in ${STEADY_SECONDS} s`]: isSteady ? of(({ collections }) => collections) : "",
    });
  }
}

async function measure(one) {
  // The young generation is as large as the switch gives it to its threads (worker-thread.ts).
  const argv = [process.execPath, "--expose-gc", "--min-semi-space-size=16", CASE, JSON.stringify(one)];
  return JSON.parse(await sh(argv, { timeoutMs: 120_000 }));
}
