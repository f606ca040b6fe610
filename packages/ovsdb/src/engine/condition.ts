import type { SymbolTable } from "../schema/atom.js";
import { type Datum, datumEquals, datumExcludes, datumFromJson, datumIncludes } from "../schema/datum.js";
import { OvsdbError, syntaxError } from "../schema/error.js";
import { type ColumnSchema, type TableSchema, UUID_COLUMN } from "../schema/schema.js";
import { type ColumnType, describeType } from "../schema/types.js";
import type { Row } from "./row.js";

/** RFC 7047 §5.1 `<function>`. */
type ConditionFunction = "<" | "<=" | "==" | "!=" | ">=" | ">" | "includes" | "excludes";

export interface Clause {
  readonly column: ColumnSchema;
  readonly function: ConditionFunction;
  readonly argument: Datum;
}

/** All of the clauses must hold; a boolean stands for itself (an extension of monitor_cond). */
export type Condition = readonly (Clause | boolean)[];

const ordering: Partial<Record<string, (a: number, b: number) => boolean>> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  ">": (a, b) => a > b,
};

const relations: Record<string, (value: Datum, argument: Datum) => boolean> = {
  "==": datumEquals,
  "!=": (value, argument) => !datumEquals(value, argument),
  includes: (value, argument) => datumIncludes(value, argument),
  excludes: (value, argument) => datumExcludes(value, argument),
};

const clauseHolds = (clause: Clause, row: Row): boolean => {
  const value = row.get(clause.column);
  const relation = relations[clause.function];
  if (relation) return relation(value, clause.argument);
  return (
    value.keys.length === 1 &&
    ordering[clause.function]!(value.keys[0] as number, clause.argument.keys[0] as number)
  );
};

export const holdsAll = (condition: Condition, row: Row): boolean =>
  condition.every((clause) => (typeof clause === "boolean" ? clause : clauseHolds(clause, row)));

/** A monitor's `where`: any clause is enough, and none at all means every row. */
export const holdsAny = (condition: Condition, row: Row): boolean =>
  condition.length === 0 ||
  condition.some((clause) => (typeof clause === "boolean" ? clause : clauseHolds(clause, row)));

export const conditionFromJson = (table: TableSchema, json: unknown, symbols?: SymbolTable): Condition => {
  if (!Array.isArray(json)) throw syntaxError("a condition must be an array", json);
  return (json as unknown[]).map((clause) => clauseFromJson(table, clause, symbols));
};

const clauseFromJson = (table: TableSchema, json: unknown, symbols?: SymbolTable): Clause | boolean => {
  if (typeof json === "boolean") return json;
  if (!Array.isArray(json) || json.length !== 3 || typeof json[0] !== "string" || typeof json[1] !== "string")
    throw syntaxError("a clause must be [column, function, value]", json);
  const [name, fn, value] = json as [string, string, unknown];
  const column = table.column(name, json);
  if (!relations[fn] && !ordering[fn])
    throw new OvsdbError("unknown function", `No function named ${fn}.`, json);
  const type = argumentType(column, fn, json);
  return { column, function: fn as ConditionFunction, argument: datumFromJson(type, value, symbols) };
};

/** What a function may be given: `includes` and `excludes` take any number of elements, comparisons one number.
 *  The column's constraints do not bind what it is compared with. */
const argumentType = ({ name, type }: ColumnSchema, fn: string, json: unknown): ColumnType => {
  const key = { type: type.key.type };
  const value = type.value && { value: { type: type.value.type } };
  if (ordering[fn]) {
    const isNumber = key.type === "integer" || key.type === "real";
    if (!isNumber || value || type.max !== 1)
      throw syntaxError(
        `Type mismatch: "${fn}" may not be applied to column ${name}, a ${describeType(type)}.`,
        json,
      );
    return { key, min: 1, max: 1 };
  }
  if (fn === "==" || fn === "!=") return { key, ...value, min: type.min, max: type.max };
  const isPlainScalar = type.min === 1 && type.max === 1 && !value;
  return { key, ...value, min: isPlainScalar ? 1 : 0, max: type.max };
};

/** The uuid that a condition pins down, if it does. */
export const pinnedUuid = (condition: Condition): string | undefined => {
  for (const clause of condition) {
    if (typeof clause === "boolean") continue;
    const isEquality = clause.function === "==" || clause.function === "includes";
    if (clause.column === UUID_COLUMN && isEquality) return clause.argument.keys[0] as string;
  }
  return undefined;
};
