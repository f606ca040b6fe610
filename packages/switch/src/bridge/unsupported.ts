import type { OpenVSwitch, OvsRow, TableName } from "@sluice/ovsdb";

type Column<T extends TableName<OpenVSwitch>> = keyof OvsRow<T> & string;
/** `column`, `column:key` of a map, or `column=value` where only that value is not there. */
type Setting<T extends TableName<OpenVSwitch>> =
  | Column<T>
  | `${Column<T>}:${string}`
  | `${Column<T>}=${string}`;
type Unsupported = { readonly [T in TableName<OpenVSwitch>]?: readonly Setting<T>[] };

/** What the schema lets one ask for, and this switch does not do. Whoever asks is told so: in the log, in the row's
 *  status:unsupported where the table has a status, by `sluice vsctl`; docs/supported.md lists it. */
export const UNSUPPORTED = {
  Open_vSwitch: ["other_config:dpdk-init", "other_config:enable-statistics", "other_config:hw-offload"],
  Bridge: [
    "auto_attach",
    "ipfix",
    "mcast_snooping_enable",
    "mirrors",
    "netflow",
    "rstp_enable",
    "sflow",
    "stp_enable",
  ],
  Port: ["bond_mode", "lacp"],
  Interface: [
    "bfd:enable",
    "cfm_mpid",
    "ingress_policing_kpkts_rate",
    "ingress_policing_rate",
    "lldp:enable",
  ],
  Queue: ["dscp"],
  Controller: ["connection_mode=in-band"],
} as const satisfies Unsupported;

/** The settings of a row, in the order of the table, that ask for what is not there. */
export function unsupportedIn(table: keyof typeof UNSUPPORTED, row: object): string[] {
  return UNSUPPORTED[table].filter((setting: string) => {
    const [, column, key, only] = /^(\w+)(?::(.+)|=(.+))?$/.exec(setting)!;
    const value: unknown = (row as Readonly<Record<string, unknown>>)[column!];
    if (only !== undefined) return value === only;
    return isAsking(key !== undefined && value instanceof Map ? value.get(key) : value);
  });
}

function isAsking(value: unknown): boolean {
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "string") return !["", "false", "off"].includes(value);
  return value !== undefined && value !== false && value !== 0;
}

/** One line about them, without a name in front. */
export const unsupportedText = (settings: readonly string[]): string =>
  `not supported, and without effect: ${settings.join(", ")}`;
