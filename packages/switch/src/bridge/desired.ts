import type { OvsRow } from "@sluice/ovsdb";
import type { TlsOptions } from "@sluice/runtime";
import type { ControllerConfig } from "../connmgr/controller.js";
import { DEFAULT_LIMITS } from "../connmgr/packet-in-queue.js";
import { DEFAULT_VLAN_LIMIT } from "../dpif/dpif.js";
import { parseSubfield } from "../ofproto/eviction.js";
import type {
  FailMode,
  FlowTableConfig,
  MacTableConfig,
  PriorityTags,
  QueueSpec,
  VlanConfig,
} from "../ofproto/types.js";
import { dpidOfMac, macOfUuid, parseDpid, parseMac } from "./identity.js";
import { cores, number } from "./other-config.js";
import { desiredQos } from "./qos.js";
import { type UNSUPPORTED, unsupportedIn, unsupportedText } from "./unsupported.js";

/** Rows of one table by UUID. */
export type Rows<R> = ReadonlyMap<string, R>;

/** The columns that configure the switch (ovs-vswitchd.conf.db). */
export interface ConfigRows {
  root: Pick<OvsRow<"Open_vSwitch">, "bridges" | "ssl" | "other_config">;
  bridges: Rows<
    Pick<
      OvsRow<"Bridge">,
      | "name"
      | "datapath_type"
      | "ports"
      | "controller"
      | "protocols"
      | "fail_mode"
      | "other_config"
      | "flood_vlans"
      | "flow_tables"
    >
  >;
  flowTables: Rows<Pick<OvsRow<"Flow_Table">, "name" | "flow_limit" | "overflow_policy" | "groups">>;
  ports: Rows<
    Pick<
      OvsRow<"Port">,
      "name" | "interfaces" | "tag" | "trunks" | "cvlans" | "vlan_mode" | "protected" | "qos" | "other_config"
    >
  >;
  interfaces: Rows<
    Pick<OvsRow<"Interface">, "name" | "type" | "options" | "ofport_request" | "mac" | "mtu_request">
  >;
  controllers: Rows<
    Pick<
      OvsRow<"Controller">,
      | "target"
      | "type"
      | "other_config"
      | "max_backoff"
      | "inactivity_probe"
      | "enable_async_messages"
      | "controller_queue_size"
      | "controller_rate_limit"
      | "controller_burst_limit"
    >
  >;
  qos: Rows<Pick<OvsRow<"QoS">, "type" | "queues" | "other_config">>;
  queues: Rows<Pick<OvsRow<"Queue">, "other_config">>;
  ssl: Rows<Pick<OvsRow<"SSL">, "private_key" | "certificate" | "ca_cert">>;
}

export interface DesiredSwitch {
  /** Megaflows a datapath may hold, and ms after which an unused one goes; undefined: as many as the datapath likes. */
  readonly flowLimit: number | undefined;
  readonly maxIdle: number | undefined;
  /** pmd-cpu-mask: the cores that the datapath has a thread on; empty: one thread, on any. */
  readonly cores: readonly number[];
  /** Whether somebody restores flows first: no controllers, no new packets until it is over. */
  readonly flowRestoreWait: boolean;
  /** How many VLAN tags matches see. */
  readonly vlanLimit: number;
  /** How long an OpenFlow bundle waits for what is still to come, ms; undefined: the default. */
  readonly bundleIdleMs: number | undefined;
  /** ms between writes of statistics; undefined: the default. */
  readonly statisticsMs: number | undefined;
  readonly bridges: ReadonlyMap<string, DesiredBridge>;
  /** Lines for the log: settings that make no sense and were passed over. */
  readonly complaints: readonly string[];
}

export interface DesiredBridge {
  readonly uuid: string;
  readonly name: string;
  /** As the row has it; "" means "system". */
  readonly datapathType: string;
  readonly datapathId: bigint;
  /** Of the local port. */
  readonly mac: string;
  readonly failMode: FailMode;
  readonly macTable: MacTableConfig;
  readonly floodVlans: readonly number[];
  readonly flowTables: readonly FlowTableConfig[];
  readonly forwardBpdu: boolean;
  readonly dpDesc: string;
  readonly serial: string;
  readonly controllers: readonly DesiredController[];
  readonly ports: ReadonlyMap<string, DesiredPort>;
  /** What of its row is not supported. */
  readonly unsupported: readonly string[];
  /** The same of its Port rows, by UUID. */
  readonly unsupportedOfPorts: ReadonlyMap<string, readonly string[]>;
}

export interface DesiredController extends ControllerConfig {
  /** Of the Controller row. */
  readonly uuid: string;
}

/** One Interface with what its Port says about VLANs. */
export interface DesiredPort {
  /** Of the Interface row; undefined for a local port that no row describes. */
  readonly uuid: string | undefined;
  readonly name: string;
  readonly type: string;
  readonly options: Readonly<Record<string, string>>;
  readonly ofportRequest: number | undefined;
  readonly mac: string | undefined;
  readonly mtu: number | undefined;
  readonly vlan: VlanConfig;
  /** How its sending is shaped; undefined: not at all. */
  readonly qos: PortQos | undefined;
  /** Why it cannot be, for Interface.error. */
  readonly error: string | undefined;
  /** What of its row is not supported, though it can be without. */
  readonly unsupported: readonly string[];
}

/** Rates of a port and its queues, bits/s. */
export interface PortQos {
  /** As the row calls it. */
  readonly type: string;
  readonly maxRate: number | undefined;
  readonly queues: readonly QueueSpec[];
}

export const INTERFACE_TYPES: readonly string[] = ["afxdp", "dummy", "internal", "patch", "system", "tap"];
export const DATAPATH_TYPES: readonly string[] = ["netdev", "system"];

/** EtherTypes of VLAN tags. */
const ETH_VLAN = 0x8100;
const ETH_QINQ = 0x88a8;

/** Auxiliary connections of a kind that a controller may have. */
const MAX_AUXILIARIES = 16;

const NO_VLAN: VlanConfig = {
  vlan_mode: "trunk",
  tag: 0,
  trunks: [],
  cvlans: [],
  qinqEthertype: ETH_QINQ,
  protected: false,
  priorityTags: "never",
};

/** Reads the configuration rows as the state that the switch should be in. Never fails: what makes no sense is
 *  left out with a complaint, or becomes an error of its port. */
export function desiredSwitch(rows: ConfigRows): DesiredSwitch {
  const complaints: string[] = [];
  const bridges = new Map<string, DesiredBridge>();
  unsupported("Open_vSwitch", rows.root, (text) => void complaints.push(text));
  for (const uuid of rows.root.bridges) {
    const bridge = desiredBridge(uuid, rows, complaints);
    if (bridge) bridges.set(bridge.name, bridge);
  }
  return {
    flowLimit: number(rows.root.other_config, "flow-limit", 0, 2_000_000),
    maxIdle: number(rows.root.other_config, "max-idle", 500, 3_600_000),
    cores: cores(rows.root.other_config.get("pmd-cpu-mask"), (text) => void complaints.push(text)),
    flowRestoreWait: rows.root.other_config.get("flow-restore-wait") === "true",
    vlanLimit: desiredVlanLimit(rows.root.other_config),
    bundleIdleMs: seconds(number(rows.root.other_config, "bundle-idle-timeout", 0, 86_400)),
    statisticsMs: number(rows.root.other_config, "stats-update-interval", 5_000, 86_400_000),
    bridges,
    complaints,
  };
}

/** 1 unless something else is asked for; 0: no other limit than there is. */
const desiredVlanLimit = (other_config: ReadonlyMap<string, string>): number =>
  number(other_config, "vlan-limit", 0, Number.MAX_SAFE_INTEGER) ?? DEFAULT_VLAN_LIMIT;
/** In ms; 0 is as good as nothing. */
const seconds = (count: number | undefined): number | undefined => (count ? count * 1000 : undefined);

/** What of a row is not supported; complains of it. */
function unsupported(
  table: keyof typeof UNSUPPORTED,
  row: object,
  complain: (text: string) => void,
): readonly string[] {
  const settings = unsupportedIn(table, row);
  if (settings.length > 0) complain(unsupportedText(settings));
  return settings;
}

function desiredBridge(uuid: string, rows: ConfigRows, complaints: string[]): DesiredBridge | undefined {
  const row = rows.bridges.get(uuid);
  if (!row) return undefined;
  const complain = (text: string): void => void complaints.push(`bridge ${row.name}: ${text}`);
  if (!isDeviceName(row.name)) {
    complain("the name cannot be a device's: 1 to 15 characters, no '/' and no space");
    return undefined;
  }
  if (row.protocols.length > 0 && !row.protocols.includes("OpenFlow13")) {
    complain(
      `protocols ${row.protocols.join(", ")} do not include OpenFlow13, the only one there is; it is used all the same`,
    );
  }
  const mac = parseMac(row.other_config.get("hwaddr"), complain) ?? macOfUuid(uuid);
  const ports = desiredPorts(row.name, row.ports, rows, complain);
  if (!ports.has(row.name)) ports.set(row.name, localPort(row.name));
  const local = ports.get(row.name)!;
  if (local.mac !== undefined)
    complain("mac in its Interface record is ignored; other_config:hwaddr sets it");
  ports.set(row.name, { ...local, type: "internal", mac });
  return {
    uuid,
    name: row.name,
    datapathType: row.datapath_type,
    datapathId: parseDpid(row.other_config.get("datapath-id"), complain) ?? dpidOfMac(mac),
    mac,
    failMode: row.fail_mode ?? "standalone",
    macTable: {
      ageing: number(row.other_config, "mac-aging-time", 15, 3600) ?? 300,
      size: number(row.other_config, "mac-table-size", 10, 1_000_000) ?? 8192,
    },
    floodVlans: row.flood_vlans,
    flowTables: [...row.flow_tables].flatMap(([table_id, id]) => flowTable(table_id, id, rows, complain)),
    forwardBpdu: row.other_config.get("forward-bpdu") === "true",
    dpDesc: row.other_config.get("dp-desc") ?? row.name,
    serial: row.other_config.get("dp-sn") ?? "None",
    controllers: row.controller.flatMap((id) => desiredController(id, rows, complain)),
    ports,
    unsupported: unsupported("Bridge", row, complain),
    unsupportedOfPorts: new Map(
      row.ports.flatMap((id) => {
        const port = rows.ports.get(id);
        return port
          ? [[id, unsupported("Port", port, (text) => complain(`port ${port.name}: ${text}`))]]
          : [];
      }),
    ),
  };
}

function flowTable(
  table_id: number,
  uuid: string,
  rows: ConfigRows,
  complain: (text: string) => void,
): FlowTableConfig[] {
  const row = rows.flowTables.get(uuid);
  if (!row) return [];
  const groups = row.groups.flatMap((text) => {
    const subfield = parseSubfield(text);
    if (!subfield) complain(`flow table ${table_id}: groups: ${JSON.stringify(text)} is no part of a field`);
    return subfield ? [subfield] : [];
  });
  return [
    { table_id, name: row.name, flowLimit: row.flow_limit, evicts: row.overflow_policy === "evict", groups },
  ];
}

const localPort = (name: string): DesiredPort => ({
  uuid: undefined,
  name,
  type: "internal",
  options: {},
  ofportRequest: undefined,
  mac: undefined,
  mtu: undefined,
  vlan: NO_VLAN,
  qos: undefined,
  error: undefined,
  unsupported: [],
});

function desiredPorts(
  bridge: string,
  ids: readonly string[],
  rows: ConfigRows,
  complain: (text: string) => void,
): Map<string, DesiredPort> {
  const ports = new Map<string, DesiredPort>();
  for (const id of ids) {
    const port = rows.ports.get(id);
    if (!port) continue;
    if (port.interfaces.length > 1)
      complain(`port ${port.name}: bonds are not supported; its first interface is used`);
    const vlan = desiredVlan(port);
    const qos = desiredQos(port.qos, rows, (text) => complain(`port ${port.name}: ${text}`));
    for (const [index, uuid] of port.interfaces.entries()) {
      const row = rows.interfaces.get(uuid);
      if (!row) continue;
      // Other devices keep the address that they have.
      const wanted = row.type === "internal" || row.name === bridge ? row.mac : undefined;
      const mac = parseMac(wanted, (text) => complain(`interface ${row.name}: ${text}`));
      ports.set(row.name, {
        uuid,
        name: row.name,
        type: row.type === "" ? "system" : row.type,
        options: Object.fromEntries(row.options),
        ofportRequest: row.ofport_request,
        mac,
        mtu: row.mtu_request,
        vlan,
        qos,
        error: index > 0 ? `${row.name}: bonds are not supported` : interfaceError(row),
        unsupported: unsupported("Interface", row, (text) => complain(`interface ${row.name}: ${text}`)),
      });
    }
  }
  return ports;
}

/** What of the row alone shows that there can be no such port. */
function interfaceError(row: {
  name: string;
  type: string;
  options: ReadonlyMap<string, string>;
}): string | undefined {
  const { name, type } = row;
  if (type !== "" && !INTERFACE_TYPES.includes(type)) {
    return `${name}: interface type "${type}" is not supported (there are ${INTERFACE_TYPES.join(", ")})`;
  }
  if (type === "patch") {
    const peer = row.options.get("peer");
    if (peer === undefined || peer === "") return `${name}: patch type requires valid 'peer' argument`;
    if (peer === name) return `${name}: patch peer must not be self`;
    return undefined;
  }
  return isDeviceName(name)
    ? undefined
    : `${name}: the name cannot be a device's: 1 to 15 characters, no '/' and no space`;
}

/** Linux' rule for the names of network devices (IFNAMSIZ, dev_valid_name), which dummies keep too. */
const isDeviceName = (name: string): boolean => /^[^\s/:]{1,15}$/.test(name) && name !== "." && name !== "..";

function desiredVlan(port: {
  tag: number | undefined;
  trunks: readonly number[];
  cvlans: readonly number[];
  vlan_mode: string | undefined;
  protected: boolean;
  other_config: ReadonlyMap<string, string>;
}): VlanConfig {
  const vlan_mode = (port.vlan_mode ??
    (port.tag === undefined ? "trunk" : "access")) as VlanConfig["vlan_mode"];
  const priority = port.other_config.get("priority-tags") ?? "never";
  return {
    vlan_mode,
    tag: vlan_mode === "trunk" ? 0 : (port.tag ?? 0),
    trunks: vlan_mode === "access" || vlan_mode === "dot1q-tunnel" ? [] : port.trunks,
    cvlans: vlan_mode === "dot1q-tunnel" ? port.cvlans : [],
    qinqEthertype: port.other_config.get("qinq-ethtype") === "802.1q" ? ETH_VLAN : ETH_QINQ,
    protected: port.protected,
    priorityTags: PRIORITY_TAGS[priority] ?? "never",
  };
}

/** "true" is what older versions called "if-nonzero" (ovs-vswitchd.conf.db, priority-tags). */
const PRIORITY_TAGS: Readonly<Record<string, PriorityTags>> = {
  always: "always",
  "if-nonzero": "if-nonzero",
  true: "if-nonzero",
};

function desiredController(
  uuid: string,
  rows: ConfigRows,
  complain: (text: string) => void,
): DesiredController[] {
  const row = rows.controllers.get(uuid);
  if (!row) return [];
  unsupported("Controller", row, (text) => complain(`controller ${row.target}: ${text}`));
  return [
    {
      uuid,
      target: row.target,
      maxBackoffMs: row.max_backoff ?? 8000,
      probeIntervalMs: Math.max(0, row.inactivity_probe ?? 5000),
      limits: {
        queueSize: row.controller_queue_size ?? DEFAULT_LIMITS.queueSize,
        rate: row.controller_rate_limit ?? 0,
        burst: row.controller_burst_limit ?? (row.controller_rate_limit ?? 0) / 4,
      },
      isAsyncEnabled: row.enable_async_messages ?? true,
      tls: desiredTls(rows),
      auxiliary: {
        reliable: number(row.other_config, "auxiliary-connections", 0, MAX_AUXILIARIES) ?? 0,
        udp: number(row.other_config, "auxiliary-udp-connections", 0, MAX_AUXILIARIES) ?? 0,
      },
      ...(row.type === undefined ? {} : { type: row.type }),
    },
  ];
}

function desiredTls(rows: ConfigRows): TlsOptions {
  const row = rows.root.ssl === undefined ? undefined : rows.ssl.get(rows.root.ssl);
  return row ? { private_key: row.private_key, certificate: row.certificate, ca_cert: row.ca_cert } : {};
}
