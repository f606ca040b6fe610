/** Asynchronous messages that a connection wants (OpenFlow 1.3.5 §6.1.2, §7.3.10): a mask of reasons for each
 *  kind of message, one for masters and equals, one for slaves. */

import type { Role } from "./roles.js";

/** The last two are OpenFlow 1.4's, which extensions bring to 1.3. */
export type AsyncKind = "packet_in" | "port_status" | "flow_removed" | "role_status" | "requestforward";

/** `[0]` is for the roles master and equal, `[1]` for slave; bit N is reason number N. */
export type AsyncMasks = readonly [number, number];

export type AsyncConfig = Readonly<Record<AsyncKind, AsyncMasks>>;

/** Reasons by number, as §7.4.1, §7.4.2 and §7.4.3 count them. */
const REASONS: Readonly<Record<string, number>> = {
  OFPR_NO_MATCH: 0,
  OFPR_ACTION: 1,
  OFPR_INVALID_TTL: 2,
  OFPPR_ADD: 0,
  OFPPR_DELETE: 1,
  OFPPR_MODIFY: 2,
  OFPRR_IDLE_TIMEOUT: 0,
  OFPRR_HARD_TIMEOUT: 1,
  OFPRR_DELETE: 2,
  OFPRR_GROUP_DELETE: 3,
  OFPRR_METER_DELETE: 4,
  OFPCRR_MASTER_REQUEST: 0,
  OFPRFR_GROUP_MOD: 0,
  OFPRFR_METER_MOD: 1,
};

/** The reasons that there are. Others may be asked for, and are forgotten. */
const KNOWN: Readonly<Record<AsyncKind, number>> = {
  packet_in: 0b111,
  port_status: 0b111,
  flow_removed: 0b111111,
  role_status: 0b111,
  requestforward: 0b11,
};

/** Masters and equals hear everything but OFPR_INVALID_TTL, slaves only port changes, as Open vSwitch starts; what is
 *  not OpenFlow 1.3 has to be asked for. */
export const DEFAULT_ASYNC: AsyncConfig = {
  packet_in: [0b011, 0],
  port_status: [0b111, 0b111],
  flow_removed: [0b1111, 0],
  role_status: [0, 0],
  requestforward: [0, 0],
};

/** Of a controller with enable_async_messages=false. */
export const NO_ASYNC: AsyncConfig = {
  packet_in: [0, 0],
  port_status: [0, 0],
  flow_removed: [0, 0],
  role_status: [0, 0],
  requestforward: [0, 0],
};

const isSlave = (role: Role): boolean => role === "OFPCR_ROLE_SLAVE";

/** Whether a connection in `role` wants a message of this kind and reason ("OFPR_ACTION", "OFPPR_ADD", …). */
export function wants(config: AsyncConfig, role: Role, kind: AsyncKind, reason: string): boolean {
  const bit = REASONS[reason];
  return bit !== undefined && (config[kind][isSlave(role) ? 1 : 0] & (1 << bit)) !== 0;
}

/** The fields of OFPT_GET_ASYNC_REPLY and OFPT_SET_ASYNC. */
export interface AsyncFields {
  packet_in_mask: readonly number[];
  port_status_mask: readonly number[];
  flow_removed_mask: readonly number[];
}

export const toAsyncFields = (config: AsyncConfig): AsyncFields => ({
  packet_in_mask: config.packet_in,
  port_status_mask: config.port_status,
  flow_removed_mask: config.flow_removed,
});

const pair = (kind: AsyncKind, masks: readonly number[]): AsyncMasks => [
  (masks[0] ?? 0) & KNOWN[kind],
  (masks[1] ?? 0) & KNOWN[kind],
];

/** Whether a mask of 1.4's names a reason that there is not. */
export const isUnknown = (kind: AsyncKind, mask: number): boolean => (mask & ~KNOWN[kind]) !== 0;

/** `before`: of the kinds that those messages do not speak of. */
export const fromAsyncFields = (fields: AsyncFields, before: AsyncConfig): AsyncConfig => ({
  ...before,
  packet_in: pair("packet_in", fields.packet_in_mask),
  port_status: pair("port_status", fields.port_status_mask),
  flow_removed: pair("flow_removed", fields.flow_removed_mask),
});
