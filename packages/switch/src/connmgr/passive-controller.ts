import { IdleProbe, type Listener, listen, type Timer } from "@sluice/runtime";
import type { Agent } from "./agent.js";
import {
  type ControllerConfig,
  type ControllerStatus,
  type ControllerTarget,
  configure,
  type TargetHost,
} from "./controller.js";
import { OVSDB_ROLE } from "./roles.js";

const MAX_CONNECTIONS = 256;
const RETRY_MS = 5_000;

/** A target that the switch listens on (ptcp:, pssl:, punix:). A port that is taken is tried again. */
export class PassiveController implements ControllerTarget {
  readonly #host: TargetHost;
  readonly #agents = new Map<Agent, IdleProbe>();
  #config: ControllerConfig;
  #listener: Listener | undefined;
  #retry: Timer | undefined;
  #error = "";
  #isClosed = false;
  /** Settles when the first attempt to listen is over. */
  readonly ready: Promise<void>;

  constructor(host: TargetHost, config: ControllerConfig) {
    this.#host = host;
    this.#config = config;
    this.ready = this.#listen();
  }

  get config(): ControllerConfig {
    return this.#config;
  }

  /** The target with the port that was really taken. */
  get boundTarget(): string | undefined {
    return this.#listener?.target;
  }

  update(config: ControllerConfig): void {
    this.#config = config;
    for (const [agent, probe] of this.#agents) {
      configure(agent, config);
      probe.setInterval(config.probeIntervalMs);
    }
  }

  /** The role shown is that of the connection that has been there longest. */
  status(): ControllerStatus {
    const open = [...this.#agents.keys()].filter((agent) => agent.isOpen);
    const status: Record<string, string> = {};
    if (this.#error !== "") status.last_error = this.#error;
    if (open.length > 1) status.n_connections = String(open.length);
    const role = open.length > 0 ? OVSDB_ROLE[open[0]!.role] : "";
    return { target: this.#config.target, is_connected: open.length > 0, role, status };
  }

  reconnect(): void {
    for (const agent of this.#agents.keys()) agent.close("asked to reconnect");
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.reconnect();
    await this.ready;
    await this.#listener?.close();
  }

  async #listen(): Promise<void> {
    const { log, clock } = this.#host;
    try {
      this.#listener = await listen(
        this.#config.target,
        (stream, peer) => {
          const agent = this.#host.adopt({
            stream,
            name: peer === "unix" ? this.#config.target : peer,
            config: this.#config,
            onActivity: () => this.#agents.get(agent)?.activity(),
            onOpen: () => {
              this.#agents.get(agent)?.start();
              this.#host.changed();
            },
            onRole: () => this.#host.changed(),
            onClosed: () => {
              this.#agents.get(agent)?.stop();
              this.#agents.delete(agent);
              this.#host.changed();
            },
          });
          this.#agents.set(agent, this.#probeFor(agent));
          agent.start();
        },
        { ...this.#config.tls, maxConnections: MAX_CONNECTIONS, onPeerError: (line) => log.info(line) },
      );
      this.#error = "";
    } catch (error) {
      const why = (error as Error).message;
      if (why !== this.#error) log.err(why);
      this.#error = why;
      if (!this.#isClosed) this.#retry = clock.setTimeout(() => void this.#listen(), RETRY_MS);
    }
    this.#host.changed();
  }

  #probeFor(agent: Agent): IdleProbe {
    return new IdleProbe({
      clock: this.#host.clock,
      intervalMs: this.#config.probeIntervalMs,
      probe: () => agent.probe(),
      dead: () => agent.close("no response to inactivity probe"),
    });
  }
}
