import { oxmFields, type TableFeaturesInit } from "@sluice/openflow-codec";
import { flowFieldOf } from "../flow/match.js";
import { refuse } from "./error.js";
import type { ActionType } from "./of.js";
import { DEFAULT_TABLE_LIMIT, N_TABLES, type OfTable } from "./oftable.js";
import { TableLimits } from "./table-limits.js";
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

/** What of the tables a controller asked for, when all is well. */
export interface TableFeaturesChange {
  /** Tables that changed in more than name, or are gone: their flows go (1.3.5 §7.3.5.5). */
  readonly emptied: readonly OfTable[];
}

/** OFPMP_TABLE_FEATURES (1.3.5 §7.3.5.5) with entries: configures the whole pipeline, or refuses and changes nothing.
 *  Tables that are not in the request leave the pipeline until a request has them. Where no entry has properties, it
 *  is what ovs-ofctl mod-table sends: names and limits change, and nothing else. */
export function changeTables(
  tables: readonly OfTable[],
  requests: readonly TableFeaturesInit[],
): TableFeaturesChange {
  const asked = new Map<number, TableFeaturesInit>();
  for (const request of requests) {
    const { table_id } = request;
    if (!tables[table_id]) throw refuse("OFPTFFC_BAD_TABLE", `table ${table_id}`);
    if (asked.has(table_id)) throw refuse("OFPTFFC_BAD_TABLE", `table ${table_id} is there twice`);
    if (((request.config ?? 0) & ~3) !== 0)
      throw refuse("OFPTFFC_BAD_ARGUMENT", `table ${table_id}: config ${request.config}`);
    if (request.max_entries > DEFAULT_TABLE_LIMIT)
      throw refuse("OFPTFFC_BAD_ARGUMENT", `table ${table_id}: max_entries ${request.max_entries}`);
    const { name = "" } = request;
    if (tables[table_id].isNamed && name !== tables[table_id].name)
      throw refuse(
        "OFPTFFC_EPERM",
        `table ${table_id} has its name, ${tables[table_id].name}, from the database`,
      );
    asked.set(table_id, request);
  }
  const isWhole = requests.some(({ properties }) => (properties ?? []).length > 0);
  if (isWhole && !asked.has(0)) throw refuse("OFPTFFC_BAD_TABLE", "without table 0 nothing comes in");
  const limits = new Map(
    isWhole ? requests.map((request) => [request.table_id, limitsOf(request, asked)]) : [],
  );
  const emptied: OfTable[] = [];
  for (const table of tables) {
    const request = asked.get(table.table_id);
    if (isWhole) {
      const before = textOf(table);
      table.isRemoved = request === undefined;
      table.limits = limits.get(table.table_id);
      if (textOf(table) !== before) emptied.push(table);
    }
    if (!request) continue;
    table.name = request.name ?? table.name;
    if (request.max_entries > 0) table.limit = request.max_entries;
    if (table.activeCount > table.limit && !emptied.includes(table)) emptied.push(table);
  }
  return { emptied };
}

const textOf = ({ isRemoved, limits }: OfTable): string =>
  isRemoved ? "removed" : limits === undefined ? "" : limits.text;

/** What OFPMP_TABLE_FEATURES answers: what each table of the pipeline can do. */
export const tableFeatures = (tables: readonly OfTable[]): TableFeaturesInit[] =>
  tables
    .filter(({ isRemoved }) => !isRemoved)
    .map(({ table_id, name, config, limit, limits }) => ({
      table_id,
      name,
      metadata_match: limits?.metadata_match ?? EVERY_BIT,
      metadata_write: limits?.metadata_write ?? EVERY_BIT,
      config,
      max_entries: limit,
      properties: limits?.properties ?? properties(table_id),
    }));

const EVERY_BIT = 0xffff_ffff_ffff_ffffn;

function properties(table_id: number): Property[] {
  const next_table_ids = Array.from({ length: N_TABLES - 1 - table_id }, (_, i) => table_id + 1 + i);
  const last = next_table_ids.length === 0;
  const instruction_ids = INSTRUCTIONS.filter((type) => !last || type !== "OFPIT_GOTO_TABLE").map((type) => ({
    type,
  }));
  const action_ids = ACTIONS.filter(canExecute).map((type) => ({ type }));
  const settable = BASIC.filter((field) => field.settable).map((field) => field.name);
  // "masked": the length in the header counts the mask as well (§7.2.3.2), as Open vSwitch states and reads it.
  const matchable = BASIC.map((field) => (field.maskable ? `${field.name}/masked` : field.name));
  const twice = <A extends string, B extends string, T extends object>(a: A, b: B, body: T) =>
    [{ type: a, ...body } as const, { type: b, ...body } as const] as const;
  return [
    ...twice("OFPTFPT_INSTRUCTIONS", "OFPTFPT_INSTRUCTIONS_MISS", { instruction_ids }),
    ...twice("OFPTFPT_NEXT_TABLES", "OFPTFPT_NEXT_TABLES_MISS", { next_table_ids }),
    ...twice("OFPTFPT_WRITE_ACTIONS", "OFPTFPT_WRITE_ACTIONS_MISS", { action_ids }),
    ...twice("OFPTFPT_APPLY_ACTIONS", "OFPTFPT_APPLY_ACTIONS_MISS", { action_ids }),
    { type: "OFPTFPT_MATCH", oxm_ids: matchable },
    { type: "OFPTFPT_WILDCARDS", oxm_ids: BASIC.map((field) => field.name) },
    ...twice("OFPTFPT_WRITE_SETFIELD", "OFPTFPT_WRITE_SETFIELD_MISS", { oxm_ids: settable }),
    ...twice("OFPTFPT_APPLY_SETFIELD", "OFPTFPT_APPLY_SETFIELD_MISS", { oxm_ids: settable }),
  ] as unknown as Property[];
}

/** The properties that each table of a request has (§7.3.5.5.2); those for misses may be left out when they are the
 *  same as the others. */
const REQUIRED = [
  "OFPTFPT_INSTRUCTIONS",
  "OFPTFPT_NEXT_TABLES",
  "OFPTFPT_WRITE_ACTIONS",
  "OFPTFPT_APPLY_ACTIONS",
  "OFPTFPT_MATCH",
  "OFPTFPT_WILDCARDS",
  "OFPTFPT_WRITE_SETFIELD",
  "OFPTFPT_APPLY_SETFIELD",
] as const;

/** What a request leaves of a table's features; undefined: everything. Refuses what the switch has not. */
function limitsOf(
  request: TableFeaturesInit,
  pipeline: ReadonlyMap<number, TableFeaturesInit>,
): TableLimits | undefined {
  const { table_id } = request;
  const where = `table ${table_id}`;
  const asked = new Map<string, readonly (string | number)[]>();
  for (const property of request.properties ?? []) {
    const type = String(property.type);
    if (type.includes("EXPERIMENTER"))
      throw refuse("OFPTFFC_BAD_TYPE", `${where}: a property of an experimenter`);
    if (asked.has(type)) throw refuse("OFPTFFC_BAD_ARGUMENT", `${where}: ${type} is there twice`);
    asked.set(type, valuesOf(property));
  }
  for (const type of REQUIRED)
    if (!asked.has(type)) throw refuse("OFPTFFC_BAD_ARGUMENT", `${where}: there is no ${type}`);
  const able = new Map(properties(table_id).map((property) => [String(property.type), valuesOf(property)]));
  for (const [type, values] of asked) checkValues(where, type, values, able.get(type) ?? [], pipeline);
  const fields = asked.get("OFPTFPT_MATCH")!.map((id) => fieldOf(String(id)));
  for (const id of asked.get("OFPTFPT_WILDCARDS")!)
    if (!fields.includes(fieldOf(String(id))))
      throw refuse("OFPTFFC_BAD_ARGUMENT", `${where}: ${id} may be left out, but not be matched`);

  const { metadata_match, metadata_write } = request;
  const limits = new Map<string, ReadonlySet<string | number>>();
  for (const [type, values] of able) {
    const left = asked.get(type) ?? asked.get(type.replace(/_MISS$/, ""))!;
    if (!values.every((value) => left.includes(value))) limits.set(type, new Set(left));
  }
  if (limits.size === 0 && metadata_match === EVERY_BIT && metadata_write === EVERY_BIT) return undefined;
  return new TableLimits(limits, fields, metadata_match, metadata_write, request.properties ?? []);
}

/** A field's name, with "/mask" where it may be masked, however its header counts its length. */
const nameOf = (id: string): string => id.replace(/\/masked$/, "/mask");

/** What a property lists. */
function valuesOf(property: Property): readonly (string | number)[] {
  if ("instruction_ids" in property) return (property.instruction_ids ?? []).map(({ type }) => type);
  if ("action_ids" in property) return (property.action_ids ?? []).map(({ type }) => type);
  if ("next_table_ids" in property) return [...(property.next_table_ids ?? [])];
  return "oxm_ids" in property ? (property.oxm_ids ?? []).map(nameOf) : [];
}

/** Refuses what is not among `able`. A field that may be masked may also be asked for without. */
function checkValues(
  where: string,
  type: string,
  values: readonly (string | number)[],
  able: readonly (string | number)[],
  pipeline: ReadonlyMap<number, TableFeaturesInit>,
): void {
  const isMatch = type === "OFPTFPT_MATCH";
  for (const value of values) {
    const isAble = able.includes(value) || (isMatch && able.includes(`${value}/mask`));
    const isThere = !type.startsWith("OFPTFPT_NEXT_TABLES") || pipeline.has(Number(value));
    if (!isAble || !isThere) throw refuse("OFPTFFC_BAD_ARGUMENT", `${where}: ${type} with ${value}`);
  }
}

const fieldOf = (id: string): string => id.replace(/\/mask$/, "");
