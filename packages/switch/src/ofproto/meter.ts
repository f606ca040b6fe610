import { refuse } from "./error.js";
import type { MeterBand, MeterMod } from "./of.js";
import { Counter, type Sink } from "./sink.js";

export const OFPMF = { KBPS: 1, PKTPS: 2, BURST: 4, STATS: 8 } as const;
export const MAX_BANDS = 32;

/** A meter entry (1.3.5 §5.7). The datapath does the metering under the number `dpId`; here are its
 *  configuration, as it was given, and its counters. */
export class Meter implements Sink {
  readonly meter_id: number;
  readonly dpId: number;
  readonly createdMs: number;
  flags: number;
  bands: readonly (MeterBand & Counted)[];
  packets = 0;
  bytes = 0;

  constructor(message: MeterMod, dpId: number, nowMs: number) {
    this.meter_id = message.meter_id;
    this.dpId = dpId;
    this.createdMs = nowMs;
    this.flags = message.flags ?? 0;
    this.bands = counted(message.bands ?? []);
  }

  modify(message: MeterMod): void {
    this.flags = message.flags ?? 0;
    this.bands = counted(message.bands ?? []);
  }

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}

interface Counted {
  /** What exceeded the band. */
  readonly exceeded: Counter;
}

const counted = (bands: readonly MeterBand[]): (MeterBand & Counted)[] =>
  bands.map((band) => ({ ...band, exceeded: new Counter() }));

/** Refuses what 1.3.5 §7.3.4.5 does not allow. */
export function checkMeter(message: MeterMod): void {
  const flags = message.flags ?? 0;
  const bands = message.bands ?? [];
  const both = OFPMF.KBPS | OFPMF.PKTPS;
  if ((flags & ~0xf) !== 0 || (flags & both) === both)
    throw refuse("OFPMMFC_BAD_FLAGS", `meter flags 0x${flags.toString(16)}: kbps or pktps, burst, stats`);
  if (bands.length > MAX_BANDS)
    throw refuse("OFPMMFC_OUT_OF_BANDS", `${bands.length} bands; at most ${MAX_BANDS}`);
  for (const band of bands) {
    if (band.type !== "OFPMBT_DROP" && band.type !== "OFPMBT_DSCP_REMARK")
      throw refuse("OFPMMFC_BAD_BAND", `band type ${band.type}; drop and dscp_remark are supported`);
    if ((band.rate ?? 0) === 0) throw refuse("OFPMMFC_BAD_RATE", "a band's rate is at least 1");
    if (band.type === "OFPMBT_DSCP_REMARK" && ((band.prec_level ?? 0) < 1 || (band.prec_level ?? 0) > 3))
      throw refuse("OFPMMFC_BAD_BAND_VALUE", "prec_level is 1 to 3");
  }
}
