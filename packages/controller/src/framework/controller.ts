import type { Socket } from "node:net";
import type { OfMessage } from "@sluice/openflow-codec";
import {
  type Clock,
  createLog,
  type Listener,
  type Log,
  type LogRegistry,
  listen,
  openStream,
  Reconnect,
  realClock,
  type Timer,
  type TlsOptions,
} from "@sluice/runtime";
import type { EventEmitter } from "eventemitter3";
import type { App } from "./app.js";
import { hostOf, type Tap } from "./connection.js";
import { Datapath } from "./datapath.js";
import { type ControllerEvents, Dispatcher } from "./dispatch.js";
import { Outbox } from "./outbox.js";
import { PeerWatch } from "./peer-watch.js";
import { type Role, takeRole } from "./roles.js";
import type { Timings } from "./timings.js";

export interface ControllerOptions {
  /** Asked in this order. */
  apps: readonly App[];
  clock?: Clock;
  log?: LogRegistry;
  /** Silence of a switch before an echo request, and again before it counts as dead; 0 never asks. 5 s unless given. */
  probeIntervalMs?: number;
  /** For the handshake, and for each request. 10 s unless given. */
  timeoutMs?: number;
  /** A second connection with the dpid of a first: `replace` (unless given) ends the first, which is what a switch
   *  that restarted needs; `refuse` ends the second. */
  duplicate?: "replace" | "refuse";
  /** Set switches up and answer their echoes, but let no app hear what else they send: for tests of what a switch does
   *  then, as ovs-testcontroller's. */
  mute?: boolean;
  tls?: TlsOptions;
  /** What this controller is to its switches. While it is a slave the apps do not see them: they get `datapath_up` when it
   *  becomes master or equal, and `datapath_down` when another controller takes its place. `equal` unless given. */
  role?: Role;
  /** Where it is written down how long requests and apps take; nothing is measured without. */
  timings?: Timings;
  /** Sees every conversation with a switch, from its first byte. */
  tap?: (socket: Socket) => Tap;
  /** Where another controller listens that this one stands by for: a slave until that one does not answer any more, and
   *  then master. */
  standbyFor?: string;
}

const DEFAULT_PROBE_MS = 5000;
const MAX_HALF_OPEN = 1024;

/** Which event of the apps a message is. */
const EVENT = {
  OFPT_PACKET_IN: "packet_in",
  OFPT_PORT_STATUS: "port_status",
  OFPT_FLOW_REMOVED: "flow_removed",
  OFPT_ERROR: "error",
} as const;

/** An OpenFlow 1.3 controller: takes connections of switches (and makes them), runs the apps over them. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #dispatcher: Dispatcher;
  readonly #outbox = new Outbox();
  readonly #datapaths = new Map<bigint, Datapath>();
  readonly #all = new Set<Datapath>();
  /** Those without a handshake yet, the oldest first. */
  readonly #halfOpen = new Set<Datapath>();
  readonly #listeners: Listener[] = [];
  readonly #active: Reconnect[] = [];
  readonly #watch: PeerWatch | undefined;
  readonly #endWatch: () => void;
  readonly #roleTimer: Timer | undefined;
  #role: Role;
  #dropped = 0;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#log = (options.log ?? createLog({ clock: this.#clock })).module("controller");
    this.#dispatcher = new Dispatcher(options.apps, this.#log, {
      clock: this.#clock,
      timings: options.timings,
    });
    this.#endWatch = this.#dispatcher.watchStalls();
    this.#role = options.role ?? (options.standbyFor === undefined ? "equal" : "slave");
    if (options.standbyFor !== undefined) this.#watch = this.#standBy(options.standbyFor);
    const { probeIntervalMs = DEFAULT_PROBE_MS } = options;
    if (probeIntervalMs > 0) this.#roleTimer = this.#clock.setInterval(this.#askRoles, probeIntervalMs);
  }

  /** What this controller means to be to its switches; what it is to one, `datapaths` tells. */
  get role(): Role {
    return this.#role;
  }

  /** Takes a role at every switch, those that connect later too. Resolves when all have answered. */
  async setRole(role: Role): Promise<void> {
    this.#role = role;
    await Promise.all([...this.#datapaths.values()].map((dp) => this.#takeRole(dp, role)));
  }

  #standBy(target: string): PeerWatch {
    return new PeerWatch({
      ...{ target, clock: this.#clock, log: this.#log, outbox: this.#outbox, tls: this.#options.tls },
      probeIntervalMs: this.#options.probeIntervalMs ?? DEFAULT_PROBE_MS,
      gone: (why) => {
        this.#log.warn(`the controller at ${target} is gone (${why}): this one takes over`);
        void this.setRole("master");
      },
    });
  }

  async #takeRole(dp: Datapath, role: Role): Promise<void> {
    try {
      await takeRole(dp, role, BigInt(this.#clock.wallNow()));
      this.#log.info(`${role} of switch ${dp.id}`);
      this.#becomes(dp, role);
    } catch (error) {
      this.#log.err(`cannot be ${role} of switch ${dp.id}: ${(error as Error).message}`);
    }
  }

  /** The apps see the switches that this controller may write to. */
  #becomes(dp: Datapath, role: Role): void {
    if (this.#datapaths.get(dp.dpid) !== dp || dp.role === role) return;
    const [could, can] = [dp.role !== "slave", role !== "slave"];
    dp.role = role;
    if (can && !could) this.#dispatcher.dispatch("datapath_up", dp);
    if (could && !can) this.#dispatcher.dispatch("datapath_down", dp, "another controller is its master");
  }

  /** A master that slept while another took its place is told so by few switches, if it writes nothing: it asks. */
  readonly #askRoles = (): void => {
    if (this.#role !== "master") return;
    for (const dp of this.#datapaths.values()) {
      if (dp.role !== "master") continue;
      const question = { type: "OFPT_ROLE_REQUEST", role: "OFPCR_ROLE_NOCHANGE", generation_id: 0n } as const;
      dp.request(question).then(
        ({ role }) => {
          if (role === "OFPCR_ROLE_SLAVE") this.#deposed(dp);
        },
        // The switch is gone, or slow; it is asked again.
        () => {},
      );
    }
  };

  /** Another controller is the switch's master now. */
  #deposed(dp: Datapath): void {
    if (dp.role === "slave") return;
    this.#log.warn(`another controller is master of switch ${dp.id}`);
    if (this.#watch !== undefined) this.#role = "slave";
    this.#becomes(dp, "slave");
  }

  /** The switches that are up, by dpid. */
  get datapaths(): ReadonlyMap<bigint, Datapath> {
    return this.#datapaths;
  }

  /** In the order in which they are asked. */
  get apps(): readonly App[] {
    return this.#dispatcher.apps;
  }

  /** Goes on with another list of apps. No switch is let go: each is released by the apps that are not in the list any
   *  more (`datapath_release`, then `stop`), and introduced to the new ones (`datapath_up`). */
  setApps(apps: readonly App[]): void {
    this.#dispatcher.replaceApps(
      apps,
      [...this.#datapaths.values()].filter(({ role }) => role !== "slave"),
    );
  }

  /** The apps' events, for who only watches. */
  get events(): EventEmitter<ControllerEvents> {
    return this.#dispatcher.watchers;
  }

  /** Listens for switches on `ptcp:[PORT][:IP]`, `pssl:…` or `punix:PATH`. Rejects with StreamError. */
  async listen(target: string): Promise<Listener> {
    const listener = await listen(target, (socket, peer) => void this.accept(socket, peer), {
      ...this.#options.tls,
      onPeerError: (line, peer) => this.#log.warn(line, peer && hostOf(peer)),
    });
    this.#listeners.push(listener);
    return listener;
  }

  /** Keeps a connection to a switch that listens itself (`tcp:HOST[:PORT]`, `ssl:…`, `unix:PATH`). */
  connect(target: string): void {
    let current: Datapath | undefined;
    let attempt: AbortController | undefined;
    const reconnect = new Reconnect({
      clock: this.#clock,
      log: this.#log,
      name: target,
      // The switch's own connection probes; this one only tries again.
      probeIntervalMs: 0,
      probe: () => {},
      connect: () => {
        const mine = new AbortController();
        attempt = mine;
        openStream(target, { ...this.#options.tls, signal: mine.signal }).then(
          (socket) => {
            if (mine.signal.aborted) {
              socket.destroy();
              return;
            }
            reconnect.connected();
            const dp = this.accept(socket, target, (why) => {
              if (current !== dp) return;
              // It lived until now: that decides how soon to try again.
              if (dp.isUp) reconnect.activity();
              reconnect.disconnected(why);
            });
            current = dp;
          },
          (error: Error) => {
            if (!mine.signal.aborted) reconnect.disconnected(error.message);
          },
        );
      },
      disconnect: () => {
        attempt?.abort();
        const dp = current;
        current = undefined;
        dp?.close("controller stops");
      },
    });
    this.#active.push(reconnect);
    reconnect.enable();
  }

  /** Serves a connection that is already there. `onEnd` is told why it ended. */
  accept(socket: Socket, peer: string, onEnd: (why: string) => void = () => {}): Datapath {
    const dp = new Datapath({
      socket,
      peer,
      clock: this.#clock,
      log: this.#log,
      outbox: this.#outbox,
      probeIntervalMs: this.#options.probeIntervalMs ?? DEFAULT_PROBE_MS,
      timeoutMs: this.#options.timeoutMs ?? 10_000,
      timings: this.#options.timings,
      tap: this.#options.tap?.(socket),
      handlers: {
        up: this.#onUp,
        message: this.#onMessage,
        down: (gone, why) => {
          this.#onDown(gone, why);
          onEnd(why);
        },
      },
    });
    this.#all.add(dp);
    this.#halfOpen.add(dp);
    if (this.#halfOpen.size > MAX_HALF_OPEN) this.#dropOldest();
    return dp;
  }

  /** Of connections without a handshake there may be so many; for one more the one that had the most time for it goes, so
   *  that a flood of them keeps no switch out. */
  #dropOldest(): void {
    for (const oldest of this.#halfOpen) {
      this.#dropped++;
      oldest.close(`no handshake, and ${MAX_HALF_OPEN} connections came after it`);
      return;
    }
  }

  /** How often handlers of an app threw or rejected, by its name ("watcher": what only watches). */
  get failures(): ReadonlyMap<string, number> {
    return this.#dispatcher.failures;
  }

  /** Connections ended since too many were without a handshake. */
  get halfOpenDropped(): number {
    return this.#dropped;
  }

  /** Lets go of all switches and stops listening. The apps stop first: a switch that is let go of is none that was lost,
   *  and what the others forward stays as it is. */
  async stop(): Promise<void> {
    for (const app of this.#dispatcher.apps) app.stop?.();
    this.#endWatch();
    this.#roleTimer?.cancel();
    this.#watch?.stop();
    for (const reconnect of this.#active.splice(0)) reconnect.disable();
    for (const dp of [...this.#all]) dp.close("controller stops");
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  readonly #onUp = (dp: Datapath): void => {
    this.#halfOpen.delete(dp);
    const other = this.#datapaths.get(dp.dpid);
    if (other) {
      const both = `two connections with dpid ${dp.id}, from ${other.peer} and ${dp.peer}`;
      if (this.#options.duplicate === "refuse") {
        dp.close(`${both}; the later is refused`);
        return;
      }
      other.close(`${both}; the later replaces the earlier`);
    }
    this.#datapaths.set(dp.dpid, dp);
    this.#log.info(`switch ${dp.id} connected from ${dp.peer}, ${dp.ports.size} ports`, dp.id);
    if (this.#role === "equal") this.#dispatcher.dispatch("datapath_up", dp);
    else {
      dp.role = "slave";
      void this.#takeRole(dp, this.#role);
    }
  };

  readonly #onMessage = (dp: Datapath, message: OfMessage): void => {
    if (this.#datapaths.get(dp.dpid) !== dp) return;
    if (isDeposing(message)) this.#deposed(dp);
    if (dp.role === "slave" || this.#options.mute) return;
    const event =
      (EVENT as Readonly<Record<string, (typeof EVENT)[keyof typeof EVENT]>>)[message.type] ?? "other";
    this.#dispatcher.dispatch(event, dp, message as never);
  };

  readonly #onDown = (dp: Datapath, why: string): void => {
    this.#all.delete(dp);
    this.#halfOpen.delete(dp);
    const wasUp = this.#datapaths.get(dp.dpid) === dp;
    if (wasUp) this.#datapaths.delete(dp.dpid);
    if (wasUp) this.#log.info(`switch ${dp.id} disconnected: ${why}`, dp.id);
    else this.#log.info(`${dp.peer} disconnected: ${why}`, hostOf(dp.peer));
    if (wasUp && dp.role !== "slave") this.#dispatcher.dispatch("datapath_down", dp, why);
  };
}

/** Whether a message says that its controller is a slave now. */
const isDeposing = (message: OfMessage): boolean =>
  (message.type === "OFPT_ERROR" && message.error_code === "OFPBRC_IS_SLAVE") ||
  (message.type === "ONFT_ROLE_STATUS" && message.role === "OFPCR_ROLE_SLAVE");
