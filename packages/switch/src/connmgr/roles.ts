/** Controller roles (OpenFlow 1.3.5 §6.3.4 and §7.3.9), as functions of values. */

export type Role = "OFPCR_ROLE_EQUAL" | "OFPCR_ROLE_MASTER" | "OFPCR_ROLE_SLAVE";

/** What the OFPT_ROLE_REQUEST of one connection comes to. */
export type RoleVerdict =
  | { ok: true; role: Role; generation_id: bigint | undefined; demoteOthers: boolean }
  | { ok: false; error_code: "OFPRRFC_STALE" | "OFPRRFC_BAD_ROLE" };

const ROLES: ReadonlySet<unknown> = new Set(["OFPCR_ROLE_EQUAL", "OFPCR_ROLE_MASTER", "OFPCR_ROLE_SLAVE"]);

const isRole = (role: unknown): role is Role => ROLES.has(role);

/** The generation of a switch that no controller has given one yet is -1, all ones (§7.3.9). */
export const NO_GENERATION = 0xffff_ffff_ffff_ffffn;

/** A generation is older when the signed 64-bit distance from the newest seen is negative, so that the counter
 *  may wrap around (§6.3.4). */
export const isStale = (generation_id: bigint, newest: bigint | undefined): boolean =>
  newest !== undefined && BigInt.asIntN(64, generation_id - newest) < 0n;

/** Decides a role request. `current` is the asking connection's role, `newest` the switch's newest generation. */
export function decideRole(
  request: { role: string | number; generation_id: bigint },
  current: Role,
  newest: bigint | undefined,
): RoleVerdict {
  const { role, generation_id } = request;
  if (role === "OFPCR_ROLE_NOCHANGE") {
    return { ok: true, role: current, generation_id: newest, demoteOthers: false };
  }
  if (!isRole(role)) return { ok: false, error_code: "OFPRRFC_BAD_ROLE" };
  if (role === "OFPCR_ROLE_EQUAL") {
    return { ok: true, role, generation_id: newest, demoteOthers: false };
  }
  if (isStale(generation_id, newest)) return { ok: false, error_code: "OFPRRFC_STALE" };
  return { ok: true, role, generation_id, demoteOthers: role === "OFPCR_ROLE_MASTER" };
}

/** What a slave may not ask: whatever changes the switch's state, or sends a packet (§6.3.4). */
const FORBIDDEN_TO_SLAVES: ReadonlySet<string> = new Set([
  "OFPT_PACKET_OUT",
  "OFPT_FLOW_MOD",
  "OFPT_GROUP_MOD",
  "OFPT_PORT_MOD",
  "OFPT_TABLE_MOD",
  "OFPT_METER_MOD",
  "ONFT_BUNDLE_CONTROL",
  "ONFT_BUNDLE_ADD_MESSAGE",
]);

/** Whether a connection in `role` may send a message of `type`; if not it gets OFPBRC_IS_SLAVE. */
export const mayRequest = (role: Role, type: string): boolean =>
  role !== "OFPCR_ROLE_SLAVE" || !FORBIDDEN_TO_SLAVES.has(type);

/** Controller.role as OVSDB spells it. */
export const OVSDB_ROLE: Readonly<Record<Role, string>> = {
  OFPCR_ROLE_EQUAL: "other",
  OFPCR_ROLE_MASTER: "master",
  OFPCR_ROLE_SLAVE: "slave",
};
