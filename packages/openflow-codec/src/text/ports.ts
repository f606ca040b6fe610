import { OFPP } from "../v13/numbers.js";
import { refuse } from "./error.js";

/** Names for a bridge's ports, in both directions; without them ports are numbers. */
export interface PortNames {
  /** The number of a port's name. */
  readonly number?: (name: string) => number | undefined;
  /** The name of a port's number, to print in place of it. */
  readonly name?: (port: number) => string | undefined;
}

/** OpenFlow 1.5's actset_output where an action set has no output. */
const UNSET = 0xffff_fff7;
const NAMED = [...Object.entries(OFPP).filter(([name]) => name !== "MAX"), ["UNSET", UNSET] as const];
export const RESERVED: ReadonlyMap<number, string> = new Map(NAMED.map(([name, value]) => [value, name]));
const BY_NAME = new Map([...NAMED, ["NONE", OFPP.ANY] as const]);

/** A port number of OpenFlow 1.1 and later as ovs-ofctl prints it. */
export function formatPort(port: number, names: PortNames = {}): string {
  const reserved = RESERVED.get(port);
  if (reserved !== undefined) return reserved;
  const name = names.name?.(port);
  return name === undefined ? String(port) : quoteName(name);
}

/** Names that could be taken for something else are quoted. */
const quoteName = (name: string): string =>
  /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) && !BY_NAME.has(name.toUpperCase()) ? name : JSON.stringify(name);

/** Open vSwitch's own ports are 16 bits: these stand for the 32-bit ones. */
export const port10To32 = (port: number): number => (port >= 0xff00 ? port + 0xffff_0000 : port);
export const port32To10 = (port: number): number => (port >= OFPP.MAX ? port - 0xffff_0000 : port);

export function parsePort(text: string, names: PortNames = {}): number {
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) {
    const port = Number(text);
    if (port < 0xff00 || (port >= OFPP.MAX && port <= OFPP.ANY)) return port;
    // The reserved ports' numbers of OpenFlow 1.0.
    if (port >= 0xfff8 && port <= 0xffff) return port10To32(port);
    return refuse(`port ${text} is neither less than 65280 nor a reserved port`);
  }
  const reserved = BY_NAME.get(text.toUpperCase());
  if (reserved !== undefined) return reserved;
  const bare = text.startsWith('"') ? unquote(text) : text;
  return names.number?.(bare) ?? refuse(`${text} is not a port`);
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return refuse(`${text} is not a quoted name`);
  }
}
