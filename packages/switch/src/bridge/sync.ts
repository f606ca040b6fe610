import type { Clock, Log, Timer } from "@sluice/runtime";
import { type ConfigRows, desiredSwitch } from "./desired.js";
import type { Bridges } from "./reconfigure.js";
import {
  bridgeUpdates,
  type DatapathInfo,
  failedBridgeUpdates,
  type RowUpdate,
  reduce,
  statisticsUpdates,
} from "./status.js";

/** The configuration database, as the switch needs it. */
export interface ConfigDatabase {
  /** The configuration now; undefined while it is not known or another daemon has the lock. */
  config(): Configuration | undefined;
  /** A row's columns now. */
  row(table: RowUpdate["table"], uuid: string): Readonly<Record<string, unknown>> | undefined;
  /** Writes in one transaction. Rejects with one line. */
  write(updates: readonly RowUpdate[]): Promise<void>;
}

export interface Configuration extends ConfigRows {
  /** Of the Open_vSwitch row; undefined where there is none yet. */
  readonly rootUuid: string | undefined;
  /** Counted up by whoever changes the configuration and wants to know when it is in force. */
  readonly next_cfg: number;
}

export interface SyncOptions {
  clock: Clock;
  log: Log;
  database: ConfigDatabase;
  bridges: Bridges;
  datapathInfo: (datapathType: string) => DatapathInfo;
  /** Open_vSwitch columns that never change while the daemon runs. */
  identity: Readonly<Record<string, unknown>>;
  /** ms between writes of statistics where the database (other_config:stats-update-interval) does not say: 5 s. */
  statisticsMs?: number;
}

const STATISTICS_MS = 5_000;

/** Keeps the bridges as the database says, and the database's status columns as the bridges are. cur_cfg follows
 *  next_cfg in the same transaction as the status: whoever waits for it finds ofport and error in place. */
export class ConfigSync {
  readonly #options: SyncOptions;
  #ticker: Timer;
  #intervalMs: number;
  #isRunning = false;
  #isDirty = false;
  #isTick = false;
  #isStopped = false;
  #idle: (() => void)[] = [];

  constructor(options: SyncOptions) {
    this.#options = options;
    this.#intervalMs = options.statisticsMs ?? STATISTICS_MS;
    this.#ticker = options.clock.setInterval(this.#tick, this.#intervalMs);
  }

  /** The database or the bridges have changed. */
  readonly poke = (): void => {
    this.#isDirty = true;
    if (!this.#isRunning && !this.#isStopped) void this.#run();
  };

  readonly #tick = (): void => {
    this.#isTick = true;
    this.poke();
  };

  #restartTicker(intervalMs: number): void {
    if (intervalMs === this.#intervalMs) return;
    this.#intervalMs = intervalMs;
    this.#ticker.cancel();
    this.#ticker = this.#options.clock.setInterval(this.#tick, intervalMs);
  }

  /** Resolves when everything that is known now has been applied and written. */
  settled(): Promise<void> {
    return this.#isRunning ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#ticker.cancel();
    await this.settled();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#isDirty && !this.#isStopped) {
      this.#isDirty = false;
      const isTick = this.#isTick;
      this.#isTick = false;
      try {
        await this.#once(isTick);
      } catch (error) {
        this.#options.log.warn(`could not write status: ${(error as Error).message}`);
      }
    }
    this.#isRunning = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  async #once(isTick: boolean): Promise<void> {
    const { database, bridges, identity, datapathInfo } = this.#options;
    const config = database.config();
    if (config === undefined) return;
    const desired = desiredSwitch(config);
    this.#restartTicker(desired.statisticsMs ?? this.#options.statisticsMs ?? STATISTICS_MS);
    await bridges.apply(desired);
    const updates: RowUpdate[] = [];
    if (config.rootUuid !== undefined) {
      const columns = { ...identity, cur_cfg: config.next_cfg };
      updates.push({ table: "Open_vSwitch", uuid: config.rootUuid, columns });
    }
    for (const bridge of bridges.running.values()) {
      updates.push(...bridgeUpdates(bridge, datapathInfo(bridge.desired.datapathType)));
      if (isTick) updates.push(...(await statisticsUpdates(bridge)));
    }
    for (const failed of bridges.failed.values()) updates.push(...failedBridgeUpdates(failed));
    const changed = updates
      .map((update) => reduce(update, database.row(update.table, update.uuid), isTick))
      .filter((update) => update !== undefined);
    if (changed.length > 0) await database.write(changed);
  }
}
