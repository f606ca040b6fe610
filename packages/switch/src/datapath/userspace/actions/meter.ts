// Hot path: `run`. Nothing is allocated, nothing throws.

import type { MeterConfig, MeterStats } from "../../../dpif/dpif.js";

const KBPS = 1;
const BURST = 4;
/** What may pass at once where no burst was given (1.3.5 §7.3.4.4 leaves it to the switch): little enough that ten
 *  seconds of a meter's traffic are its rate's within three hundredths, but a frame at least. */
const OWN_BURST_MS = 250;
const WHOLE_FRAME_BITS = 1518 * 8;

/** A band's token bucket: a packet that finds too few tokens is over the rate. */
class Band {
  readonly isRemark: boolean;
  readonly precLevel: number;
  /** Tokens a millisecond: bits, or thousandths of packets. */
  readonly rate: number;
  readonly size: number;
  packets = 0;
  bytes = 0;

  constructor(isRemark: boolean, precLevel: number, rate: number, size: number) {
    this.isRemark = isRemark;
    this.precLevel = precLevel;
    this.rate = rate;
    this.size = size;
  }
}

/** What a meter says of a packet. */
export const PASS = -1;
export const DROP = -2;

/** Of a meter's memory: the time of its last packet, and from TOKENS on what each band has. */
const LAST = 0;
const TOKENS = 1;

/** What threads share of a meter: rates hold for all of them together. They do not wait for each other, so that two
 *  packets in the same instant may be taken for one by the buckets; each thread counts its own. */
export const meterMemory = (config: MeterConfig): SharedArrayBuffer =>
  new SharedArrayBuffer((TOKENS + config.bands.length) * 8);

/** A meter (OpenFlow 1.3.5 §5.7): of the bands whose rate the packets are over, the one of the highest rate acts. */
export class Meter {
  readonly #bands: readonly Band[];
  readonly #isBits: boolean;
  readonly #memory: Float64Array;
  #packets = 0;
  #bytes = 0;

  /** `memory`: shared with others that meter the same, all 0 when it is new. */
  constructor(config: MeterConfig, now: number, memory?: SharedArrayBuffer) {
    this.#isBits = (config.flags & KBPS) !== 0;
    const leastBurst = this.#isBits ? WHOLE_FRAME_BITS : 1000;
    this.#bands = config.bands.map((band) => {
      // kb/s are bits a millisecond; a packet is 1000 tokens.
      const isGiven = (config.flags & BURST) !== 0 && band.burst_size > 0;
      const size = isGiven ? band.burst_size * 1000 : Math.max(band.rate * OWN_BURST_MS, leastBurst);
      return new Band(band.type === "OFPMBT_DSCP_REMARK", band.prec_level ?? 0, band.rate, size);
    });
    this.#memory = new Float64Array(memory ?? new ArrayBuffer((TOKENS + config.bands.length) * 8));
    if (this.#memory[LAST] !== 0) return;
    this.#memory[LAST] = now;
    this.#bands.forEach((band, i) => {
      this.#memory[TOKENS + i] = band.size;
    });
  }

  /** Counts a packet. PASS, DROP, or how far to raise the drop precedence of its DSCP. */
  run(bytes: number, now: number): number {
    this.#packets++;
    this.#bytes += bytes;
    const memory = this.#memory;
    const elapsed = Math.max(0, now - memory[LAST]!);
    memory[LAST] = now;
    const cost = this.#isBits ? bytes * 8 : 1000;
    let acting: Band | undefined;
    for (let i = 0; i < this.#bands.length; i++) {
      const band = this.#bands[i]!;
      const tokens = Math.min(band.size, memory[TOKENS + i]! + elapsed * band.rate);
      memory[TOKENS + i] = tokens >= cost ? tokens - cost : tokens;
      if (tokens >= cost) continue;
      if (!acting || band.rate > acting.rate) acting = band;
    }
    if (!acting) return PASS;
    acting.packets++;
    acting.bytes += bytes;
    return acting.isRemark ? acting.precLevel : DROP;
  }

  stats(): MeterStats {
    return {
      packets: this.#packets,
      bytes: this.#bytes,
      bands: this.#bands.map(({ packets, bytes }) => ({ packets, bytes })),
    };
  }
}
