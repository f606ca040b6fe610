import { OVS_STATES, openStream, Reconnect } from "@sluice/runtime";
import type { Agent } from "./agent.js";
import { AuxiliaryConnections } from "./auxiliary.js";
import {
  type ControllerConfig,
  type ControllerStatus,
  type ControllerTarget,
  configure,
  type TargetHost,
} from "./controller.js";
import { OVSDB_ROLE } from "./roles.js";

/** A controller that the switch connects to, and connects to again when it was lost. */
export class ActiveController implements ControllerTarget {
  readonly #host: TargetHost;
  readonly #reconnect: Reconnect;
  #config: ControllerConfig;
  #attempt: AbortController | undefined;
  #agent: Agent | undefined;
  #auxiliaries: AuxiliaryConnections | undefined;
  #lastError = "";
  #connectedMs: number | undefined;
  #disconnectedMs: number | undefined;

  constructor(host: TargetHost, config: ControllerConfig) {
    this.#host = host;
    this.#config = config;
    this.#reconnect = new Reconnect({
      clock: host.clock,
      log: host.log,
      name: config.target,
      connect: () => void this.#connect(),
      disconnect: () => this.#disconnect(),
      probe: () => this.#agent?.probe(),
      maxBackoffMs: config.maxBackoffMs,
      probeIntervalMs: config.probeIntervalMs,
    });
    this.#reconnect.enable();
  }

  get config(): ControllerConfig {
    return this.#config;
  }

  update(config: ControllerConfig): void {
    this.#config = config;
    this.#reconnect.setMaxBackoff(config.maxBackoffMs);
    this.#reconnect.setProbeInterval(config.probeIntervalMs);
    if (this.#agent) configure(this.#agent, config);
    this.#auxiliaries?.update(config);
  }

  status(): ControllerStatus {
    const { isConnected } = this.#reconnect;
    const status: Record<string, string> = { state: OVS_STATES[this.#reconnect.state] };
    if (this.#lastError !== "") status.last_error = this.#lastError;
    const now = this.#host.clock.now();
    const seconds = (since: number): string => String(Math.floor((now - since) / 1000));
    if (this.#connectedMs !== undefined) status.sec_since_connect = seconds(this.#connectedMs);
    if (this.#disconnectedMs !== undefined) status.sec_since_disconnect = seconds(this.#disconnectedMs);
    if (this.#agent && this.#agent.packetIns.counters.dropped > 0) {
      status["packet-in-dropped"] = String(this.#agent.packetIns.counters.dropped);
    }
    const auxiliaries = this.#auxiliaries?.open ?? 0;
    if (auxiliaries > 0) status.n_auxiliaries = String(auxiliaries);
    const role = isConnected && this.#agent ? OVSDB_ROLE[this.#agent.role] : "";
    return { target: this.#config.target, is_connected: isConnected, role, status };
  }

  reconnect(): void {
    this.#reconnect.force();
  }

  async close(): Promise<void> {
    this.#reconnect.disable();
  }

  async #connect(): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    try {
      const stream = await openStream(this.#config.target, {
        ...this.#config.tls,
        signal: attempt.signal,
      });
      if (attempt.signal.aborted) return void stream.destroy();
      this.#agent = this.#host.adopt({
        stream,
        name: this.#config.target,
        config: this.#config,
        onOpen: () => this.#opened(),
        onActivity: () => this.#reconnect.activity(),
        onRole: () => this.#host.changed(),
        onIdentified: () => this.#identified(),
        onClosed: (agent, why) => this.#closed(agent, why),
      });
      this.#agent.start();
    } catch (error) {
      if (!attempt.signal.aborted) this.#failed((error as Error).message);
    }
    this.#host.changed();
  }

  #opened(): void {
    this.#reconnect.connected();
    this.#connectedMs = this.#host.clock.now();
    this.#host.changed();
  }

  /** A controller can only tell whose an auxiliary connection is once it knows the switch by the main one. */
  #identified(): void {
    if (this.#agent) this.#auxiliaries ??= new AuxiliaryConnections(this.#host, this.#agent, this.#config);
  }

  #closeAuxiliaries(): void {
    this.#auxiliaries?.close();
    this.#auxiliaries = undefined;
  }

  #closed(agent: Agent, why: string): void {
    if (agent !== this.#agent) return;
    this.#agent = undefined;
    this.#closeAuxiliaries();
    this.#failed(why);
  }

  #failed(why: string): void {
    if (this.#reconnect.isConnected) this.#disconnectedMs = this.#host.clock.now();
    this.#lastError = why;
    this.#reconnect.disconnected(why);
    this.#host.changed();
  }

  /** Ends what there is; Reconnect knows already. */
  #disconnect(): void {
    const agent = this.#agent;
    this.#agent = undefined;
    this.#attempt?.abort();
    agent?.close("connection given up");
    this.#closeAuxiliaries();
    if (this.#reconnect.state === "backoff") {
      this.#lastError = agent?.isOpen ? "no response to inactivity probe" : "connection attempt timed out";
    }
    this.#disconnectedMs = this.#host.clock.now();
    this.#host.changed();
  }
}
