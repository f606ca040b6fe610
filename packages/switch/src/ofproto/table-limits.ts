import type { TableFeaturesInit } from "@sluice/openflow-codec";
import { flowFieldOf } from "../flow/match.js";
import { refuse } from "./error.js";
import type { Action, Instruction, Match } from "./of.js";

type Property = NonNullable<TableFeaturesInit["properties"]>[number];
type Allowed = ReadonlySet<string | number>;

const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** What a controller has left of a table's features (1.3.5 §7.3.5.5): flows that do not fit are refused. */
export class TableLimits {
  readonly metadata_match: bigint;
  readonly metadata_write: bigint;
  /** As asked for. */
  readonly properties: readonly Property[];
  /** Equal for equal limits. */
  readonly text: string;
  /** By the type of the property; none: all that the switch can do. */
  readonly #allowed: ReadonlyMap<string, Allowed>;
  /** Fields that no flow may leave out. */
  readonly #needed: readonly string[];

  constructor(
    allowed: ReadonlyMap<string, Allowed>,
    fields: readonly string[],
    metadata_match: bigint,
    metadata_write: bigint,
    properties: readonly Property[],
  ) {
    this.#allowed = allowed;
    this.metadata_match = metadata_match;
    this.metadata_write = metadata_write;
    this.properties = properties;
    this.text = JSON.stringify([
      [...allowed].map(([type, values]) => [type, ...[...values].sort()]),
      String(metadata_match),
      String(metadata_write),
    ]);
    const wildcards = allowed.get("OFPTFPT_WILDCARDS");
    this.#needed = wildcards === undefined ? [] : fields.filter((field) => !wildcards.has(field));
  }

  /** Refuses a match. A table-miss entry has none. */
  checkMatch(match: Match, isTableMiss: boolean): void {
    if (isTableMiss) return;
    const fields = this.#allowed.get("OFPTFPT_MATCH");
    const there = new Set<string>();
    for (const [name, member] of Object.entries(match)) {
      if (member === undefined) continue;
      const field = flowFieldOf(name)?.name ?? name;
      there.add(field);
      const mask = typeof member === "object" && "mask" in member ? member.mask : undefined;
      if (fields !== undefined && !fields.has(`${field}/mask`)) {
        if (!fields.has(field)) throw refuse("OFPBMC_BAD_FIELD", `${name} is not matched in this table`);
        if (mask !== undefined) throw refuse("OFPBMC_BAD_MASK", `${name} is matched whole in this table`);
      }
      const bits = mask === undefined ? ~0n : BigInt(field === "metadata" ? mask : 0);
      if (field === "metadata" && (BigInt.asUintN(64, bits) & ~this.metadata_match) !== 0n)
        throw refuse("OFPBMC_BAD_MASK", "metadata bits that are not matched in this table");
    }
    const missing = this.#needed.find((field) => !there.has(field));
    if (missing !== undefined)
      throw refuse("OFPBMC_BAD_WILDCARDS", `${missing} has to be matched in this table`);
  }

  checkInstructions(instructions: readonly Instruction[], isTableMiss: boolean): void {
    const miss = isTableMiss ? "_MISS" : "";
    const permits = (type: string, value: string | number): boolean =>
      this.#allowed.get(`OFPTFPT_${type}${miss}`)?.has(value) ?? true;
    for (const instruction of instructions) {
      const { type } = instruction;
      if (!permits("INSTRUCTIONS", type)) throw refuse("OFPBIC_UNSUP_INST", `${type} in this table`);
      if (type === "OFPIT_GOTO_TABLE" && !permits("NEXT_TABLES", instruction.table_id))
        throw refuse("OFPBIC_BAD_TABLE_ID", `goto_table:${instruction.table_id} in this table`);
      if (
        type === "OFPIT_WRITE_METADATA" &&
        ((instruction.metadata_mask ?? MAX_U64) & ~this.metadata_write) !== 0n
      )
        throw refuse("OFPBIC_UNSUP_METADATA_MASK", "metadata bits that are not written in this table");
      if (type !== "OFPIT_APPLY_ACTIONS" && type !== "OFPIT_WRITE_ACTIONS") continue;
      const kind = type === "OFPIT_APPLY_ACTIONS" ? "APPLY" : "WRITE";
      for (const action of (instruction.actions ?? []) as readonly Action[]) {
        if (!permits(`${kind}_ACTIONS`, action.type))
          throw refuse("OFPBAC_BAD_TYPE", `${action.type} in this table`);
        if (action.type !== "OFPAT_SET_FIELD") continue;
        const [field] = Object.keys(action.field);
        if (field !== undefined && !permits(`${kind}_SETFIELD`, field))
          throw refuse("OFPBAC_BAD_SET_TYPE", `${field} is not set in this table`);
      }
    }
  }
}
