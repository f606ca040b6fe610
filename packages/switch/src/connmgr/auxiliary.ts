import type { Duplex } from "node:stream";
import { IdleProbe, openStream, parseTarget, type Timer } from "@sluice/runtime";
import type { Agent } from "./agent.js";
import type { ControllerConfig, TargetHost } from "./controller.js";
import { openUdp } from "./udp-stream.js";

/** Auxiliary connections (1.3.5 §6.3.5): the switch opens them to a controller that knows it by the main connection,
 *  keeps them up while that one lives, and closes them with it. */

const MIN_BACKOFF_MS = 1_000;
/** Unreliable connections: silence before a HELLO or echo is sent again, and again before the connection is given up.
 *  §6.3.5 asks for no less than 5 s and 30 s. */
const UNRELIABLE_INTERVAL_MS = 15_000;

/** How many auxiliary connections a controller wants. */
export interface AuxiliaryConfig {
  /** By the main connection's own transport. */
  readonly reliable: number;
  /** By UDP, to the same host and port; for tcp: targets. */
  readonly udp: number;
}

const NO_AUXILIARIES: AuxiliaryConfig = { reliable: 0, udp: 0 };

/** The auxiliary connections that belong to one main connection. */
export class AuxiliaryConnections {
  readonly #host: TargetHost;
  readonly #main: Agent;
  readonly #links = new Map<number, AuxiliaryLink>();

  constructor(host: TargetHost, main: Agent, config: ControllerConfig) {
    this.#host = host;
    this.#main = main;
    this.update(config);
  }

  /** Numbers them from 1: first those by the main connection's transport, then those by UDP. */
  update(config: ControllerConfig): void {
    const { reliable, udp } = config.auxiliary ?? NO_AUXILIARIES;
    const hasUdp = parseTarget(config.target).kind === "tcp";
    const count = reliable + (hasUdp ? udp : 0);
    for (const [id, link] of this.#links) {
      if (id <= count && link.isReliable === id <= reliable) link.update(config);
      else {
        this.#links.delete(id);
        link.close();
      }
    }
    for (let id = 1; id <= count; id++) {
      if (!this.#links.has(id))
        this.#links.set(id, new AuxiliaryLink(this.#host, this.#main, config, id, id <= reliable));
    }
  }

  /** How many are up. */
  get open(): number {
    return [...this.#links.values()].filter(({ isOpen }) => isOpen).length;
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}

/** One auxiliary connection: connected again, with growing pauses, for as long as it is wanted. */
class AuxiliaryLink {
  readonly isReliable: boolean;
  readonly #host: TargetHost;
  readonly #main: Agent;
  readonly #id: number;
  readonly #attempt = new AbortController();
  readonly #probe: IdleProbe;
  #config: ControllerConfig;
  #agent: Agent | undefined;
  #retry: Timer | undefined;
  #backoffMs = 0;

  constructor(host: TargetHost, main: Agent, config: ControllerConfig, id: number, isReliable: boolean) {
    this.#host = host;
    this.#main = main;
    this.#config = config;
    this.#id = id;
    this.isReliable = isReliable;
    this.#probe = new IdleProbe({
      clock: host.clock,
      intervalMs: this.#intervalMs,
      probe: () => this.#agent?.probe(),
      dead: () => this.#agent?.close("no response to inactivity probe"),
    });
    void this.#connect();
  }

  get isOpen(): boolean {
    return this.#agent?.isOpen ?? false;
  }

  update(config: ControllerConfig): void {
    this.#config = config;
    this.#probe.setInterval(this.#intervalMs);
  }

  close(): void {
    this.#attempt.abort();
    this.#retry?.cancel();
    this.#agent?.close("main connection ended");
  }

  get #intervalMs(): number {
    return this.isReliable ? this.#config.probeIntervalMs : UNRELIABLE_INTERVAL_MS;
  }

  async #connect(): Promise<void> {
    const { signal } = this.#attempt;
    try {
      const stream = await this.#open();
      if (signal.aborted) return void stream.destroy();
      this.#agent = this.#host.adopt({
        stream,
        name: `${this.#config.target} auxiliary ${this.#id}`,
        config: this.#config,
        auxiliary: { main: this.#main, id: this.#id, isReliable: this.isReliable },
        onActivity: () => this.#probe.activity(),
        onOpen: () => {
          this.#backoffMs = 0;
          this.#host.changed();
        },
        onClosed: (_agent, why) => this.#lost(why),
      });
      this.#probe.start();
      this.#agent.start();
    } catch (error) {
      this.#lost((error as Error).message);
    }
  }

  #open(): Promise<Duplex> {
    const { target, tls } = this.#config;
    const parsed = parseTarget(target);
    if (!this.isReliable && parsed.kind !== "unix") return openUdp(parsed.host, parsed.port);
    return openStream(target, { ...tls, signal: this.#attempt.signal });
  }

  #lost(why: string): void {
    this.#agent = undefined;
    this.#probe.stop();
    if (this.#attempt.signal.aborted) return;
    const { target, maxBackoffMs } = this.#config;
    this.#backoffMs = Math.min(maxBackoffMs, Math.max(MIN_BACKOFF_MS, this.#backoffMs * 2));
    this.#host.log.dbg(`${target} auxiliary ${this.#id}: ${why}; next try in ${this.#backoffMs / 1000} s`);
    this.#retry = this.#host.clock.setTimeout(() => void this.#connect(), this.#backoffMs);
    this.#host.changed();
  }
}
