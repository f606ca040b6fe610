import type { Duplex } from "node:stream";
import {
  type Listener,
  listen,
  OVS_STATES,
  OVSDB_PORT,
  openStream,
  parseTarget,
  Reconnect,
  StreamError,
  type TlsOptions,
} from "@sluice/runtime";
import type { LockStatus } from "./locks.js";
import type { ServerCore } from "./server.js";
import type { Session } from "./session.js";

export interface RemoteOptions {
  tls: () => TlsOptions;
  readOnly?: boolean;
  probeIntervalMs?: number;
  maxBackoffMs?: number;
}

/** What a remote tells of itself, for the Manager table's columns. */
export interface RemoteStatus {
  readonly isConnected: boolean;
  readonly connections: number;
  /** Of the connection that the server makes; a listener has none. */
  readonly state: string | undefined;
  /** Without the target. */
  readonly lastError: string | undefined;
  /** Whole seconds, undefined where there has been none; always 0 for a listener, as ovsdb-server has it. */
  readonly secSinceConnect: number | undefined;
  readonly secSinceDisconnect: number | undefined;
  readonly boundPort: number | undefined;
  /** Of the peer that the server connects to; a listener's clients are not told of. */
  readonly locks: LockStatus | undefined;
}

/** A way for clients to reach the server: a port it listens on, or a peer it connects to. */
export interface Remote {
  /** The target, with the real port. */
  readonly target: string;
  status(): RemoteStatus;
  stop(): Promise<void>;
}

const DEFAULT_PROBE_MS = 5000;

/** Starts a remote. `onChange`: its status may be another. Rejects with StreamError. */
export const startRemote = async (
  server: ServerCore,
  target: string,
  options: RemoteOptions,
  onChange: () => void = () => {},
): Promise<Remote> => {
  const parsed = parseTarget(target, OVSDB_PORT);
  // A unix socket's peer cannot vanish unseen.
  const probeIntervalMs = options.probeIntervalMs ?? (parsed.kind === "unix" ? 0 : DEFAULT_PROBE_MS);
  const sessions = new Set<Session>();
  const attach = (stream: Duplex, name: string): Session => {
    const session = server.attach(stream, { name, probeIntervalMs, readOnly: options.readOnly ?? false });
    sessions.add(session);
    stream.once("close", () => {
      sessions.delete(session);
      onChange();
    });
    onChange();
    return session;
  };
  const tls = parsed.kind === "ssl" ? options.tls() : {};
  const making: Making = { server, target, tls, sessions, attach, onChange };
  return parsed.passive ? passiveRemote(making) : activeRemote(making, options.maxBackoffMs);
};

/** What a remote is made with. */
interface Making {
  readonly server: ServerCore;
  readonly target: string;
  readonly tls: TlsOptions;
  readonly sessions: ReadonlySet<Session>;
  readonly attach: (stream: Duplex, name: string) => Session;
  readonly onChange: () => void;
}

const passiveRemote = async ({ server, target, tls, sessions, attach }: Making): Promise<Remote> => {
  let lastError: string | undefined;
  const listener: Listener = await listen(target, (stream, peer) => attach(stream, peer), {
    ...tls,
    defaultPort: OVSDB_PORT,
    onPeerError: (line) => {
      lastError = line;
      server.log.warn(line);
    },
  });
  const bound = parseTarget(listener.target, OVSDB_PORT);
  return {
    target: listener.target,
    status: () => ({
      isConnected: sessions.size > 0,
      connections: sessions.size,
      state: undefined,
      lastError,
      secSinceConnect: 0,
      secSinceDisconnect: 0,
      boundPort: bound.kind === "unix" ? undefined : bound.port,
      locks: undefined,
    }),
    stop: async () => {
      for (const session of [...sessions]) session.close("the remote was removed");
      await listener.close();
    },
  };
};

/** What went wrong, without the target where that is named. */
export const reasonOf = (error: unknown): string => {
  if (!(error instanceof StreamError)) return String(error);
  const prefix = `${error.target}: `;
  return error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
};

const activeRemote = (
  { server, target, tls, sessions, attach, onChange }: Making,
  maxBackoffMs: number | undefined,
): Remote => {
  let attempt: AbortController | undefined;
  let session: Session | undefined;
  let lastError: string | undefined;
  let connectedAt: number | undefined;
  let disconnectedAt: number | undefined;
  const secondsSince = (at: number | undefined): number | undefined =>
    at === undefined ? undefined : Math.floor((server.clock.now() - at) / 1000);
  const reconnect = new Reconnect({
    clock: server.clock,
    log: server.log,
    name: target,
    // The session probes; this only keeps the connection up.
    probeIntervalMs: 0,
    ...(maxBackoffMs !== undefined && { maxBackoffMs }),
    probe: () => {},
    connect: () => {
      const mine = new AbortController();
      attempt = mine;
      openStream(target, { ...tls, defaultPort: OVSDB_PORT, signal: mine.signal }).then(
        (stream) => {
          if (mine.signal.aborted) {
            stream.destroy();
            return;
          }
          connectedAt = server.clock.now();
          session = attach(stream, target);
          reconnect.connected();
          onChange();
          stream.once("close", () => {
            if (mine.signal.aborted) return;
            session = undefined;
            disconnectedAt = server.clock.now();
            reconnect.disconnected("connection closed");
          });
        },
        (error: unknown) => {
          if (mine.signal.aborted) return;
          lastError = reasonOf(error);
          reconnect.disconnected(lastError);
          onChange();
        },
      );
    },
    disconnect: () => {
      attempt?.abort();
      session?.close("disconnected");
    },
  });
  reconnect.enable();
  return {
    target,
    status: () => ({
      isConnected: sessions.size > 0,
      connections: sessions.size,
      state: OVS_STATES[reconnect.state],
      lastError,
      secSinceConnect: secondsSince(connectedAt),
      secSinceDisconnect: secondsSince(disconnectedAt),
      boundPort: undefined,
      locks: session && server.locks.of(session),
    }),
    stop: async () => {
      reconnect.disable();
      attempt?.abort();
      session?.close("the remote was removed");
    },
  };
};
