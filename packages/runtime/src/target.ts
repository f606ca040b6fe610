import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import { runDir } from "./rundir.js";

/** A target that cannot be understood, or a stream that could not be had: one line that names the target. */
export class StreamError extends Error {
  readonly target: string;
  /** The operating system's name of the error (ECONNREFUSED …) where there is one. */
  readonly code: string | undefined;

  constructor(target: string, why: string, code?: string) {
    super(`${target}: ${why}`);
    this.name = "StreamError";
    this.target = target;
    this.code = code;
  }
}

/** Where to connect or to listen. `host` has no brackets; "" means every IPv4 address. */
export type Target =
  | { kind: "tcp" | "ssl"; passive: boolean; host: string; port: number }
  | { kind: "unix"; passive: boolean; path: string };

export const OPENFLOW_PORT = 6653;
export const OVSDB_PORT = 6640;

/** Linux' limit on the path of a unix socket; a longer one would be cut without a word. */
const UNIX_PATH_MAX = 107;

const ACTIVE = /^(tcp|ssl):(.*)$/;
const PASSIVE = /^p(tcp|ssl):(.*)$/;
const UNIX = /^(p?)unix:(.*)$/;
const ALLOWED =
  "allowed are tcp:HOST[:PORT], ssl:HOST[:PORT], unix:PATH, ptcp:[PORT][:IP], pssl:[PORT][:IP], punix:PATH";

/** Splits "HOST", "HOST:PORT", "[IPV6]:PORT" or a bare IPv6 address. */
function splitHostPort(text: string): [host: string, port: string] {
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(text);
  if (bracketed) return [bracketed[1]!, bracketed[2] ?? ""];
  if (isIPv6(text)) return [text, ""];
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

function portNumber(target: string, text: string, defaultPort: number): number {
  if (text === "") return defaultPort;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65535)) throw new StreamError(target, `"${text}" is not a port (0 to 65535)`);
  return port;
}

/** Understands a target as the Open vSwitch tools write them: the path of a unix socket is relative to `runDir()`.
 *  Throws StreamError. */
export function parseTarget(target: string, defaultPort = OPENFLOW_PORT): Target {
  const unix = UNIX.exec(target);
  if (unix) {
    if (unix[2] === "") throw new StreamError(target, "a path is missing");
    const path = resolve(runDir(), unix[2]!);
    const size = Buffer.byteLength(path);
    if (size > UNIX_PATH_MAX)
      throw new StreamError(target, `the path has ${size} bytes; a unix socket's may have ${UNIX_PATH_MAX}`);
    return { kind: "unix", passive: unix[1] === "p", path };
  }
  const active = ACTIVE.exec(target);
  if (active) {
    const [host, port] = splitHostPort(active[2]!);
    if (host === "") throw new StreamError(target, "a host is missing");
    return {
      kind: active[1] as "tcp" | "ssl",
      passive: false,
      host,
      port: portNumber(target, port, defaultPort),
    };
  }
  const passive = PASSIVE.exec(target);
  if (passive) {
    const [port, host = ""] = /^([^:]*)(?::(.*))?$/s.exec(passive[2]!)!.slice(1);
    const address = splitHostPort(host ?? "");
    if (address[1] !== "") throw new StreamError(target, `"${host}" is not an IP address`);
    return {
      kind: passive[1] as "tcp" | "ssl",
      passive: true,
      host: address[0],
      port: portNumber(target, port!, defaultPort),
    };
  }
  throw new StreamError(target, `not a connection target; ${ALLOWED}`);
}

const bracket = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** The inverse of parseTarget. */
export function formatTarget(target: Target): string {
  const p = target.passive ? "p" : "";
  if (target.kind === "unix") return `${p}unix:${target.path}`;
  if (!target.passive) return `${target.kind}:${bracket(target.host)}:${target.port}`;
  return `p${target.kind}:${target.port}${target.host === "" ? "" : `:${bracket(target.host)}`}`;
}
