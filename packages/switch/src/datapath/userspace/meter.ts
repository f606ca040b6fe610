// Hot path: `run`. Nothing is allocated, nothing throws.

import type { MeterConfig, MeterStats } from "../../dpif/dpif.js";

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
  tokens: number;
  packets = 0;
  bytes = 0;

  constructor(isRemark: boolean, precLevel: number, rate: number, size: number) {
    this.isRemark = isRemark;
    this.precLevel = precLevel;
    this.rate = rate;
    this.size = size;
    this.tokens = size;
  }
}

/** What a meter says of a packet. */
export const PASS = -1;
export const DROP = -2;

/** A meter (OpenFlow 1.3.5 §5.7): of the bands whose rate the packets are over, the one of the highest rate acts. */
export class Meter {
  readonly #bands: readonly Band[];
  readonly #isBits: boolean;
  readonly #leastBurst: number;
  #last: number;
  #packets = 0;
  #bytes = 0;

  constructor(config: MeterConfig, now: number) {
    this.#isBits = (config.flags & KBPS) !== 0;
    this.#leastBurst = this.#isBits ? WHOLE_FRAME_BITS : 1000;
    this.#bands = config.bands.map((band) => {
      // kb/s are bits a millisecond; a packet is 1000 tokens.
      const isGiven = (config.flags & BURST) !== 0 && band.burst_size > 0;
      const size = isGiven ? band.burst_size * 1000 : Math.max(band.rate * OWN_BURST_MS, this.#leastBurst);
      return new Band(band.type === "OFPMBT_DSCP_REMARK", band.prec_level ?? 0, band.rate, size);
    });
    this.#last = now;
  }

  /** Counts a packet. PASS, DROP, or how far to raise the drop precedence of its DSCP. */
  run(bytes: number, now: number): number {
    this.#packets++;
    this.#bytes += bytes;
    const elapsed = Math.max(0, now - this.#last);
    this.#last = now;
    const cost = this.#isBits ? bytes * 8 : 1000;
    let acting: Band | undefined;
    for (let i = 0; i < this.#bands.length; i++) {
      const band = this.#bands[i]!;
      band.tokens = Math.min(band.size, band.tokens + elapsed * band.rate);
      if (band.tokens >= cost) band.tokens -= cost;
      else if (!acting || band.rate > acting.rate) acting = band;
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
