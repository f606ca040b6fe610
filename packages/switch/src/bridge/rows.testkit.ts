import type { OvsRow } from "@sluice/ovsdb";
import type { ConfigRows } from "./desired.js";

interface PortSketch {
  type?: string;
  options?: Record<string, string>;
  tag?: number;
  trunks?: number[];
  vlan_mode?: "trunk" | "access" | "native-tagged" | "native-untagged";
  ofport_request?: number | undefined;
  mac?: string;
  mtu_request?: number;
  /** Other columns of the Interface row. */
  interface?: Partial<OvsRow<"Interface">>;
  qos?: {
    type: string;
    other_config?: Record<string, string>;
    queues?: Record<number, Record<string, string>>;
  };
}

interface BridgeSketch {
  datapath_type?: string;
  other_config?: Record<string, string>;
  fail_mode?: "standalone" | "secure";
  controllers?: string[];
  ports?: Record<string, PortSketch>;
  /** Other columns of the row. */
  more?: Partial<OvsRow<"Bridge">>;
}

/** A bridge row's UUID: its name in hex. */
const uuidOf = (name: string): string => Buffer.from(name).toString("hex").padEnd(32, "0");

/** Rows as the database would hold them, from a sketch by names. */
export function config(sketch: Record<string, BridgeSketch>): ConfigRows {
  const rows = {
    bridges: new Map(),
    ports: new Map(),
    interfaces: new Map(),
    controllers: new Map(),
    qos: new Map(),
    queues: new Map(),
    flowTables: new Map(),
  };
  for (const [name, bridge] of Object.entries(sketch)) {
    const ports = Object.entries(bridge.ports ?? {});
    rows.bridges.set(uuidOf(name), {
      name,
      datapath_type: bridge.datapath_type ?? "netdev",
      ports: ports.map(([port]) => `p-${port}`),
      controller: (bridge.controllers ?? []).map((target) => `c-${target}`),
      protocols: [],
      fail_mode: bridge.fail_mode,
      other_config: new Map(Object.entries(bridge.other_config ?? {})),
      flood_vlans: [],
      flow_tables: new Map(),
      ...bridge.more,
    });
    for (const target of bridge.controllers ?? []) {
      rows.controllers.set(`c-${target}`, { target, other_config: new Map() });
    }
    for (const [port, p] of ports) {
      rows.ports.set(`p-${port}`, {
        name: port,
        interfaces: [`i-${port}`],
        tag: p.tag,
        trunks: p.trunks ?? [],
        vlan_mode: p.vlan_mode,
        protected: false,
        qos: p.qos && `q-${port}`,
        other_config: new Map(),
      });
      const { type = "", other_config = {}, queues = {} } = p.qos ?? {};
      const queueIds = Object.entries(queues).map(([id, config]) => {
        const uuid = `q-${port}-${id}`;
        rows.queues.set(uuid, { other_config: new Map(Object.entries(config)) });
        return [Number(id), uuid] as const;
      });
      if (p.qos)
        rows.qos.set(`q-${port}`, {
          type,
          queues: new Map(queueIds),
          other_config: new Map(Object.entries(other_config)),
        });
      rows.interfaces.set(`i-${port}`, {
        name: port,
        type: p.type ?? "dummy",
        options: new Map(Object.entries(p.options ?? {})),
        ofport_request: p.ofport_request,
        mac: p.mac,
        mtu_request: p.mtu_request,
        ...p.interface,
      });
    }
  }
  return {
    root: { bridges: [...rows.bridges.keys()], ssl: undefined, other_config: new Map() },
    ssl: new Map(),
    ...rows,
  };
}
