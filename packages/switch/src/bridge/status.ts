import { OFPP } from "@sluice/openflow-codec";
import type { OvsRow } from "@sluice/ovsdb";
import type { ControllerStatus } from "../connmgr/controller.js";
import type { PortInfo } from "../ofproto/types.js";
import type { Bridge, RunningPort } from "./bridge.js";
import { formatDpid } from "./identity.js";
import type { FailedBridge } from "./reconfigure.js";

type Columns<T extends "Open_vSwitch" | "Bridge" | "Port" | "Interface" | "Controller"> = Partial<OvsRow<T>>;

/** New values for columns of one row. */
export interface RowUpdate {
  readonly table: "Open_vSwitch" | "Bridge" | "Port" | "Interface" | "Controller";
  readonly uuid: string;
  readonly columns: Readonly<Record<string, unknown>>;
}

/** OVSDB keeps OpenFlow 1.0's number of the local port. */
export const OVSDB_LOCAL = 65534;

/** What of a row is not supported, for its status. */
const unsupportedStatus = (settings: readonly string[]): [string, string][] =>
  settings.length === 0 ? [] : [["unsupported", settings.join(", ")]];

const state = (isUp: boolean): "up" | "down" => (isUp ? "up" : "down");

/** Interface columns of a port that is up, of a bridge with this datapath_type. */
export function interfaceColumns(
  info: PortInfo,
  { fallback }: Pick<RunningPort, "fallback">,
  unsupported: readonly string[],
  datapathType: string,
): Columns<"Interface"> {
  const { peer } = info;
  const isPatch = info.type === "patch";
  return {
    ofport: info.ofport === OFPP.LOCAL ? OVSDB_LOCAL : info.ofport,
    error:
      peer && !peer.isThere
        ? `No usable peer '${peer.name}' exists in '${datapathType || "system"}' datapath.`
        : undefined,
    mac_in_use: info.mac,
    ifindex: info.ifindex,
    admin_state: state(info.admin),
    link_state: state(info.link),
    link_resets: info.linkResets,
    link_speed: info.speed > 0 ? info.speed : undefined,
    duplex: info.speed > 0 ? "full" : undefined,
    mtu: isPatch ? undefined : info.mtu,
    status: new Map([
      ["driver_name", isPatch ? "openvswitch" : info.type],
      ...(fallback === undefined ? [] : ([["fallback", fallback]] as const)),
      ...unsupportedStatus(unsupported),
    ]),
  };
}

/** Interface columns of a port that could not be had: the number -1 tells ovs-vsctl to show the error. */
export const failedInterfaceColumns = (error: string): Columns<"Interface"> => ({
  ofport: -1,
  error,
  mac_in_use: undefined,
  ifindex: undefined,
  admin_state: undefined,
  link_state: undefined,
  link_resets: undefined,
  link_speed: undefined,
  duplex: undefined,
  mtu: undefined,
  status: new Map(),
  statistics: new Map(),
});

/** Bridge columns. `datapath` says which datapath really serves it. */
const bridgeColumns = (bridge: Bridge, datapath: DatapathInfo): Columns<"Bridge"> => ({
  datapath_id: formatDpid(bridge.ofproto.datapathId),
  datapath_version: datapath.version,
  status: new Map([
    ...(datapath.note === undefined ? [] : ([["datapath", datapath.note]] as const)),
    ...unsupportedStatus(bridge.desired.unsupported),
  ]),
});

export interface DatapathInfo {
  readonly version: string;
  /** Why it is another than the one asked for. */
  readonly note: string | undefined;
}

const controllerColumns = (status: ControllerStatus): Columns<"Controller"> => ({
  is_connected: status.is_connected,
  role: status.role === "" ? undefined : (status.role as "other" | "master" | "slave"),
  status: new Map(Object.entries(status.status)),
});

/** Updates for the rows of one bridge: itself, its interfaces, its controllers. */
export function bridgeUpdates(bridge: Bridge, datapath: DatapathInfo): RowUpdate[] {
  const updates: RowUpdate[] = [
    { table: "Bridge", uuid: bridge.desired.uuid, columns: bridgeColumns(bridge, datapath) },
  ];
  for (const [uuid, settings] of bridge.desired.unsupportedOfPorts) {
    updates.push({ table: "Port", uuid, columns: { status: new Map(unsupportedStatus(settings)) } });
  }
  for (const [name, { uuid, unsupported }] of bridge.desired.ports) {
    if (uuid === undefined) continue;
    const port = bridge.ports.get(name);
    const info = port && bridge.portInfo(name);
    const error = bridge.errors.get(name);
    if (port && info) {
      const columns = interfaceColumns(info, port, unsupported, bridge.desired.datapathType);
      updates.push({
        table: "Interface",
        uuid,
        columns: error === undefined ? columns : { ...columns, error },
      });
    } else if (error !== undefined) {
      updates.push({ table: "Interface", uuid, columns: failedInterfaceColumns(error) });
    }
  }
  const byTarget = new Map(bridge.connmgr.status().map((status) => [status.target, status]));
  for (const { uuid, target } of bridge.desired.controllers) {
    const status = byTarget.get(target);
    if (status) updates.push({ table: "Controller", uuid, columns: controllerColumns(status) });
  }
  return updates;
}

/** Updates for the interfaces of a bridge that could not be set up. */
export const failedBridgeUpdates = ({ desired, why }: FailedBridge): RowUpdate[] =>
  [...desired.ports.values()].flatMap(({ uuid }) =>
    uuid === undefined ? [] : [{ table: "Interface", uuid, columns: failedInterfaceColumns(why) } as const],
  );

/** Updates of the counters of one bridge's interfaces. */
export async function statisticsUpdates(bridge: Bridge): Promise<RowUpdate[]> {
  const updates: RowUpdate[] = [];
  for (const [name, { ofport, desired }] of bridge.ports) {
    const { uuid } = desired;
    if (uuid === undefined) continue;
    const statistics = await bridge.ofproto.portStatistics(ofport).catch(() => undefined);
    if (statistics === undefined || !bridge.ports.has(name)) continue;
    updates.push({ table: "Interface", uuid, columns: { statistics: new Map(Object.entries(statistics)) } });
  }
  return updates;
}

/** Columns of a status that count seconds: alone they are no reason to write at once. */
const isClock = (key: string): boolean => key.startsWith("sec_since_");

/** Whether a column's value differs from the row's. `isTick`: differences in mere seconds count too. */
export function differs(now: unknown, before: unknown, isTick: boolean): boolean {
  if (now instanceof Map && before instanceof Map) {
    if (now.size !== before.size) return true;
    return [...now].some(([key, value]) => value !== before.get(key) && (isTick || !isClock(String(key))));
  }
  if (Array.isArray(now) && Array.isArray(before)) {
    return now.length !== before.length || now.some((value, index) => value !== before[index]);
  }
  return now !== before;
}

/** The update without what the row says already; undefined when nothing is left. */
export function reduce(
  update: RowUpdate,
  row: Readonly<Record<string, unknown>> | undefined,
  isTick: boolean,
): RowUpdate | undefined {
  if (row === undefined) return undefined;
  const columns = Object.entries(update.columns).filter(([column, value]) =>
    differs(value, row[column], isTick),
  );
  return columns.length === 0 ? undefined : { ...update, columns: Object.fromEntries(columns) };
}
