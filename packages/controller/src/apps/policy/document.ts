import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Match, parseMatch } from "@sluice/openflow-codec";
import { Reader } from "./reader.js";

/** A rule of an access list. The first that matches decides; what none matches is dropped. */
export interface AclRule {
  readonly match: Match;
  readonly isAllowed: boolean;
  /** Ports that get a copy. */
  readonly mirrors: readonly string[];
  /** Where it is written. */
  readonly path: string;
}

export interface Vlan {
  readonly name: string;
  readonly vid: number;
  readonly acl: readonly AclRule[] | undefined;
}

export interface PolicyPort {
  /** As the switch calls it, or its number. */
  readonly name: string;
  readonly native: Vlan | undefined;
  readonly tagged: readonly Vlan[];
  readonly acl: readonly AclRule[] | undefined;
  /** Ports whose packets, both ways, are copied to this one. A port that mirrors does nothing else. */
  readonly mirrorOf: readonly string[];
}

export interface PolicySwitch {
  readonly name: string;
  readonly dpid: bigint;
  readonly ports: readonly PolicyPort[];
  /** Seconds without a packet of an address before it is forgotten. */
  readonly timeout: number;
}

/** What the switches of a file are to do. */
export interface Policy {
  readonly switches: ReadonlyMap<bigint, PolicySwitch>;
}

const MAX_VID = 4094;
const MAX_DPID = 2n ** 64n - 1n;
const DEFAULT_TIMEOUT = 300;

/** Reads a file of JSON or YAML. Throws a one-line Error that names the file, the path in it and the value. */
export function readPolicy(file: string): Policy {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${file}: ${code === "ENOENT" ? "no such file" : message}`);
  }
  return parsePolicy(text, file);
}

export function parsePolicy(text: string, file: string): Policy {
  const { vlans, acls, dps } = new Reader(parseYaml(text, file), `${file}: `).fields("vlans", "acls", "dps");
  const accessLists = new Map(
    (acls.isMissing() ? [] : acls.entries()).map(([name, list]) => [name, list.list().map(readRule)]),
  );
  const networks = new Map<string, Vlan>();
  for (const [name, entry] of vlans.isMissing() ? [] : vlans.entries()) {
    const vlan = readVlan(name, entry, accessLists);
    const twin = [...networks.values()].find(({ vid }) => vid === vlan.vid);
    if (twin) throw entry.fields("vid", "acl_in", "description").vid.wrong(`is the vid of ${twin.name}, too`);
    networks.set(name, vlan);
  }
  const switches = new Map<bigint, PolicySwitch>();
  for (const [name, entry] of dps.entries()) {
    const sw = readSwitch(name, entry, networks, accessLists);
    const twin = switches.get(sw.dpid);
    if (twin) throw new Error(`${entry.path}.dp_id: ${sw.dpid} is the dp_id of ${twin.name}, too`);
    switches.set(sw.dpid, sw);
  }
  return { switches };
}

/** JSON is YAML, too, and both give the place of a mistake. The parser is loaded only where there is a file to read. */
function parseYaml(text: string, file: string): unknown {
  const { parseDocument } = createRequire(import.meta.url)("yaml") as typeof import("yaml");
  const document = parseDocument(text, { prettyErrors: true, intAsBigInt: false });
  const [error] = document.errors;
  if (error) {
    const { line, col } = error.linePos?.[0] ?? { line: 1, col: 1 };
    const reason = error.message.split("\n")[0]!.replace(/ at line.*$/, "");
    throw new Error(`${file}: line ${line}, column ${col}: ${reason}`);
  }
  try {
    // Aliases within aliases could stand for very much.
    return document.toJS({ maxAliasCount: 100 });
  } catch (thrown) {
    throw new Error(`${file}: ${(thrown as Error).message}`);
  }
}

function readRule(rule: Reader): AclRule {
  const { match, allow, mirror } = rule.fields("match", "allow", "mirror");
  return {
    match: match.isMissing() ? {} : readMatch(match),
    isAllowed: allow.boolean(),
    mirrors: mirror.listOrOne().map((port) => String(port.value)),
    path: rule.path,
  };
}

/** Fields that the app itself matches on, and those that a packet has only later. */
const TAKEN: readonly string[] = ["in_port", "in_phy_port", "metadata", "tunnel_id"];

function readMatch(match: Reader): Match {
  const text = match.text();
  let parsed: Match;
  try {
    parsed = parseMatch(text) as Match;
  } catch (error) {
    throw match.wrong(`is not a match as ovs-ofctl has it: ${(error as Error).message}`);
  }
  const taken = Object.keys(parsed).find((field) => TAKEN.includes(field));
  if (taken !== undefined) throw match.wrong(`may not match on ${taken}: an access list stands at its ports`);
  return parsed;
}

type AccessLists = ReadonlyMap<string, readonly AclRule[]>;

function readVlan(name: string, entry: Reader, acls: AccessLists): Vlan {
  const { vid, acl_in } = entry.fields("vid", "acl_in", "description");
  return {
    name,
    vid: vid.integer(1, MAX_VID),
    acl: acl_in.isMissing() ? undefined : acl_in.name(acls, "an access list"),
  };
}

function readSwitch(
  name: string,
  entry: Reader,
  vlans: ReadonlyMap<string, Vlan>,
  acls: AccessLists,
): PolicySwitch {
  const { dp_id, interfaces, timeout } = entry.fields("dp_id", "interfaces", "timeout", "description");
  const dpid = readDpid(dp_id);
  const ports = interfaces.entries().map(([port, settings]) => readPort(port, settings, vlans, acls));
  const names = new Map(ports.map((port) => [port.name, port]));
  for (const [port, settings] of interfaces.entries())
    for (const mirrored of settings.fields(...PORT_KEYS).mirror.listOrOne()) {
      if (mirrored.name(names, "an interface of this switch").name === port)
        throw mirrored.wrong("is this interface itself");
    }
  for (const port of ports)
    for (const { mirrors, path } of [port, ...port.tagged, ...(port.native ? [port.native] : [])].flatMap(
      ({ acl }) => acl ?? [],
    ))
      for (const mirror of mirrors)
        if (!names.has(mirror))
          throw new Error(
            `${path}.mirror: ${JSON.stringify(mirror)} is not an interface of ${name}, where it is used`,
          );
  return {
    name,
    dpid,
    ports,
    timeout: timeout.isMissing() ? DEFAULT_TIMEOUT : timeout.integer(1, 0xffff),
  };
}

/** A number, or hexadecimal text as ovs-vsctl shows it: "0x1", "0000000000000001". */
function readDpid(reader: Reader): bigint {
  const { value } = reader;
  let dpid: bigint | undefined;
  if (typeof value === "number" && Number.isSafeInteger(value)) dpid = BigInt(value);
  else if (typeof value === "string" && /^(0x[0-9a-f]{1,16}|[0-9a-f]{16})$/i.test(value))
    dpid = BigInt(value.startsWith("0x") ? value : `0x${value}`);
  if (dpid === undefined || dpid < 1n || dpid > MAX_DPID)
    throw reader.wrong('is not a datapath id: a number, or hexadecimal text such as "0x1"');
  return dpid;
}

const PORT_KEYS = ["native_vlan", "tagged_vlans", "acl_in", "mirror", "description"] as const;

function readPort(
  name: string,
  entry: Reader,
  vlans: ReadonlyMap<string, Vlan>,
  acls: AccessLists,
): PolicyPort {
  const { native_vlan, tagged_vlans, acl_in, mirror } = entry.fields(...PORT_KEYS);
  const native = native_vlan.isMissing() ? undefined : native_vlan.name(vlans, "a VLAN");
  const tagged = tagged_vlans.listOrOne().map((item) => {
    const vlan = item.name(vlans, "a VLAN");
    if (vlan === native) throw item.wrong("is the native VLAN of this interface, too");
    return vlan;
  });
  const mirrorOf = mirror.listOrOne().map((port) => String(port.value));
  if (mirrorOf.length > 0 && (native || tagged.length > 0))
    throw mirror.wrong("cannot be: an interface that shows others' packets has no VLAN");
  return {
    name,
    native,
    tagged,
    acl: acl_in.isMissing() ? undefined : acl_in.name(acls, "an access list"),
    mirrorOf,
  };
}
