import { chmodSync, existsSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from "node:tls";
import { formatTarget, OPENFLOW_PORT, parseTarget, StreamError, type Target } from "./target.js";

/** Paths of PEM files, under the names that OVSDB's SSL table has. `ca_cert: "none"` takes any peer. */
export interface TlsOptions {
  private_key?: string;
  certificate?: string;
  ca_cert?: string;
  /** Sent to peers behind the own certificate: of the authority that signed it, for who takes up that one from its first
   *  connection. */
  peer_ca_cert?: string | undefined;
}

export interface StreamOptions extends TlsOptions {
  /** Port where the target names none: 6653 unless given. */
  defaultPort?: number;
  /** Ends an attempt to connect. */
  signal?: AbortSignal;
}

export interface ListenOptions extends TlsOptions {
  defaultPort?: number;
  /** Connections held at once; one more is closed at once and counted. 4096 unless given. */
  maxConnections?: number;
  /** Told in one line of a peer that did not get through the TLS handshake. */
  onPeerError?: (line: string, peer?: string) => void;
}

export interface Listener {
  /** The target with the port really taken (of use after port 0). */
  readonly target: string;
  /** Connections refused because there were too many. */
  readonly refused: number;
  /** Stops listening, ends the accepted connections, and removes a unix socket's file. */
  close(): Promise<void>;
}

const WHY: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOENT: "no such file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EADDRINUSE: "already in use by another program",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "host not found",
  EAI_AGAIN: "host not found (name service does not answer)",
  ETIMEDOUT: "connection timed out",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ABORT_ERR: "attempt given up",
};

/** Turns whatever the operating system says into one line about `target`. */
export function streamError(target: string, error: unknown): StreamError {
  if (error instanceof StreamError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : WHY[code];
  return new StreamError(target, known ?? (message || code || "failed").split("\n")[0]!, code);
}

function tlsFile(target: string, name: keyof TlsOptions, options: TlsOptions): Buffer {
  const path = options[name];
  if (path === undefined || path === "") throw new StreamError(target, `needs ${name}`);
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StreamError(
      target,
      `${name} ${streamError(path, error).message}`,
      (error as NodeJS.ErrnoException).code,
    );
  }
}

/** Both ends show a certificate and check the other's against ca_cert, as Open vSwitch does; names in
 *  certificates are not compared with host names, since switches are known by their datapath_id. The files are
 *  read for each attempt to connect, so that replaced certificates are taken up; a listener reads them once. */
function tlsContext(target: string, options: TlsOptions) {
  const anyPeer = options.ca_cert === "none";
  const key = tlsFile(target, "private_key", options);
  const certificate = tlsFile(target, "certificate", options);
  const chain = options.peer_ca_cert === undefined ? [] : [tlsFile(target, "peer_ca_cert", options)];
  return {
    key,
    cert: Buffer.concat([certificate, ...chain.flatMap((ca) => [Buffer.from("\n"), ca])]),
    ...(anyPeer ? {} : { ca: tlsFile(target, "ca_cert", options) }),
    rejectUnauthorized: !anyPeer,
    requestCert: !anyPeer,
    minVersion: "TLSv1.2" as const,
    checkServerIdentity: () => undefined,
  };
}

/** An error on a stream is followed by 'close', which is what its owner acts on; it must not end the program. */
const quiet = <T extends Socket>(socket: T): T => socket.on("error", () => {});

/** Connects to an active target. Rejects with StreamError. */
export async function openStream(target: string, options: StreamOptions = {}): Promise<Socket> {
  const parsed = parseTarget(target, options.defaultPort ?? OPENFLOW_PORT);
  if (parsed.passive) throw new StreamError(target, "is a target to listen on, not to connect to");
  if (options.signal?.aborted) throw new StreamError(target, WHY.ABORT_ERR!, "ABORT_ERR");
  const socket = startConnecting(target, parsed, options);
  const event = parsed.kind === "ssl" ? "secureConnect" : "connect";
  return new Promise((resolve, reject) => {
    const abort = (): void => void socket.destroy(Object.assign(new Error(), { code: "ABORT_ERR" }));
    const finish = (): void => {
      options.signal?.removeEventListener("abort", abort);
      socket.off("close", onClose);
      socket.off("error", onError);
    };
    const onError = (error: Error): void => {
      finish();
      socket.destroy();
      reject(streamError(target, error));
    };
    const onClose = (): void => onError(Object.assign(new Error(), { code: "ECONNRESET" }));
    quiet(socket).once("error", onError).once("close", onClose);
    socket.once(event, () => {
      finish();
      resolve(socket);
    });
    options.signal?.addEventListener("abort", abort, { once: true });
  });
}

function startConnecting(target: string, to: Target, options: StreamOptions): Socket {
  if (to.kind === "unix") return connect({ path: to.path });
  const { host, port } = to;
  if (to.kind === "tcp") return connect({ host, port, noDelay: true });
  return tlsConnect({ host, port, ...tlsContext(target, options) }).setNoDelay(true);
}

/** The far end of an accepted connection, as a target. */
export function peerName(socket: Socket, kind: Target["kind"] = "tcp"): string {
  if (kind === "unix") return "unix";
  if (socket.remoteAddress === undefined) return `${kind}:(already gone)`;
  return formatTarget({ kind, passive: false, host: socket.remoteAddress, port: socket.remotePort ?? 0 });
}

/** Listens on a passive target and hands over each connection with its peer's name. Rejects with StreamError. */
export async function listen(
  target: string,
  onConnection: (socket: Socket, peer: string) => void,
  options: ListenOptions = {},
): Promise<Listener> {
  const parsed = parseTarget(target, options.defaultPort ?? OPENFLOW_PORT);
  if (!parsed.passive) throw new StreamError(target, "is a target to connect to, not to listen on");
  const accepted = new Set<Socket>();
  const ready = (socket: Socket): void => onConnection(socket, peerName(socket, parsed.kind));
  const server = makeServer(target, parsed, options, ready);
  server.on("connection", (socket: Socket) => {
    accepted.add(quiet(socket).once("close", () => accepted.delete(socket)));
  });
  let refused = 0;
  server.maxConnections = options.maxConnections ?? 4096;
  server.on("drop", (gone) => {
    refused++;
    if (gone === undefined || parsed.kind === "unix") return;
    const { remoteAddress: host = "", remotePort: port = 0 } = gone;
    const peer = formatTarget({ kind: parsed.kind, passive: false, host, port });
    options.onPeerError?.(`${peer} refused: ${server.maxConnections} connections are open`, peer);
  });

  try {
    await bind(server, parsed);
  } catch (error) {
    // Node says EACCES of a directory that is not there.
    if (parsed.kind === "unix" && !existsSync(dirname(parsed.path)))
      throw new StreamError(target, "no such directory", "ENOENT");
    if (parsed.kind !== "unix" || !(await isStaleSocket(parsed.path, error)))
      throw streamError(target, error);
    unlinkSync(parsed.path);
    await bind(server, parsed).catch((again) => {
      throw streamError(target, again);
    });
  }
  // Whoever may write to the socket may command the program: its user and group, whatever the umask says.
  if (parsed.kind === "unix") chmodSync(parsed.path, 0o770);
  // Out of file descriptors and the like: the connection is lost, the listener is not.
  server.on("error", (error) => options.onPeerError?.(streamError(target, error).message));

  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return {
    target: parsed.kind === "unix" ? target : formatTarget({ ...parsed, port }),
    get refused() {
      return refused;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of accepted) socket.destroy();
      }),
  };
}

function makeServer(
  target: string,
  parsed: Target,
  options: ListenOptions,
  ready: (socket: Socket) => void,
): Server {
  if (parsed.kind !== "ssl") return createServer({ noDelay: true }, ready);
  const context = tlsContext(target, options);
  const mustVouch = context.rejectUnauthorized;
  const refuse = (socket: TLSSocket, why: string): void => {
    const peer = peerName(socket, "ssl");
    options.onPeerError?.(`${peer}: ${why.split("\n")[0]}`, peer);
    socket.destroy();
  };
  // Node would hang up on a certificate that does not check without a word of why; so it is checked here.
  const server = createTlsServer(
    { ...context, rejectUnauthorized: false, handshakeTimeout: 10_000, noDelay: true },
    (socket: TLSSocket) => {
      if (mustVouch && !socket.authorized)
        refuse(quiet(socket), `certificate refused: ${socket.authorizationError}`);
      else ready(quiet(socket));
    },
  );
  return server.on("tlsClientError", (error, socket) => refuse(socket, error.message));
}

function bind(server: Server, to: Target): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const done = (): void => {
      server.off("error", reject);
      resolve();
    };
    if (to.kind === "unix") server.listen({ path: to.path }, done);
    else server.listen({ host: to.host === "" ? "0.0.0.0" : to.host, port: to.port }, done);
  });
}

/** Whether the address is taken only by a socket file that nobody listens on any more. */
async function isStaleSocket(path: string, error: unknown): Promise<boolean> {
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return false;
  if (!statSync(path).isSocket()) return false;
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once("error", (refusal: NodeJS.ErrnoException) => resolve(refusal.code === "ECONNREFUSED"));
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
  });
}
