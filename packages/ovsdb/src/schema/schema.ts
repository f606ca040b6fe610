import { isId } from "./atom.js";
import { type Datum, defaultDatum } from "./datum.js";
import { isObject, OvsdbError, syntaxError } from "./error.js";
import { type BaseType, type ColumnType, columnTypeFromJson, columnTypeToJson } from "./types.js";

/** RFC 7047 §3.2 `<column-schema>`. */
export interface ColumnSchema {
  readonly name: string;
  readonly type: ColumnType;
  readonly mutable: boolean;
  /** Not kept on disk. */
  readonly ephemeral: boolean;
  /** Place in a row; -1 for _uuid, -2 for _version. */
  readonly index: number;
  readonly default: Datum;
}

const pseudo = (name: string, index: number): ColumnSchema => {
  const type: ColumnType = { key: { type: "uuid" }, min: 1, max: 1 };
  return { name, type, mutable: false, ephemeral: true, index, default: defaultDatum(type) };
};

/** The columns that every table has and no schema lists. */
export const UUID_COLUMN = pseudo("_uuid", -1);
const VERSION_COLUMN = pseudo("_version", -2);

export interface ColumnSpec {
  readonly type: ColumnType;
  readonly mutable?: boolean;
  readonly ephemeral?: boolean;
}

export interface TableSpec {
  readonly columns: Readonly<Record<string, ColumnSpec>>;
  readonly isRoot?: boolean;
  readonly maxRows?: number;
  readonly indexes?: readonly (readonly string[])[];
}

export interface DatabaseSpec {
  readonly name: string;
  readonly version: string;
  readonly cksum?: string;
  readonly tables: Readonly<Record<string, TableSpec>>;
}

export class TableSchema {
  readonly name: string;
  /** By place in a row. */
  readonly columns: readonly ColumnSchema[];
  readonly defaults: readonly Datum[];
  readonly isRoot: boolean;
  readonly maxRows: number;
  readonly indexes: readonly (readonly ColumnSchema[])[];
  /** As the schema says it: where no table is a root, all are. */
  readonly declaredRoot: boolean;
  readonly #byName = new Map<string, ColumnSchema>([
    ["_uuid", UUID_COLUMN],
    ["_version", VERSION_COLUMN],
  ]);

  constructor(name: string, spec: TableSpec, allAreRoots: boolean) {
    this.name = name;
    this.columns = Object.entries(spec.columns).map(([column, { type, mutable, ephemeral }], index) => ({
      name: column,
      type,
      mutable: mutable ?? true,
      ephemeral: ephemeral ?? false,
      index,
      default: defaultDatum(type),
    }));
    this.defaults = this.columns.map((column) => column.default);
    for (const column of this.columns) this.#byName.set(column.name, column);
    this.declaredRoot = spec.isRoot ?? false;
    this.isRoot = this.declaredRoot || allAreRoots;
    this.maxRows = spec.maxRows ?? Infinity;
    this.indexes = (spec.indexes ?? []).map((index) => index.map((column) => this.column(column)));
  }

  find(name: string): ColumnSchema | undefined {
    return this.#byName.get(name);
  }

  column(name: string, json?: unknown): ColumnSchema {
    const column = this.#byName.get(name);
    if (!column) throw new OvsdbError("unknown column", `No column ${name} in table ${this.name}.`, json);
    return column;
  }
}

export class DatabaseSchema {
  readonly name: string;
  readonly version: string;
  readonly cksum: string | undefined;
  readonly tables: ReadonlyMap<string, TableSchema>;

  constructor(spec: DatabaseSpec) {
    this.name = spec.name;
    this.version = spec.version;
    this.cksum = spec.cksum;
    const tables = Object.entries(spec.tables);
    const allAreRoots = !tables.some(([, table]) => table.isRoot);
    this.tables = new Map(tables.map(([name, table]) => [name, new TableSchema(name, table, allAreRoots)]));
    for (const table of this.tables.values())
      for (const { name, type } of table.columns)
        for (const base of [type.key, type.value]) this.#checkReference(table.name, name, base);
  }

  #checkReference(table: string, column: string, base: BaseType | undefined): void {
    if (base?.refTable === undefined || this.tables.has(base.refTable)) return;
    throw syntaxError(`column ${table}.${column} refers to table ${base.refTable}, which does not exist`);
  }

  table(name: string, json?: unknown): TableSchema {
    const table = this.tables.get(name);
    if (!table) throw syntaxError(`No table named ${name}.`, json);
    return table;
  }

  toJson(): Record<string, unknown> {
    const tables: Record<string, unknown> = {};
    for (const name of [...this.tables.keys()].sort()) tables[name] = tableToJson(this.tables.get(name)!);
    return {
      ...(this.cksum !== undefined && { cksum: this.cksum }),
      name: this.name,
      tables,
      version: this.version,
    };
  }

  /** Throws OvsdbError "syntax error" saying what is wrong. */
  static fromJson(json: unknown): DatabaseSchema {
    if (!isObject(json)) throw syntaxError("a schema must be an object", json);
    refuseOthers(json, ["name", "version", "cksum", "tables"], "a schema");
    if (!isId(json.name)) throw syntaxError("a schema needs a name that is an <id>", json.name);
    const version = json.version ?? "";
    if (typeof version !== "string" || (json.version !== undefined && !/^\d+\.\d+\.\d+$/.test(version)))
      throw syntaxError(`schema version "${String(version)}" not in format x.y.z`, json.version);
    if (json.cksum !== undefined && typeof json.cksum !== "string")
      throw syntaxError("cksum must be a string", json.cksum);
    if (!isObject(json.tables)) throw syntaxError("a schema needs tables", json);
    const tables: Record<string, TableSpec> = {};
    for (const [name, table] of Object.entries(json.tables)) {
      refuseBadName("table", name);
      tables[name] = tableFromJson(name, table);
    }
    return new DatabaseSchema({
      name: json.name,
      version,
      ...(json.cksum !== undefined && { cksum: json.cksum }),
      tables,
    });
  }
}

const refuseOthers = (json: Record<string, unknown>, allowed: readonly string[], what: string): void => {
  for (const member of Object.keys(json))
    if (!allowed.includes(member)) throw syntaxError(`unexpected member "${member}" in ${what}`, json);
};

const refuseBadName = (what: string, name: string): void => {
  if (!isId(name)) throw syntaxError(`"${name}" is not a valid ${what} name`);
  if (name.startsWith("_")) throw syntaxError(`a ${what} name must not begin with "_"`, name);
};

const optionalBoolean = (json: Record<string, unknown>, member: string): boolean | undefined => {
  const value = json[member];
  if (value !== undefined && typeof value !== "boolean")
    throw syntaxError(`${member} must be a boolean`, json);
  return value;
};

const tableFromJson = (name: string, json: unknown): TableSpec => {
  if (!isObject(json)) throw syntaxError(`table ${name} must be an object`, json);
  refuseOthers(json, ["columns", "maxRows", "isRoot", "indexes"], `table ${name}`);
  if (!isObject(json.columns) || Object.keys(json.columns).length === 0)
    throw syntaxError(`table ${name} must have at least one column`, json);
  const columns: Record<string, ColumnSpec> = {};
  for (const [column, spec] of Object.entries(json.columns)) {
    refuseBadName("column", column);
    if (!isObject(spec)) throw syntaxError(`column ${name}.${column} must be an object`, spec);
    refuseOthers(spec, ["type", "mutable", "ephemeral"], `column ${name}.${column}`);
    columns[column] = {
      type: columnTypeFromJson(spec.type),
      mutable: optionalBoolean(spec, "mutable") ?? true,
      ephemeral: optionalBoolean(spec, "ephemeral") ?? false,
    };
  }
  const { maxRows, indexes = [] } = json;
  if (maxRows !== undefined && !(Number.isInteger(maxRows) && (maxRows as number) > 0))
    throw syntaxError("maxRows must be at least 1", json);
  if (!Array.isArray(indexes)) throw syntaxError("indexes must be an array", json);
  for (const index of indexes as unknown[]) {
    if (!Array.isArray(index) || index.length === 0) throw syntaxError("an index must name a column", index);
    for (const column of index as unknown[]) {
      if (typeof column !== "string" || !Object.hasOwn(columns, column))
        throw syntaxError(`index on ${String(column)}, which is not a column of table ${name}`, index);
      if (columns[column].ephemeral)
        throw syntaxError(`ephemeral column ${column} may not be indexed`, index);
    }
    if (new Set(index).size !== index.length) throw syntaxError("an index names a column twice", index);
  }
  return {
    columns,
    isRoot: optionalBoolean(json, "isRoot") ?? false,
    indexes: indexes as string[][],
    ...(maxRows !== undefined && { maxRows: maxRows as number }),
  };
};

const tableToJson = (table: TableSchema): unknown => {
  const columns: Record<string, unknown> = {};
  for (const column of [...table.columns].sort((a, b) => (a.name < b.name ? -1 : 1)))
    columns[column.name] = {
      ...(column.ephemeral && { ephemeral: true }),
      ...(!column.mutable && { mutable: false }),
      type: columnTypeToJson(column.type),
    };
  return {
    columns,
    ...(table.indexes.length > 0 && { indexes: table.indexes.map((index) => index.map(({ name }) => name)) }),
    ...(table.declaredRoot && { isRoot: true }),
    ...(table.maxRows !== Infinity && { maxRows: table.maxRows }),
  };
};
