import type { Bridges } from "../bridge/reconfigure.js";
import { datapathsNamed } from "./datapaths.js";
import { type Counters, countersSince, pmdArgs, TURNS, threadName } from "./pmd-stats.js";

/** dpif-netdev/pmd-perf-show: how each thread of a datapath does since the last pmd-stats-clear, laid out as in Open
 *  vSwitch. An iteration is a turn of the thread, from what came out of poll until it polls again; times are ns where
 *  Open vSwitch counts cycles. The histogram (not with -nh) tells how long turns took. */
export async function pmdPerfShow(bridges: Bridges, args: readonly string[], nowMs: number): Promise<string> {
  const { core, datapath } = pmdArgs(args.filter((arg) => arg !== "-nh"));
  const time = new Date(nowMs).toISOString().slice(11, -1);
  let text = "";
  for (const backer of datapathsNamed(bridges, datapath)) {
    for (const [i, counters] of (await countersSince(backer)).entries()) {
      if (core !== undefined && bridges.cores[i] !== core) continue;
      const seconds = spent(counters) / 1e9;
      text += `\nTime: ${time}\nMeasurement duration: ${seconds.toFixed(3)} s\n\n${threadName(bridges, i)}:\n\n`;
      text += `${lines(counters, seconds)}\n`;
      if (!args.includes("-nh")) text += `${histogram(counters)}\n`;
    }
  }
  return text;
}

const of = (counters: Counters, name: string): number => counters[name] ?? 0;
const spent = (counters: Counters): number => of(counters, "idle_ns") + of(counters, "processing_ns");

/** Turns by the time that they took, the shortest first. */
const turnsOf = (counters: Counters): [label: string, count: number][] =>
  Object.entries(counters).flatMap(([name, count]) =>
    name.startsWith(TURNS) ? [[name.slice(TURNS.length).replaceAll("_", " "), count]] : [],
  );

const LABEL = 20;
const row = (label: string, count: number, remark = ""): string =>
  `  ${label.padEnd(LABEL)}${String(count).padStart(12)}${remark === "" ? "" : `  (${remark})`}\n`;
const per = (a: number, b: number): number => (b > 0 ? a / b : 0);
const share = (a: number, b: number): string =>
  `${per(100 * a, b)
    .toFixed(1)
    .padStart(5)} %`;

function lines(counters: Counters, seconds: number): string {
  const turns = turnsOf(counters).reduce((sum, [, count]) => sum + count, 0);
  const busy = of(counters, "processing_ns");
  const idle = of(counters, "idle_ns");
  const packets = of(counters, "packets");
  const passes = packets + of(counters, "recirculations");
  const misses = of(counters, "misses");
  const lost = of(counters, "misses_lost");
  const hits = of(counters, "megaflow_lookups") - misses;
  const sent = of(counters, "output_packets");
  const batches = of(counters, "output_batches");
  const rate = (count: number): string => `${per(count / 1000, seconds).toFixed(0)} Kpps`;
  const text =
    row("Iterations:", turns, `${per(busy / 1000, turns).toFixed(2)} us/it`) +
    row("- Used time (ns):", busy, `${share(busy, busy + idle)} of total time`) +
    row("- idle time (ns):", idle, `${share(idle, busy + idle)} of total time`);
  const received =
    packets === 0
      ? row("Rx packets:", 0)
      : row("Rx packets:", packets, `${rate(packets)}, ${per(busy, packets).toFixed(0)} ns/pkt`) +
        row("Datapath passes:", passes, `${per(passes, packets).toFixed(2)} passes/pkt`) +
        row("- EMC hits:", of(counters, "emc_hits"), share(of(counters, "emc_hits"), passes)) +
        row("- SMC hits:", of(counters, "smc_hits"), share(of(counters, "smc_hits"), passes)) +
        row(
          "- Megaflow hits:",
          hits,
          `${share(hits, passes)}, ${per(of(counters, "megaflow_hit_probes"), hits).toFixed(2)} subtbl lookups/hit`,
        ) +
        row("- Upcalls:", misses - lost, share(misses - lost, passes)) +
        row("- Lost upcalls:", lost, share(lost, passes));
  const transmitted =
    sent === 0
      ? row("Tx packets:", 0)
      : row("Tx packets:", sent, rate(sent)) +
        row("Tx batches:", batches, `${per(sent, batches).toFixed(2)} pkts/batch`);
  return text + received + transmitted;
}

function histogram(counters: Counters): string {
  const rows = turnsOf(counters).map(([label, count]) => row(label, count));
  return `Histograms\n  us/it\n${rows.join("")}`;
}
