import type { Idl, OpenVSwitch, Txn } from "@sluice/ovsdb";
import type { PlannedSwitch } from "./topology.js";

export type SwitchIdl = Idl<OpenVSwitch>;

/** The tables and columns that are looked at. */
export const WATCHED = {
  Open_vSwitch: ["next_cfg", "cur_cfg", "bridges"],
  Bridge: ["name"],
  Interface: ["name", "error"],
  Controller: ["target", "is_connected", "status"],
} as const;

/** Leaves the database as these commands would for each switch, in one transaction:
 *  `ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev protocols=OpenFlow13 -- set-fail-mode br0 secure
 *  -- set-controller br0 TARGET -- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 …` */
export function configureSwitches(
  txn: Txn<OpenVSwitch>,
  root: string,
  switches: readonly PlannedSwitch[],
  controller: string,
): void {
  const bridges = switches.map(({ name: bridge, datapathId, ports }) => {
    const portRows = [bridge, ...ports].map((name, index) => {
      const kind = index === 0 ? { type: "internal" } : { type: "dummy", ofport_request: index };
      return txn.insert("Port", { name, interfaces: [txn.insert("Interface", { name, ...kind })] });
    });
    return txn.insert("Bridge", {
      name: bridge,
      datapath_type: "netdev",
      protocols: ["OpenFlow13"],
      fail_mode: "secure",
      controller: [txn.insert("Controller", { target: controller })],
      ports: portRows,
      ...(datapathId !== undefined && { other_config: new Map([["datapath-id", datapathId]]) }),
    });
  });
  txn.mutate("Open_vSwitch", root, "bridges", "insert", bridges);
  txn.mutate("Open_vSwitch", root, "next_cfg", "+=", 1);
}

/** The row that all others hang from; made where the database is new, as `ovs-vsctl init` does. */
export async function rootRow(idl: SwitchIdl): Promise<string> {
  await idl.synced();
  if (idl.rows("Open_vSwitch").length === 0) await idl.transact((txn) => void txn.insert("Open_vSwitch", {}));
  return idl.rows("Open_vSwitch")[0]!.uuid;
}

/** Whether the switch has taken up what the database says. */
export function isApplied(idl: SwitchIdl): boolean {
  const root = idl.rows("Open_vSwitch")[0]?.columns;
  return root !== undefined && root.cur_cfg >= root.next_cfg;
}

export interface ControllerState {
  readonly target: string;
  readonly isConnected: boolean;
  readonly lastError: string | undefined;
}

/** The controllers that the database names, whoever set them. One of several switches is connected when it is to all. */
export function controllerStates(idl: SwitchIdl): ControllerState[] {
  const states = new Map<string, ControllerState>();
  for (const { columns } of idl.rows("Controller")) {
    const { target, is_connected, status } = columns;
    const other = states.get(target);
    states.set(target, {
      target,
      isConnected: is_connected && (other?.isConnected ?? true),
      lastError: status.get("last_error") ?? other?.lastError,
    });
  }
  return [...states.values()];
}

/** One line for each interface that the switch could not have. */
export const interfaceErrors = (idl: SwitchIdl): string[] =>
  idl.rows("Interface").flatMap(({ columns: { error } }) => (error === undefined ? [] : [error]));
