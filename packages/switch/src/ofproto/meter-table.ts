import type { Clock } from "@sluice/runtime";
import type { MeterBandConfig } from "../dpif/dpif.js";
import type { DpBacker } from "./backer.js";
import { refuse } from "./error.js";
import { checkMeter, Meter } from "./meter.js";
import type { MeterMod } from "./of.js";
import type { Transaction } from "./transaction.js";

/** OFPM_* (1.3.5 §7.3.4.4). */
export const OFPM = {
  MAX: 0xffff_0000,
  SLOWPATH: 0xffff_fffd,
  CONTROLLER: 0xffff_fffe,
  ALL: 0xffff_ffff,
} as const;
/** Meters that a bridge holds at most. */
export const MAX_METERS = 65_536;

export interface MeterTableHooks {
  changed(): void;
  /** Removes the flows that use a meter that is going (1.3.5 §6.6). */
  removeFlowsWith(meter_id: number, transaction: Transaction): void;
}

/** The meter table of a bridge: what meter_mod does to it. The metering is the datapath's. */
export class MeterTable {
  readonly meters = new Map<number, Meter>();
  readonly #clock: Clock;
  readonly #backer: DpBacker;
  readonly #hooks: MeterTableHooks;

  constructor(clock: Clock, backer: DpBacker, hooks: MeterTableHooks) {
    this.#clock = clock;
    this.#backer = backer;
    this.#hooks = hooks;
  }

  apply(message: MeterMod, transaction: Transaction): void {
    switch (message.command) {
      case "OFPMC_ADD":
        this.#add(message);
        break;
      case "OFPMC_MODIFY":
        this.#modify(message);
        break;
      case "OFPMC_DELETE":
        this.#delete(message, transaction);
        break;
      default:
        throw refuse("OFPMMFC_BAD_COMMAND", `meter_mod command ${message.command}`);
    }
    this.#hooks.changed();
  }

  close(): void {
    for (const meter of this.meters.values()) this.#backer.returnMeter(meter.dpId);
    this.meters.clear();
  }

  #checkId(meter_id: number): void {
    const isVirtual = meter_id === OFPM.CONTROLLER || meter_id === OFPM.SLOWPATH;
    if (meter_id === 0 || (meter_id > OFPM.MAX && !isVirtual))
      throw refuse("OFPMMFC_INVALID_METER", `meter_id 0x${meter_id.toString(16)}`);
  }

  #add(message: MeterMod): void {
    this.#checkId(message.meter_id);
    if (this.meters.has(message.meter_id))
      throw refuse("OFPMMFC_METER_EXISTS", `meter ${message.meter_id} exists`);
    checkMeter(message);
    if (this.meters.size >= MAX_METERS) throw refuse("OFPMMFC_OUT_OF_METERS", `at most ${MAX_METERS} meters`);
    const meter = new Meter(message, this.#backer.takeMeter(), this.#clock.now());
    this.meters.set(message.meter_id, meter);
    this.#install(meter);
  }

  #modify(message: MeterMod): void {
    this.#checkId(message.meter_id);
    const meter = this.meters.get(message.meter_id);
    if (!meter) throw refuse("OFPMMFC_UNKNOWN_METER", `there is no meter ${message.meter_id}`);
    checkMeter(message);
    meter.modify(message);
    this.#install(meter);
  }

  #delete(message: MeterMod, transaction: Transaction): void {
    if (message.meter_id !== OFPM.ALL) this.#checkId(message.meter_id);
    const going =
      message.meter_id === OFPM.ALL
        ? [...this.meters.values()]
        : [this.meters.get(message.meter_id)].filter((meter) => meter !== undefined);
    for (const meter of going) {
      this.meters.delete(meter.meter_id);
      this.#hooks.removeFlowsWith(meter.meter_id, transaction);
      // Megaflows with the meter must be gone before its number may mean another.
      transaction.onCommit(() => void this.#backer.retireMeter(meter.dpId));
    }
  }

  #install(meter: Meter): void {
    const bands = meter.bands.map(
      (band): MeterBandConfig => ({
        type: band.type as MeterBandConfig["type"],
        rate: band.rate,
        burst_size: band.burst_size ?? 0,
        prec_level: "prec_level" in band ? band.prec_level : 0,
      }),
    );
    this.#backer.dpif.meterSet(meter.dpId, { flags: meter.flags, bands });
  }
}
