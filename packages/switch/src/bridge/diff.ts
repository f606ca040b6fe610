import { OFPP } from "@sluice/openflow-codec";
import type { DesiredBridge, DesiredPort, DesiredSwitch } from "./desired.js";

/** A port that is up: what was asked for, and its OpenFlow number. */
export interface Placed {
  readonly desired: DesiredPort;
  readonly ofport: number;
}

/** What runs now, as far as it decides what to change. */
export interface RunningBridge {
  readonly desired: DesiredBridge;
  /** Ports that are up; one that failed is not here, and so is tried again. */
  readonly ports: ReadonlyMap<string, Placed>;
}

/** Settings of a bridge that change while it lives. */
export type BridgeSetting =
  | "datapathId"
  | "failMode"
  | "macTable"
  | "floodVlans"
  | "flowTables"
  | "forwardBpdu"
  | "controllers";

/** One change; they are carried out in the order given. */
export type Step =
  | { op: "removeBridge"; bridge: string }
  | { op: "removePorts"; bridge: string; ports: readonly string[] }
  | { op: "addBridge"; bridge: DesiredBridge }
  | { op: "addPort"; bridge: string; port: DesiredPort }
  | { op: "updatePort"; bridge: string; port: DesiredPort; change: PortChange }
  | { op: "set"; bridge: DesiredBridge; setting: BridgeSetting };

export type PortChange = Partial<Pick<DesiredPort, "mac" | "mtu" | "vlan" | "qos">> & { patchPeer?: string };

const SETTINGS: readonly BridgeSetting[] = [
  "datapathId",
  "failMode",
  "macTable",
  "floodVlans",
  "flowTables",
  "forwardBpdu",
  "controllers",
];

/** Values of plain data: equal when they print the same. */
const same = (a: unknown, b: unknown): boolean => {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part)) ?? "";
  return a === b || text(a) === text(b);
};

/** The steps from what runs to what is desired: first what goes, then bridges, ports and settings; how a bridge fails
 *  comes before its ports. A port that is
 *  free to take another's number or device gets its chance that way; controllers come last, and see all of it. */
export function diff(running: ReadonlyMap<string, RunningBridge>, desired: DesiredSwitch): Step[] {
  const gone: Step[] = [];
  const added: Step[] = [];
  const ports: Step[] = [];
  const settings: Step[] = [];
  for (const [name, { desired: old }] of running) {
    if (isReplaced(old, desired.bridges.get(name))) gone.push({ op: "removeBridge", bridge: name });
  }
  for (const [name, bridge] of desired.bridges) {
    const before = running.get(name);
    const old = before && !isReplaced(before.desired, bridge) ? before : undefined;
    if (!old) added.push({ op: "addBridge", bridge });
    diffPorts(name, old?.ports ?? new Map(), bridge, gone, ports);
    for (const setting of SETTINGS) {
      if (old && same(old.desired[setting], bridge[setting])) continue;
      // A bridge that is to be secure must not forward by itself as soon as it has ports.
      const when = setting === "failMode" ? added : settings;
      when.push({ op: "set", bridge, setting });
    }
  }
  return [...gone, ...added, ...ports, ...settings];
}

const isReplaced = (old: DesiredBridge, next: DesiredBridge | undefined): boolean =>
  next === undefined || next.uuid !== old.uuid || next.datapathType !== old.datapathType;

function diffPorts(
  bridge: string,
  running: ReadonlyMap<string, Placed>,
  desired: DesiredBridge,
  gone: Step[],
  steps: Step[],
): void {
  const removed = removedPorts(running, desired);
  if (removed.size > 0) gone.push({ op: "removePorts", bridge, ports: [...removed] });
  const inOrder = [...desired.ports.values()].sort((a, b) => precedence(desired, a, b));
  for (const port of inOrder) {
    const old = running.get(port.name)?.desired;
    if (!old || removed.has(port.name)) steps.push({ op: "addPort", bridge, port });
    else {
      const change = changes(old, port);
      if (Object.keys(change).length > 0 || old.uuid !== port.uuid)
        steps.push({ op: "updatePort", bridge, port, change });
    }
  }
}

/** Ports that go, for good or to be set up again: those that nobody wants or that become another kind, and those that ask
 *  for a number which they can have. Who has it without having asked for it gives it up; who has asked for it keeps it. */
function removedPorts(running: ReadonlyMap<string, Placed>, desired: DesiredBridge): Set<string> {
  const removed = new Set<string>();
  const holders = new Map<number, string>();
  for (const [name, { desired: old, ofport }] of running) {
    const next = desired.ports.get(name);
    if (!next || isOther(old, next)) removed.add(name);
    else holders.set(ofport, name);
  }
  for (const [ofport, name] of [...holders]) {
    const wanted = desired.ports.get(name)!.ofportRequest;
    if (wanted === undefined || wanted === ofport || ofport === OFPP.LOCAL) continue;
    const holder = holders.get(wanted);
    if (holder !== undefined && desired.ports.get(holder)!.ofportRequest === wanted) continue;
    removed.add(name);
    if (holder !== undefined) removed.add(holder);
  }
  return removed;
}

/** The local port first; then those that ask for a number, before others take it; then by name, so that numbers
 *  given in one transaction do not depend on the order of UUIDs. */
function precedence(bridge: DesiredBridge, a: DesiredPort, b: DesiredPort): number {
  const rank = ({ name, ofportRequest }: DesiredPort): number =>
    name === bridge.name ? 0 : ofportRequest === undefined ? 2 : 1;
  return rank(a) - rank(b) || a.name.localeCompare(b.name, "en", { numeric: true });
}

/** Whether a port has to be taken down and set up again to become the next one. A row that takes another's place under the
 *  same name describes the same port. */
const isOther = (old: DesiredPort, next: DesiredPort): boolean =>
  old.type !== next.type || old.error !== next.error || old.options["xdp-mode"] !== next.options["xdp-mode"];

function changes(old: DesiredPort, next: DesiredPort): PortChange {
  return {
    ...(old.mac === next.mac ? {} : { mac: next.mac }),
    ...(old.mtu === next.mtu ? {} : { mtu: next.mtu }),
    ...(same(old.vlan, next.vlan) ? {} : { vlan: next.vlan }),
    ...(same(old.qos, next.qos) ? {} : { qos: next.qos }),
    ...(old.options.peer === next.options.peer ? {} : { patchPeer: next.options.peer ?? "" }),
  };
}
