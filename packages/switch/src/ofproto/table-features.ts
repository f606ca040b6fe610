import { oxmFields, type TableFeaturesInit } from "@sluice/openflow-codec";
import { flowFieldOf } from "../flow/match.js";
import { refuse } from "./error.js";
import type { ActionType } from "./of.js";
import { N_TABLES, type OfTable } from "./oftable.js";
import { canExecute } from "./xlate/pipeline.js";

type Property = NonNullable<TableFeaturesInit["properties"]>[number];

const INSTRUCTIONS = [
  "OFPIT_GOTO_TABLE",
  "OFPIT_WRITE_METADATA",
  "OFPIT_WRITE_ACTIONS",
  "OFPIT_APPLY_ACTIONS",
  "OFPIT_CLEAR_ACTIONS",
  "OFPIT_METER",
] as const;

const ACTIONS = [
  "OFPAT_OUTPUT",
  "OFPAT_COPY_TTL_OUT",
  "OFPAT_COPY_TTL_IN",
  "OFPAT_SET_MPLS_TTL",
  "OFPAT_DEC_MPLS_TTL",
  "OFPAT_PUSH_VLAN",
  "OFPAT_POP_VLAN",
  "OFPAT_PUSH_MPLS",
  "OFPAT_POP_MPLS",
  "OFPAT_SET_QUEUE",
  "OFPAT_GROUP",
  "OFPAT_SET_NW_TTL",
  "OFPAT_DEC_NW_TTL",
  "OFPAT_SET_FIELD",
  "OFPAT_PUSH_PBB",
  "OFPAT_POP_PBB",
] as const satisfies readonly ActionType[];

/** The basic fields that the flow key has. */
const BASIC = oxmFields.filter((field) => field.class === 0x8000 && flowFieldOf(field.name) !== undefined);

/** OFPMP_TABLE_FEATURES (1.3.5 §7.3.5.5): what each table can do. A request that lists tables renames and bounds
 *  them; more is refused, for every table can do everything already. */
export function tableFeatures(
  tables: readonly OfTable[],
  requests: readonly TableFeaturesInit[],
): TableFeaturesInit[] {
  for (const request of requests) {
    if (!tables[request.table_id]) throw refuse("OFPTFFC_BAD_TABLE", `table ${request.table_id}`);
    if (((request.config ?? 0) & ~3) !== 0)
      throw refuse("OFPTFFC_BAD_ARGUMENT", `table config ${request.config}`);
  }
  for (const { table_id, name, max_entries } of requests) {
    const table = tables[table_id]!;
    table.name = name ?? table.name;
    if (max_entries > 0) table.limit = max_entries;
  }
  return tables.map((table) => ({
    table_id: table.table_id,
    name: table.name,
    metadata_match: 0xffff_ffff_ffff_ffffn,
    metadata_write: 0xffff_ffff_ffff_ffffn,
    config: table.config,
    max_entries: table.limit,
    properties: properties(table.table_id),
  }));
}

function properties(table_id: number): Property[] {
  const next_table_ids = Array.from({ length: N_TABLES - 1 - table_id }, (_, i) => table_id + 1 + i);
  const last = next_table_ids.length === 0;
  const instruction_ids = INSTRUCTIONS.filter((type) => !last || type !== "OFPIT_GOTO_TABLE").map((type) => ({
    type,
  }));
  const action_ids = ACTIONS.filter(canExecute).map((type) => ({ type }));
  const settable = BASIC.filter((field) => field.settable).map((field) => field.name);
  const matchable = BASIC.map((field) => field.name);
  const twice = <A extends string, B extends string, T extends object>(a: A, b: B, body: T) =>
    [{ type: a, ...body } as const, { type: b, ...body } as const] as const;
  return [
    ...twice("OFPTFPT_INSTRUCTIONS", "OFPTFPT_INSTRUCTIONS_MISS", { instruction_ids }),
    ...twice("OFPTFPT_NEXT_TABLES", "OFPTFPT_NEXT_TABLES_MISS", { next_table_ids }),
    ...twice("OFPTFPT_WRITE_ACTIONS", "OFPTFPT_WRITE_ACTIONS_MISS", { action_ids }),
    ...twice("OFPTFPT_APPLY_ACTIONS", "OFPTFPT_APPLY_ACTIONS_MISS", { action_ids }),
    { type: "OFPTFPT_MATCH", oxm_ids: matchable },
    { type: "OFPTFPT_WILDCARDS", oxm_ids: matchable },
    ...twice("OFPTFPT_WRITE_SETFIELD", "OFPTFPT_WRITE_SETFIELD_MISS", { oxm_ids: settable }),
    ...twice("OFPTFPT_APPLY_SETFIELD", "OFPTFPT_APPLY_SETFIELD_MISS", { oxm_ids: settable }),
  ] as unknown as Property[];
}
