import type { Bridges } from "../bridge/reconfigure.js";
import type { Dpif } from "../dpif/dpif.js";
import { datapathsNamed } from "./datapaths.js";

export type Counters = Readonly<Record<string, number>>;

/** Counters as they were at the last pmd-stats-clear. */
const cleared = new WeakMap<Dpif, readonly Counters[]>();

const STAGES = ["receive", "parse", "emc", "smc", "megaflow", "actions", "send"] as const;

/** How the names of counters begin that tell how long the thread's turns took. */
export const TURNS = "turns_";

/** What each thread of a datapath has counted since the last pmd-stats-clear. */
export async function countersSince({ dpif }: { dpif: Dpif }): Promise<Counters[]> {
  const before = cleared.get(dpif) ?? [];
  const threads = await dpif.threadCounters();
  return threads.map((counters, i) =>
    Object.fromEntries(
      // A thread that was started again counts from 0.
      Object.entries(counters).map(([name, count]) => [name, Math.max(0, count - (before[i]?.[name] ?? 0))]),
    ),
  );
}

/** dpif-netdev/pmd-stats-show: per thread, in Open vSwitch's words; times are ns where Open vSwitch counts cycles. A
 *  line at the end says which part of a packet's way takes how long, by a sample of packets,
 *  and another how long the thread is busy before it looks for packets again. */
export async function pmdStatsShow(bridges: Bridges, args: readonly string[]): Promise<string> {
  const { core, datapath } = pmdArgs(args);
  let text = "";
  for (const backer of datapathsNamed(bridges, datapath)) {
    const threads = await countersSince(backer);
    text += threads
      .map((counters, i) => `${threadName(bridges, i)}:\n${lines(counters)}`)
      .filter((_, i) => core === undefined || bridges.cores[i] === core)
      .join("");
  }
  return text;
}

/** What a datapath's thread is called: by its core, or (it keeps to none) the main one. */
export function threadName({ cores }: Bridges, i: number): string {
  const core = cores[i];
  return core === undefined ? "main thread" : `pmd thread numa_id 0 core_id ${core}`;
}

export async function pmdStatsClear(bridges: Bridges, args: readonly string[]): Promise<string> {
  for (const { dpif } of datapathsNamed(bridges, pmdArgs(args).datapath))
    cleared.set(dpif, await dpif.threadCounters());
  return "";
}

/** dpif-netdev/pmd-rxq-show: which thread receives from which port. Threads of cores share every port's packets by flow;
 *  what share of a thread's time a port takes is not known. */
export function pmdRxqShow(bridges: Bridges, args: readonly string[]): string {
  const at = args.indexOf("-secs");
  const secs = at < 0 ? MOST_SECS : Number(args[at + 1]);
  if (!(Number.isInteger(secs) && secs > 0))
    throw new Error(`-secs ${args[at + 1] ?? ""}: not a number of seconds`);
  const { core, datapath } = pmdArgs(at < 0 ? args : args.toSpliced(at, 2));
  if (core !== undefined && !bridges.cores.includes(core)) return "";
  let text = `Displaying last ${Math.min(secs, MOST_SECS)} seconds pmd usage %\n`;
  for (const backer of datapathsNamed(bridges, datapath)) {
    const ports = [...bridges.running.values()]
      .filter((bridge) => bridges.backerOf(bridge) === backer)
      .flatMap(({ ofproto }) => ofproto.ports())
      .filter(({ type }) => type === "system")
      .sort((a, b) => a.odpPort! - b.odpPort!);
    for (const [i, one] of bridges.cores.entries()) {
      if (core !== undefined && core !== one) continue;
      text += `${threadName(bridges, i)}:\n  isolated : false\n`;
      for (const { name } of ports)
        text += `  port: ${name.padEnd(16)}  queue-id:  0 (enabled)   pmd usage: NOT AVAIL\n`;
      text += "  overhead: NOT AVAIL\n";
    }
  }
  return text;
}

const MOST_SECS = 60;

/** `[-pmd core] [dp]`. */
export function pmdArgs(args: readonly string[]): { core: number | undefined; datapath: string | undefined } {
  const at = args.indexOf("-pmd");
  const rest = at < 0 ? args : [...args.slice(0, at), ...args.slice(at + 2)];
  const core = at < 0 ? undefined : args[at + 1];
  if (at >= 0 && !/^\d+$/.test(core ?? "")) throw new Error(`-pmd ${core ?? ""}: not the number of a core`);
  if (rest.length > 1) throw new Error(`${rest[1]}: unknown argument; allowed are [-pmd core] [dp]`);
  return { core: core === undefined ? undefined : Number(core), datapath: rest[0] };
}

function lines(counters: Counters): string {
  const of = (name: string): number => counters[name] ?? 0;
  const ratio = (a: number, b: number): string => (b > 0 ? a / b : 0).toFixed(2);
  const packets = of("packets");
  const passes = packets + of("recirculations");
  const hits = of("megaflow_lookups") - of("misses");
  const time = of("idle_ns") + of("processing_ns");
  const share = (ns: number): string => ratio(100 * ns, time);
  const rows = [
    `packets received: ${packets}`,
    `packet recirculations: ${of("recirculations")}`,
    `avg. datapath passes per packet: ${ratio(passes, packets)}`,
    `emc hits: ${of("emc_hits")}`,
    `smc hits: ${of("smc_hits")}`,
    `megaflow hits: ${hits}`,
    `avg. subtable lookups per megaflow hit: ${ratio(of("megaflow_hit_probes"), hits)}`,
    `miss with success upcall: ${of("misses") - of("misses_lost")}`,
    `miss with failed upcall: ${of("misses_lost")}`,
    `avg. packets per output batch: ${ratio(of("output_packets"), of("output_batches"))}`,
  ];
  if (time > 0) {
    rows.push(
      `idle ns: ${of("idle_ns")} (${share(of("idle_ns"))}%)`,
      `processing ns: ${of("processing_ns")} (${share(of("processing_ns"))}%)`,
    );
  }
  if (time > 0 && packets > 0) {
    const processing = of("processing_ns");
    rows.push(
      `avg ns per packet: ${ratio(time, packets)} (${time}/${packets})`,
      `avg processing ns per packet: ${ratio(processing, packets)} (${processing}/${packets})`,
    );
  }
  const sampled = of("sampled_packets");
  if (sampled > 0) {
    const stages = STAGES.map((stage) => `${stage} ${ratio(of(`sampled_${stage}_ns`), sampled)}`).join(", ");
    rows.push(`ns per packet by stage: ${stages} (${sampled} packets sampled)`);
  }
  const turns = Object.entries(counters).filter(([name, count]) => name.startsWith(TURNS) && count > 0);
  if (turns.length > 0) {
    const classes = turns.map(([name, count]) => `${name.slice(TURNS.length).replaceAll("_", " ")} ${count}`);
    rows.push(`turns by time: ${classes.join(", ")}`);
  }
  if ("collections" in counters)
    rows.push(`garbage collections: ${of("collections")} (${ratio(of("collections_us"), 1000)} ms in all)`);
  return rows.map((row) => `  ${row}\n`).join("");
}
