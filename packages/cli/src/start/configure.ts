import type { Idl, OpenVSwitch, Txn } from "@sluice/ovsdb";

/** Names of the bridge's ports, which the simulated hosts are plugged into. */
export const portNames = (hosts: number): string[] => Array.from({ length: hosts }, (_, i) => `p${i + 1}`);

export type SwitchIdl = Idl<OpenVSwitch>;

/** The tables and columns that are looked at. */
export const WATCHED = {
  Open_vSwitch: ["next_cfg", "cur_cfg", "bridges"],
  Bridge: ["name"],
  Interface: ["name", "error"],
  Controller: ["target", "is_connected", "status"],
} as const;

/** Leaves the database as these commands would, in one transaction:
 *  `ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev protocols=OpenFlow13 -- set-fail-mode br0 secure
 *  -- set-controller br0 TARGET -- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 …` */
export function configureBridge(
  txn: Txn<OpenVSwitch>,
  root: string,
  { bridge, ports, controller }: { bridge: string; ports: readonly string[]; controller: string },
): void {
  const portRows = [bridge, ...ports].map((name, index) => {
    const kind = index === 0 ? { type: "internal" } : { type: "dummy", ofport_request: index };
    return txn.insert("Port", { name, interfaces: [txn.insert("Interface", { name, ...kind })] });
  });
  const row = txn.insert("Bridge", {
    name: bridge,
    datapath_type: "netdev",
    protocols: ["OpenFlow13"],
    fail_mode: "secure",
    controller: [txn.insert("Controller", { target: controller })],
    ports: portRows,
  });
  txn.mutate("Open_vSwitch", root, "bridges", "insert", [row]);
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

/** The controllers that the database names, whoever set them. */
export const controllerStates = (idl: SwitchIdl): ControllerState[] =>
  idl.rows("Controller").map(({ columns: { target, is_connected, status } }) => ({
    target,
    isConnected: is_connected,
    lastError: status.get("last_error"),
  }));

/** One line for each interface that the switch could not have. */
export const interfaceErrors = (idl: SwitchIdl): string[] =>
  idl.rows("Interface").flatMap(({ columns: { error } }) => (error === undefined ? [] : [error]));
