import type { Clock } from "@sluice/runtime";
import type { DummyHub } from "../../netdev/dummy.js";
import type { FeatureRecord } from "../../netdev/feature-record.js";

/** The least of a log that the datapath needs; runtime's Log is one. */
export interface DatapathLog {
  info(text: string): void;
  warn(text: string): void;
}

export interface UserspaceDpifOptions {
  clock: Clock;
  log: DatapathLog;
  /** "inline": in this thread, dummy ports only, events come synchronously. "worker": in a thread of its own, all
   *  types of ports. */
  host: "inline" | "worker";
  /** Where the other ends of dummy ports are found; one of its own when left out. */
  dummies?: DummyHub;
  /** Where it is kept what is changed at devices; none: nothing is. */
  features?: FeatureRecord;
  /** Megaflows at most: 2^20 by default. */
  maxFlows?: number;
}

/** Where `maxFlows` is left out. */
export const MAX_FLOWS = 1 << 20;

/** Counts are emitted at least this often while there are any. */
export const STATS_PERIOD_MS = 500;

/** The MAC address of a device that nobody gave one: locally administered, by the port's number. */
export function defaultMac(odpPort: number): string {
  const hex = (value: number): string => (value & 0xff).toString(16).padStart(2, "0");
  return `aa:55:aa:55:${hex(odpPort >>> 8)}:${hex(odpPort)}`;
}
