import { isId, toUuid } from "../schema/atom.js";
import { checkSize, type Datum, datumFromJson, datumKey } from "../schema/datum.js";
import { isObject, OvsdbError, syntaxError } from "../schema/error.js";
import type { ColumnSchema, TableSchema } from "../schema/schema.js";
import { newUuid } from "../schema/uuid.js";
import { type Condition, conditionFromJson, holdsAll, pinnedUuid } from "./condition.js";
import type { Database } from "./database.js";
import { mutationFromJson } from "./mutation.js";
import { type Row, rowText } from "./row.js";
import { indexKeyOf, type Table } from "./table.js";
import type { Transaction } from "./transaction.js";

/** What an operation may ask of its surroundings. */
export interface OperationContext {
  readonly database: Database;
  readonly txn: Transaction;
  /** Does the client hold the lock? */
  ownsLock(name: string): boolean;
  /** Milliseconds since the transaction was first tried. */
  readonly elapsedMs: number;
  readonly readOnly: boolean;
}

/** Thrown by a "wait" whose condition does not hold yet: the transaction is undone and tried again after a change to
 *  `table`, until `deadlineMs` after its first try. */
export class WaitPending extends Error {
  readonly table: Table;
  readonly deadlineMs: number;

  constructor(table: Table, deadlineMs: number) {
    super("wait");
    this.table = table;
    this.deadlineMs = deadlineMs;
  }
}

type Json = Readonly<Record<string, unknown>>;

interface OperationSpec {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  readonly writes?: boolean;
  /** Does it, and returns its result as JSON text. */
  readonly run: (context: OperationContext, operation: Json) => string;
}

/** RFC 7047 §5.2. */
const OPERATIONS: ReadonlyMap<string, OperationSpec> = new Map(
  Object.entries({
    insert: { required: ["table", "row"], optional: ["uuid-name", "uuid"], writes: true, run: insert },
    select: { required: ["table", "where"], optional: ["columns", "sort"], run: select },
    update: { required: ["table", "where", "row"], optional: [], writes: true, run: update },
    mutate: { required: ["table", "where", "mutations"], optional: [], writes: true, run: mutate },
    delete: { required: ["table", "where"], optional: [], writes: true, run: remove },
    wait: { required: ["table", "where", "until", "rows"], optional: ["columns", "timeout"], run: wait },
    commit: { required: ["durable"], optional: [], run: commit },
    abort: { required: [], optional: [], run: abort },
    comment: { required: ["comment"], optional: [], run: comment },
    assert: { required: ["lock"], optional: [], run: assertLock },
  } satisfies Record<string, OperationSpec>),
);

/** Checks the shape of an operation and runs it. Throws OvsdbError or WaitPending. */
export const runOperation = (context: OperationContext, json: unknown): string => {
  if (!isObject(json)) throw syntaxError("an operation must be an object", json);
  const spec = typeof json.op === "string" ? OPERATIONS.get(json.op) : undefined;
  if (!spec) throw syntaxError(`No operation "${String(json.op)}"`, json);
  for (const member of spec.required)
    if (!Object.hasOwn(json, member)) throw syntaxError(`Required '${member}' member is missing.`, json);
  for (const member in json)
    if (member !== "op" && !spec.required.includes(member) && !spec.optional.includes(member))
      throw syntaxError(`Member '${member}' is present but not allowed here.`, json);
  if (spec.writes && context.readOnly)
    throw new OvsdbError(
      "not allowed",
      `${json.op as string} operation not allowed on a read-only connection or database`,
    );
  return spec.run(context, json);
};

const tableOf = ({ database }: OperationContext, operation: Json): Table => {
  const { table } = operation;
  if (typeof table !== "string") throw syntaxError("table must be a string", table);
  return database.table(table, operation);
};

const rowCells = (
  table: TableSchema,
  json: unknown,
  context: OperationContext,
  anySize = false,
): [ColumnSchema, Datum][] => {
  if (!isObject(json)) throw syntaxError("a row must be an object", json);
  const cells: [ColumnSchema, Datum][] = [];
  for (const name of Object.keys(json)) {
    const column = table.column(name, json);
    cells.push([column, datumFromJson(column.type, json[name], context.txn, anySize)]);
  }
  return cells;
};

function insert(context: OperationContext, json: Json): string {
  const { txn } = context;
  const table = tableOf(context, json);
  const given = json.uuid === undefined ? undefined : uuidMember(json.uuid);
  const name = json["uuid-name"];
  if (name !== undefined && !isId(name)) throw syntaxError('"uuid-name" must be an <id>', name);
  const uuid = name === undefined ? (given ?? newUuid()) : txn.create(name as string, given);
  const row = txn.insert(table, uuid);
  for (const [column, datum] of rowCells(table.schema, json.row, context)) {
    if (column.index < 0)
      throw new OvsdbError(
        "constraint violation",
        `Column ${column.name} of table ${table.name} cannot be set.`,
      );
    row.cols[column.index] = datum;
  }
  // A default may break a constraint too: an enum without "" that the client left out is allowed, a bad size is not.
  return `{"uuid":["uuid","${uuid}"]}`;
}

const uuidMember = (json: unknown): string => {
  const text = Array.isArray(json) && json[0] === "uuid" && json.length === 2 ? (json[1] as unknown) : json;
  if (typeof text !== "string") throw syntaxError('"uuid" must be a UUID', json);
  return toUuid(text, json);
};

/** The rows for which the condition holds, by the shortest way to them. */
const matching = (table: Table, condition: Condition, txn: Transaction): Row[] => {
  const uuid = pinnedUuid(condition);
  if (uuid !== undefined) {
    const row = table.rows.get(uuid);
    return row && holdsAll(condition, row) ? [row] : [];
  }
  const candidates = byIndex(table, condition, txn) ?? table.rows.values();
  const rows: Row[] = [];
  for (const row of candidates) if (holdsAll(condition, row)) rows.push(row);
  return rows;
};

/** The rows that an index leads to, and those that it does not know yet because this transaction changed them. */
const byIndex = (table: Table, condition: Condition, txn: Transaction): Iterable<Row> | undefined => {
  for (const index of table.indexes) {
    const data: Datum[] = [];
    for (const column of index.columns)
      for (const clause of condition)
        if (typeof clause !== "boolean" && clause.function === "==" && clause.column === column) {
          data.push(clause.argument);
          break;
        }
    if (data.length < index.columns.length) continue;
    const rows = new Set<Row>();
    const owner = index.rows.get(indexKeyOf(data));
    const row = owner === undefined ? undefined : table.rows.get(owner);
    if (row) rows.add(row);
    for (const { new: now } of txn.changes.get(table)?.values() ?? []) if (now) rows.add(now);
    return rows;
  }
  return undefined;
};

const whereOf = (context: OperationContext, table: Table, json: Json): Condition =>
  conditionFromJson(table.schema, json.where, context.txn);

const columnsOf = (table: TableSchema, json: unknown): ColumnSchema[] => {
  if (json === undefined) return [table.column("_uuid"), table.column("_version"), ...table.columns];
  if (!Array.isArray(json)) throw syntaxError("columns must be an array of column names", json);
  const columns = (json as unknown[]).map((name) => {
    if (typeof name !== "string") throw syntaxError("columns must be an array of column names", json);
    const column = table.find(name);
    if (!column) throw syntaxError(`${name} is not a valid column name`, json);
    return column;
  });
  if (new Set(columns).size !== columns.length) throw syntaxError("a column is named twice", json);
  return columns;
};

function select(context: OperationContext, json: Json): string {
  const table = tableOf(context, json);
  const condition = whereOf(context, table, json);
  const columns = columnsOf(table.schema, json.columns);
  const rows = matching(table, condition, context.txn);
  if (json.sort !== undefined) sortRows(rows, columnsOf(table.schema, json.sort));
  let texts: Iterable<string> = rows.map((row) => rowText(row, columns));
  // Rows are a set: what looks alike is said once.
  if (rows.length > 1 && !columns.some((column) => column.index === -1)) texts = new Set(texts);
  return `{"rows":[${[...texts].join(",")}]}`;
}

const sortRows = (rows: Row[], columns: readonly ColumnSchema[]): void => {
  rows.sort((a, b) => {
    for (const column of columns) {
      const [x, y] = [a.get(column), b.get(column)];
      const count = Math.max(x.keys.length, y.keys.length);
      for (let i = 0; i < count; i++) {
        if (x.keys[i] === y.keys[i]) continue;
        return x.keys[i] === undefined || (y.keys[i] !== undefined && x.keys[i] < y.keys[i]) ? -1 : 1;
      }
    }
    return 0;
  });
};

function update(context: OperationContext, json: Json): string {
  const { txn } = context;
  const table = tableOf(context, json);
  const cells = rowCells(table.schema, json.row, context);
  for (const [column] of cells)
    if (column.index < 0 || !column.mutable)
      throw new OvsdbError(
        "constraint violation",
        `Cannot update immutable column ${column.name} in table ${table.name}.`,
        json,
      );
  const rows = matching(table, whereOf(context, table, json), txn);
  for (const row of rows) {
    const mine = txn.modify(table, row);
    for (const [column, datum] of cells) mine.cols[column.index] = datum;
  }
  return `{"count":${rows.length}}`;
}

function mutate(context: OperationContext, json: Json): string {
  const { txn } = context;
  const table = tableOf(context, json);
  const condition = whereOf(context, table, json);
  if (!Array.isArray(json.mutations)) throw syntaxError("mutations must be an array", json.mutations);
  const mutations = (json.mutations as unknown[]).map((mutation) =>
    mutationFromJson(table.schema, mutation, txn),
  );
  const rows = matching(table, condition, txn);
  for (const row of rows) {
    const mine = txn.modify(table, row);
    for (const { column, apply } of mutations) {
      const result = apply(mine.cols[column.index]);
      checkSize(column.type, result);
      mine.cols[column.index] = result;
    }
  }
  return `{"count":${rows.length}}`;
}

function remove(context: OperationContext, json: Json): string {
  const table = tableOf(context, json);
  const rows = matching(table, whereOf(context, table, json), context.txn);
  for (const row of rows) context.txn.delete(table, row);
  return `{"count":${rows.length}}`;
}

const MAX_TIMEOUT_MS = 2 ** 53;

function wait(context: OperationContext, json: Json): string {
  const table = tableOf(context, json);
  const { timeout, until, rows } = json;
  if (timeout !== undefined && (typeof timeout !== "number" || !Number.isInteger(timeout) || timeout < 0))
    throw syntaxError("timeout must be a nonnegative integer", timeout);
  if (until !== "==" && until !== "!=") throw syntaxError('"until" must be "==" or "!="', until);
  const condition = whereOf(context, table, json);
  const columns = columnsOf(table.schema, json.columns);
  if (!Array.isArray(rows)) throw syntaxError("rows must be an array", rows);
  const expected = new Set(
    (rows as unknown[]).map((row) => {
      const cells = new Map(rowCells(table.schema, row, context, true));
      return columns.map((column) => datumKey(cells.get(column) ?? column.default)).join("\0\0");
    }),
  );
  const actual = new Set(
    matching(table, condition, context.txn).map((row) =>
      columns.map((column) => datumKey(row.get(column))).join("\0\0"),
    ),
  );
  const isEqual = expected.size === actual.size && [...actual].every((key) => expected.has(key));
  if (isEqual === (until === "==")) return "{}";
  const deadlineMs = timeout ?? MAX_TIMEOUT_MS;
  if (context.elapsedMs < deadlineMs) throw new WaitPending(table, deadlineMs);
  throw new OvsdbError(
    "timed out",
    deadlineMs === 0
      ? `"where" clause test failed`
      : `"wait" timed out after ${Math.round(context.elapsedMs)} ms`,
  );
}

function commit(context: OperationContext, { durable }: Json): string {
  if (typeof durable !== "boolean") throw syntaxError("durable must be a boolean", durable);
  context.txn.durable ||= durable;
  return "{}";
}

function abort(): string {
  throw new OvsdbError("aborted", "aborted by request");
}

function comment({ txn }: OperationContext, { comment: text }: Json): string {
  if (typeof text !== "string") throw syntaxError("comment must be a string", text);
  txn.comment += (txn.comment ? "\n" : "") + text;
  return "{}";
}

function assertLock(context: OperationContext, { lock }: Json): string {
  if (!isId(lock)) throw syntaxError("lock must be an <id>", lock);
  if (!context.ownsLock(lock)) throw new OvsdbError("not owner", `Asserted lock ${lock} not held.`);
  return "{}";
}
