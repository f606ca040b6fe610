import { type Clock, type Log, parseTarget, type TlsOptions } from "@sluice/runtime";
import type { Agent } from "./agent.js";
import type { AuxiliaryConfig } from "./auxiliary.js";
import type { PacketInLimits } from "./packet-in-queue.js";

/** One row of OVSDB's Controller table, as the connection manager needs it. */
export interface ControllerConfig {
  /** "tcp:127.0.0.1:6653", "ptcp:6653", "unix:/path", "ssl:…", … */
  readonly target: string;
  /** ms; 8 s unless given. */
  readonly maxBackoffMs: number;
  /** ms of silence before an echo request, and again before the connection is given up; 0 never. */
  readonly probeIntervalMs: number;
  readonly limits: PacketInLimits;
  readonly isAsyncEnabled: boolean;
  /** For active targets; none unless given. */
  readonly auxiliary?: AuxiliaryConfig;
  /** For ssl: and pssl: targets. */
  readonly tls: TlsOptions;
  /** Controller.type; by default active targets are primary controllers and passive ones are service. */
  readonly type?: "primary" | "service";
}

/** What the bridge layer writes back into the Controller row. */
export interface ControllerStatus {
  readonly target: string;
  readonly is_connected: boolean;
  /** Empty where there is no connection to have one. */
  readonly role: string;
  readonly status: Readonly<Record<string, string>>;
}

/** A target that may have a connection, or for a passive one several. */
export interface ControllerTarget {
  readonly config: ControllerConfig;
  /** Takes over what may change while connected; the target itself and the type do not. */
  update(config: ControllerConfig): void;
  status(): ControllerStatus;
  /** Drops the connections and starts over. */
  reconnect(): void;
  close(): Promise<void>;
}

/** What a target needs of the manager. */
export interface TargetHost {
  readonly clock: Clock;
  readonly log: Log;
  /** Registers a new connection and gives its agent; not started yet. */
  adopt(options: AdoptOptions): Agent;
  /** A status that OVSDB shows has changed. */
  changed(): void;
}

export type AdoptOptions = Omit<ConstructorParameters<typeof Agent>[0], "state" | "isService"> & {
  config: ControllerConfig;
};

export const isPassive = (target: string): boolean => parseTarget(target).passive;

export const isService = (config: ControllerConfig): boolean =>
  (config.type ?? (isPassive(config.target) ? "service" : "primary")) === "service";

/** Settings that an agent takes from its row. */
export function configure(agent: Agent, config: ControllerConfig): void {
  agent.channel.isAsyncEnabled = config.isAsyncEnabled;
  agent.packetIns.setLimits(config.limits);
}
