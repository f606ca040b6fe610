import { randomUUID } from "node:crypto";
import {
  type Atom,
  type ColumnSchema,
  type ColumnType,
  compareAtoms,
  type Datum,
  datumEquals,
  datumExcludes,
  datumIncludes,
  findKey,
  formatAtom,
  formatDatum,
  makeDatum,
  parseAtom,
  parseDatum,
  type Row,
  type RowTable,
  readToken,
  UUID_COLUMN,
} from "@sluice/ovsdb";
import { CliError } from "../io.js";
import { type CallContext, type Commands, type Context, NotYet } from "./context.js";
import { findColumn, findRow, findTable } from "./names.js";

const MANY = Number.MAX_SAFE_INTEGER;

/** The commands on any table (ovs-vsctl(8), "Database Commands"). */
export const dbCommands: Commands = {
  list: { min: 1, max: MANY, usage: "TABLE [RECORD]...", options: ["--if-exists", "--columns="], run: list },
  find: {
    min: 1,
    max: MANY,
    usage: "TABLE [COLUMN[:KEY]=VALUE]...",
    options: ["--columns="],
    run: find,
  },
  get: {
    min: 2,
    max: MANY,
    usage: "TABLE RECORD [COLUMN[:KEY]]...",
    options: ["--if-exists", "--id="],
    run: get,
  },
  set: {
    min: 3,
    max: MANY,
    usage: "TABLE RECORD COLUMN[:KEY]=VALUE...",
    options: ["--if-exists"],
    run: set,
  },
  add: {
    min: 4,
    max: MANY,
    usage: "TABLE RECORD COLUMN [KEY=]VALUE...",
    options: ["--if-exists"],
    run: add,
  },
  remove: {
    min: 4,
    max: MANY,
    usage: "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...",
    options: ["--if-exists"],
    run: remove,
  },
  clear: { min: 3, max: MANY, usage: "TABLE RECORD COLUMN...", options: ["--if-exists"], run: clear },
  create: { min: 2, max: MANY, usage: "TABLE COLUMN[:KEY]=VALUE...", options: ["--id="], run: create },
  destroy: { min: 1, max: MANY, usage: "TABLE [RECORD]...", options: ["--if-exists", "--all"], run: destroy },
  "wait-until": {
    min: 2,
    max: MANY,
    usage: "TABLE RECORD [COLUMN[:KEY]=VALUE]...",
    run: waitUntil,
  },
  comment: {
    min: 0,
    max: MANY,
    usage: "[ARG]...",
    run: ({ db, args }) => void db.comments.push(args.join(" ")),
  },
};

const findArgs = (context: CallContext): { table: RowTable; row: Row | undefined } => {
  const table = findTable(context.db, context.args[0]!);
  return { table, row: findRow(context.db, table, context.args[1]!, !context.options.has("--if-exists")) };
};

function columnsOf(context: CallContext, table: RowTable): ColumnSchema[] {
  const named = context.options.get("--columns");
  if (named === undefined)
    return [UUID_COLUMN, ...[...table.schema.columns].sort((a, b) => (a.name < b.name ? -1 : 1))];
  return named
    .split(/[, ]+/)
    .filter((name) => name)
    .map((name) => findColumn(table, name));
}

function printRows(context: CallContext, table: RowTable, rows: readonly Row[]): void {
  const columns = columnsOf(context, table);
  context.printTable({
    headings: columns.map((column) => column.name),
    rows: rows.map((row) => columns.map((column) => ({ type: column.type, datum: row.get(column) }))),
  });
}

const byUuid = (a: Row, b: Row): number => compareAtoms(a.uuid, b.uuid);

function list(context: CallContext): void {
  const { db, args, options } = context;
  const table = findTable(db, args[0]!);
  const rows =
    args.length > 1
      ? args.slice(1).flatMap((text) => findRow(db, table, text, !options.has("--if-exists")) ?? [])
      : [...table.rows.values()].sort(byUuid);
  printRows(context, table, rows);
}

function find(context: CallContext): void {
  const { db, args } = context;
  const table = findTable(db, args[0]!);
  const tests = args.slice(1).map((text) => condition(db, table, text));
  const rows = [...table.rows.values()].filter((row) => tests.every((test) => test(row)));
  printRows(context, table, rows.sort(byUuid));
}

/** `COLUMN[:KEY]` and what follows. */
interface Cell {
  readonly column: ColumnSchema;
  /** As written. */
  readonly key: string | undefined;
  readonly rest: string;
}

function parseCell(table: RowTable, text: string): Cell {
  const name = readToken(text, 0);
  if (name.token === "") throw new CliError(`${text}: missing column name`);
  const column = findColumn(table, name.token);
  if (text[name.end] !== ":") return { column, key: undefined, rest: text.slice(name.end) };
  const key = readToken(text, name.end + 1);
  return { column, key: key.token, rest: text.slice(key.end) };
}

const OPERATORS = [
  "{not-in}",
  "{!=}",
  "{<=}",
  "{>=}",
  "{in}",
  "{=}",
  "{<}",
  "{>}",
  "!=",
  "<=",
  ">=",
  "=",
  "<",
  ">",
];

function splitOperator(text: string, rest: string): [operator: string, value: string] {
  const operator = OPERATORS.find((one) => rest.startsWith(one));
  if (operator === undefined) {
    const all =
      '"=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}", "{in}", or "{not-in}"';
    throw new CliError(`${text}: argument does not end in ${all} followed by a value.`);
  }
  return [operator, rest.slice(operator.length)];
}

const keyOf = ({ type, name }: ColumnSchema, table: RowTable, key: string): Atom => {
  if (!type.value) throw new CliError(`cannot specify key to ${name}: ${table.name}.${name} is not a map`);
  return parseAtom(type.key, key);
};

const relations: Readonly<Record<string, (order: number) => boolean>> = {
  "=": (order) => order === 0,
  "!=": (order) => order !== 0,
  "<": (order) => order < 0,
  ">": (order) => order > 0,
  "<=": (order) => order <= 0,
  ">=": (order) => order >= 0,
};

const setRelations: Readonly<Record<string, (value: Datum, argument: Datum) => boolean>> = {
  "{=}": datumEquals,
  "{!=}": (value, argument) => !datumEquals(value, argument),
  "{<}": (value, argument) => datumIncludes(argument, value) && !datumEquals(value, argument),
  "{>}": (value, argument) => datumIncludes(value, argument) && !datumEquals(value, argument),
  "{<=}": (value, argument) => datumIncludes(argument, value),
  "{>=}": (value, argument) => datumIncludes(value, argument),
  "{in}": (value, argument) => value.keys.every((key) => findKey(argument.keys, key) >= 0),
  "{not-in}": (value, argument) => datumExcludes(value, argument),
};

/** The order of two data: of their first elements that differ. */
const compareData = (a: Datum, b: Datum): number => {
  const count = Math.min(a.keys.length, b.keys.length);
  for (let i = 0; i < count; i++) {
    const order =
      compareAtoms(a.keys[i]!, b.keys[i]!) || (a.values ? compareAtoms(a.values[i]!, b.values![i]!) : 0);
    if (order !== 0) return order;
  }
  return a.keys.length - b.keys.length;
};

/** The test that `COLUMN[:KEY]OPERATOR VALUE` stands for. */
function condition(db: Context, table: RowTable, text: string): (row: Row) => boolean {
  const { column, key, rest } = parseCell(table, text);
  const { type } = column;
  const [operator, valueText] = splitOperator(text, rest);
  const relation = relations[operator];
  if (key !== undefined) {
    const atom = keyOf(column, table, key);
    const one: ColumnType = { key: { type: type.value!.type }, min: 0, max: Infinity };
    const argument = parseDatum(one, valueText, db.symbol, true);
    return (row) => {
      const { keys, values } = row.get(column);
      const at = findKey(keys, atom);
      const value: Datum = { keys: at < 0 ? [] : [values![at]!], values: null };
      if (!relation) return setRelations[operator]!(value, argument);
      // A key that is not there has no relation to any value.
      return at >= 0 && relation(compareData(value, argument));
    };
  }
  const free: ColumnType = {
    key: { type: type.key.type },
    ...(type.value && { value: { type: type.value.type } }),
    min: 0,
    max: Infinity,
  };
  const argument = parseDatum(free, valueText, db.symbol, true);
  if (relation) return (row) => relation(compareData(row.get(column), argument));
  return (row) => setRelations[operator]!(row.get(column), argument);
}

function get(context: CallContext): void {
  const { args, options, db } = context;
  const { table, row } = findArgs(context);
  if (!row) return;
  const id = options.get("--id");
  if (id !== undefined) createSymbol(db, id, row.uuid);
  for (const text of args.slice(2)) {
    const { column, key, rest } = parseCell(table, text);
    if (rest !== "") throw new CliError(`${text}: trailing garbage "${rest}" in argument`);
    const { type } = column;
    const datum = row.get(column);
    if (key === undefined) {
      context.print(`${formatDatum(type, datum)}\n`);
      continue;
    }
    if (!type.value) throw new CliError(`cannot specify key to get for non-map column ${column.name}`);
    const at = findKey(datum.keys, parseAtom(type.key, key));
    if (at >= 0) context.print(`${formatAtom(type.value.type, datum.values![at]!)}\n`);
    else if (options.has("--if-exists")) context.print("\n");
    else throw new CliError(`no key "${key}" in ${table.name} record "${args[1]}" column ${column.name}`);
  }
}

/** Sets what `COLUMN[:KEY]=VALUE` says in a row; each command that makes rows uses it. */
export function assign(db: Context, table: RowTable, row: Row, text: string): void {
  const { column, key, rest } = parseCell(table, text);
  if (!rest.startsWith("=")) throw new CliError(`${text}: argument does not end in "=" followed by a value.`);
  const valueText = rest.slice(1);
  if (key === undefined) {
    if (valueText === "") throw new CliError(`${text}: missing value`);
    db.put(table, row, column, parseDatum(column.type, valueText, db.symbol));
    return;
  }
  if (!column.type.value) throw new CliError(`cannot specify key to set for non-map column ${column.name}`);
  const atom = parseAtom(column.type.key, key);
  const value = parseAtom(column.type.value, readWhole(valueText), db.symbol);
  const { keys, values } = row.get(column);
  const others = keys.map((_, i) => i).filter((i) => keys[i] !== atom);
  db.put(
    table,
    row,
    column,
    makeDatum([...others.map((i) => keys[i]!), atom], [...others.map((i) => values![i]!), value]),
  );
}

/** A whole argument as one word: quotes are needed around what they only are. */
const readWhole = (text: string): string => {
  if (!text.startsWith('"')) return text;
  const { token, end } = readToken(text, 0);
  if (end !== text.length) throw new CliError(`${text}: trailing garbage after quoted string`);
  return token;
};

function set(context: CallContext): void {
  const { table, row } = findArgs(context);
  if (!row) return;
  let current = row;
  for (const text of context.args.slice(2)) {
    assign(context.db, table, current, text);
    current = table.rows.get(row.uuid)!;
  }
}

function add(context: CallContext): void {
  const { table, row } = findArgs(context);
  if (!row) return;
  const column = findColumn(table, context.args[2]!);
  const { type } = column;
  const old = row.get(column);
  const keys = [...old.keys];
  const values = old.values && [...old.values];
  for (const text of context.args.slice(3)) {
    const added = parseDatum({ ...type, min: 0, max: Infinity }, text, context.db.symbol, true);
    added.keys.forEach((key, i) => {
      const at = keys.indexOf(key);
      if (at < 0) {
        keys.push(key);
        values?.push(added.values![i]!);
      } else if (values) values[at] = added.values![i]!;
    });
  }
  if (keys.length > type.max)
    throw new CliError(
      `"add" operation would put ${keys.length} ${type.value ? "pairs" : "values"} in column ${column.name} of ` +
        `table ${table.name} but the maximum number is ${type.max}`,
    );
  context.db.put(table, row, column, makeDatum(keys, values));
}

function remove(context: CallContext): void {
  const { table, row } = findArgs(context);
  if (!row) return;
  const column = findColumn(table, context.args[2]!);
  const { type } = column;
  const old = row.get(column);
  let kept = old.keys.map((_, i) => i);
  for (const text of context.args.slice(3)) {
    const isPairs = type.value !== undefined && /^\{?[^"{]*=|^\{?"(?:[^"\\]|\\.)*"\s*=/.test(text);
    const what: ColumnType = {
      key: { type: type.key.type },
      ...(isPairs && { value: { type: type.value!.type } }),
      min: 0,
      max: Infinity,
    };
    const removed = parseDatum(what, text, context.db.symbol, true);
    kept = kept.filter((i) => {
      const at = findKey(removed.keys, old.keys[i]!);
      return at < 0 || (removed.values !== null && removed.values[at] !== old.values![i]);
    });
  }
  if (kept.length < type.min)
    throw new CliError(
      `"remove" operation would put ${kept.length} values in column ${column.name} of table ${table.name} but the ` +
        `minimum number is ${type.min}`,
    );
  context.db.put(table, row, column, {
    keys: kept.map((i) => old.keys[i]!),
    values: old.values && kept.map((i) => old.values![i]!),
  });
}

function clear(context: CallContext): void {
  const { table, row } = findArgs(context);
  if (!row) return;
  let current = row;
  for (const name of context.args.slice(2)) {
    const column = findColumn(table, name);
    if (!column.mutable || column.index < 0)
      throw new CliError(`cannot modify read-only column ${column.name} in table ${table.name}`);
    if (column.type.min > 0)
      throw new CliError(
        `"clear" operation cannot be applied to column ${column.name} of table ${table.name}, which is not allowed to be empty`,
      );
    context.db.put(table, current, column, { keys: [], values: column.type.value ? [] : null });
    current = table.rows.get(row.uuid)!;
  }
}

/** Says which row `@NAME` is: `uuid`, or the one that it was used for already. */
function createSymbol(db: Context, id: string, uuid?: string): string {
  if (!id.startsWith("@")) throw new CliError(`row id "${id}" does not begin with "@"`);
  const symbol = db.symbolOf(id);
  if (symbol.isCreated) throw new CliError(`row id "${id}" may only be specified on one --id option`);
  symbol.isCreated = true;
  if (uuid !== undefined) symbol.uuid = uuid;
  return symbol.uuid;
}

function create(context: CallContext): void {
  const { db, args, options } = context;
  const table = findTable(db, args[0]!);
  const id = options.get("--id");
  const uuid = id === undefined ? randomUUID() : createSymbol(db, id);
  if (id === undefined && !table.schema.isRoot)
    context.warn(`applying "create" command to table ${table.name} without --id option will have no effect`);
  const row = db.txn.insert(table, uuid);
  for (const text of args.slice(1)) assign(db, table, row, text);
  context.print(`${uuid}\n`);
}

function destroy(context: CallContext): void {
  const { db, args, options } = context;
  const table = findTable(db, args[0]!);
  if (options.has("--all")) {
    if (args.length > 1) throw new CliError("--all and records argument should not be specified together");
    for (const row of [...table.rows.values()]) db.txn.delete(table, row);
    return;
  }
  if (args.length === 1) context.warn("either --all or records argument should be specified");
  for (const text of args.slice(1)) {
    const row = findRow(db, table, text, !options.has("--if-exists"));
    if (row) db.txn.delete(table, row);
  }
}

function waitUntil({ db, args }: CallContext): void {
  const table = findTable(db, args[0]!);
  const row = findRow(db, table, args[1]!, false);
  if (!row) throw new NotYet();
  for (const text of args.slice(2)) if (!condition(db, table, text)(row)) throw new NotYet();
}
