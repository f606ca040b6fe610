import { existsSync, renameSync, statSync } from "node:fs";
import {
  convertDatabase,
  createFile,
  Database,
  type DatabaseSchema,
  followLinks,
  isClustered,
  isObject,
  loadDatabase,
  lockDatabase,
  OpenVSwitch,
  OvsdbError,
  openDatabase,
  readLog,
  stringifySorted,
  syncDirectory,
  type TransactOutcome,
  transact,
} from "@sluice/ovsdb";
import { parseJson, realClock } from "@sluice/runtime";
import { CliError } from "../io.js";
import { version } from "../version.js";
import { parseArgument, readSchema } from "./arguments.js";
import { showLog } from "./show-log.js";

export interface ToolContext {
  readonly args: readonly string[];
  readonly more: number;
  print(text: string): void;
}

interface ToolCommand {
  readonly usage: string;
  readonly min: number;
  readonly max: number;
  /** Gives the exit code, 0 where it gives none. */
  readonly run: (context: ToolContext) => Promise<number | undefined> | number | undefined;
}

const DEFAULT_DB = "/etc/openvswitch/conf.db";
const DEFAULT_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** The schema in the file; ours, where none was named and Open vSwitch's is not installed. */
const schemaOf = (path: string | undefined): DatabaseSchema => {
  if (path === undefined && !existsSync(DEFAULT_SCHEMA)) return OpenVSwitch;
  return readSchema(path ?? DEFAULT_SCHEMA);
};

const fileSchema = (path: string | undefined = DEFAULT_DB): DatabaseSchema =>
  loadDatabase(path).database.schema;

/** Puts a file with the contents of `database` at `target`, which it replaces if it is `source`. */
function writeFile(source: string, target: string | undefined, database: Database, how: string): void {
  const options = {
    comment: `${how} by sluice ovsdb-tool ${version()}`,
    mode: statSync(source).mode & 0o777,
  };
  if (target !== undefined) {
    if (existsSync(target)) throw new CliError(`${target}: there is a file of that name`);
    createFile(target, database, realClock.wallNow(), options);
    return;
  }
  const temporary = `${source}.tmp${process.pid}`;
  createFile(temporary, database, realClock.wallNow(), options);
  renameSync(temporary, source);
  syncDirectory(source);
}

/** Reads the file, lets `change` make another database of it, and writes that, with a comment that says `how`. */
function rewrite(
  name: string,
  target: string | undefined,
  how: string,
  change: (database: Database) => Database,
): undefined {
  const path = followLinks(name);
  const unlock = lockDatabase(path);
  try {
    writeFile(path, target, change(loadDatabase(path).database), how);
  } catch (error) {
    if (error instanceof OvsdbError) throw new CliError(`${path}: ${error.message}`);
    throw error;
  } finally {
    unlock();
  }
  return undefined;
}

const compareVersions = (a: string, b: string): number => {
  const parts = (text: string): number[] => {
    if (!/^\d+\.\d+\.\d+$/.test(text)) throw new CliError(`"${text}" is not a version of the form x.y.z`);
    return text.split(".").map(Number);
  };
  const [x, y] = [parts(a), parts(b)];
  const at = x.findIndex((part, i) => part !== y[i]);
  return at < 0 ? 0 : x[at]! - y[at]!;
};

const RELATIONS: Readonly<Record<string, (order: number) => boolean>> = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  "==": (order) => order === 0,
  ">=": (order) => order >= 0,
  ">": (order) => order > 0,
  "!=": (order) => order !== 0,
};

async function runTransaction({ args, print }: ToolContext, isQuery: boolean): Promise<undefined> {
  const path = args.length > 1 ? args[0]! : DEFAULT_DB;
  const json = parseArgument(args.at(-1)!);
  if (!Array.isArray(json) || typeof json[0] !== "string") throw new CliError("not a valid OVSDB query");
  const operations = json.slice(1) as unknown[];
  if (isQuery) {
    const { database } = loadDatabase(path);
    refuseOther(database, json[0]);
    print(resultsOf(transact(database, operations, { readOnly: true })));
    return undefined;
  }
  const database = await openDatabase(path, { clock: realClock });
  try {
    refuseOther(database, json[0]);
    const results = resultsOf(transact(database, operations));
    await database.storage.sync();
    print(results);
  } finally {
    await database.storage.close();
  }
  return undefined;
}

/** Nobody else changes the file, so what waits for a change would wait for ever. */
const resultsOf = (outcome: TransactOutcome): string => {
  const results =
    "results" in outcome
      ? parseJson(outcome.results)
      : [{ error: "not supported", details: '"wait" cannot wait on a file' }];
  return `${stringifySorted(results)}\n`;
};

const refuseOther = (database: Database, name: string): void => {
  if (database.name !== name) throw new CliError(`the file holds database ${database.name}, not ${name}`);
};

/** Of a server in a cluster; clusters are not for us. */
const clustered: ToolCommand = {
  usage: "DB",
  min: 1,
  max: 1,
  run: ({ args: [path] }) => {
    throw new CliError(
      isClustered(path!)
        ? `${path}: clustered databases are not supported`
        : `${path}: not a clustered database`,
    );
  },
};

/** ovsdb-tool(1). */
export const toolCommands: Readonly<Record<string, ToolCommand>> = {
  create: {
    usage: "[DB [SCHEMA]]",
    min: 0,
    max: 2,
    run: ({ args: [path = DEFAULT_DB, schema] }) => {
      if (existsSync(path)) throw new CliError(`I/O error: ${path}: create failed (File exists)`);
      createFile(path, new Database(schemaOf(schema)), realClock.wallNow());
      return undefined;
    },
  },
  compact: {
    usage: "[DB [TARGET]]",
    min: 0,
    max: 2,
    run: ({ args: [path = DEFAULT_DB, target] }) =>
      rewrite(path, target, "compacted", (database) => database),
  },
  convert: {
    usage: "[DB [SCHEMA [TARGET]]]",
    min: 0,
    max: 3,
    run: ({ args: [path = DEFAULT_DB, schema, target] }) =>
      rewrite(path, target, "converted", (database) => {
        const next = new Database(schemaOf(schema));
        convertDatabase(database, next);
        return next;
      }),
  },
  "needs-conversion": {
    usage: "[DB [SCHEMA]]",
    min: 0,
    max: 2,
    run: ({ args: [path, schema], print }) => {
      const isSame =
        stringifySorted(fileSchema(path).toJson()) === stringifySorted(schemaOf(schema).toJson());
      print(isSame ? "no\n" : "yes\n");
      return undefined;
    },
  },
  "db-name": oneLine("[DB]", (path) => fileSchema(path).name),
  "db-version": oneLine("[DB]", (path) => fileSchema(path).version),
  "db-cksum": oneLine("[DB]", (path) => fileSchema(path).cksum ?? ""),
  "schema-name": oneLine("[SCHEMA]", (path) => schemaOf(path).name),
  "schema-version": oneLine("[SCHEMA]", (path) => schemaOf(path).version),
  "schema-cksum": oneLine("[SCHEMA]", (path) => schemaOf(path).cksum ?? ""),
  "db-is-standalone": { usage: "DB", min: 1, max: 1, run: ({ args }) => (isClustered(args[0]!) ? 2 : 0) },
  "db-is-clustered": { usage: "DB", min: 1, max: 1, run: ({ args }) => (isClustered(args[0]!) ? 0 : 2) },
  "db-cid": clustered,
  "db-sid": clustered,
  "db-local-address": clustered,
  "compare-versions": {
    usage: "A OP B",
    min: 3,
    max: 3,
    run: ({ args: [a, operator, b] }) => {
      const relation = Object.hasOwn(RELATIONS, operator!) ? RELATIONS[operator!] : undefined;
      if (!relation)
        throw new CliError(`not a relation: "${operator}"; there are ${Object.keys(RELATIONS).join(" ")}`);
      return relation(compareVersions(a!, b!)) ? 0 : 2;
    },
  },
  query: { usage: "[DB] TRANSACTION", min: 1, max: 2, run: (context) => runTransaction(context, true) },
  transact: { usage: "[DB] TRANSACTION", min: 1, max: 2, run: (context) => runTransaction(context, false) },
  "show-log": {
    usage: "[DB]",
    min: 0,
    max: 1,
    run: ({ args: [path = DEFAULT_DB], more, print }) => {
      const show = showLog(more, print);
      const { torn } = readLog(path, (json, index) => {
        if (isObject(json)) show(json, index);
      });
      if (torn) throw new CliError(`${path}: ${torn}`);
      return undefined;
    },
  },
};

function oneLine(usage: string, get: (path: string | undefined) => string): ToolCommand {
  return {
    usage,
    min: 0,
    max: 1,
    run: ({ args: [path], print }) => {
      print(`${get(path)}\n`);
      return undefined;
    },
  };
}
