import {
  datumEquals,
  errorFromJson,
  formatTable,
  isObject,
  OvsdbClient,
  OvsdbError,
  type TableStyle,
  Transaction,
} from "@sluice/ovsdb";
import { type Clock, StreamError, type TlsOptions } from "@sluice/runtime";
import { CliError } from "../io.js";
import { tableStyle } from "../ovsdb/output.js";
import { Context, NotYet } from "./context.js";
import { operationsOf } from "./operations.js";
import type { CommandLine } from "./parse.js";
import { Copy } from "./session.js";

const DATABASE = "Open_vSwitch";

export interface VsctlEnvironment {
  readonly clock: Clock;
  /** The database server. */
  readonly target: string;
  readonly tls: TlsOptions;
  /** The command line as typed, for the transaction's comment. */
  readonly typed: string;
  stdout(text: string): void;
  stderr(text: string): void;
}

/** Carries the command line out as one transaction, and gives the exit code. Throws CliError. */
export async function runCommands(line: CommandLine, env: VsctlEnvironment): Promise<number> {
  const style = styleOf(line);
  const client = await connect(line, env);
  try {
    const copy = await Copy.of(client, DATABASE);
    for (;;) {
      const attempt = tryOnce(line, copy, style);
      if (attempt === "wait") {
        await copy.nextChange();
        continue;
      }
      const outcome = await commit(line, attempt, copy, client, env);
      if (outcome === "try again") {
        await copy.nextChange();
        continue;
      }
      for (const warning of attempt.warnings) env.stderr(`sluice vsctl: ${warning}\n`);
      env.stdout(attempt.outputs.map((text) => asShown(text, line)).join(""));
      await warnOfUnsupported(outcome, client, env);
      return (await checkInterfaces(line, attempt, outcome, client, env)) || attempt.exitCode;
    }
  } catch (error) {
    if (error instanceof OvsdbError)
      throw new CliError(`transaction error: ${JSON.stringify(error.toJson())}`);
    throw error;
  } finally {
    client.close();
  }
}

async function connect(line: CommandLine, { target, tls, clock }: VsctlEnvironment): Promise<OvsdbClient> {
  for (;;) {
    try {
      return await OvsdbClient.connect(target, { ...tls, clock, probeIntervalMs: 5000 });
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      if (!line.options.has("--retry")) throw new CliError(`${error.message} (database connection failed)`);
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 1000));
    }
  }
}

interface Attempt {
  readonly db: Context;
  readonly outputs: readonly string[];
  readonly warnings: readonly string[];
  readonly exitCode: number;
}

/** Runs the commands on the copy. "wait": a wait-until does not hold yet. Throws CliError. */
function tryOnce(line: CommandLine, { database }: Copy, style: TableStyle): Attempt | "wait" {
  const txn = new Transaction();
  const db = new Context(database, txn);
  const outputs: string[] = [];
  const warnings: string[] = [];
  let exitCode = 0;
  try {
    const root = database.tables.get(DATABASE);
    if (root && root.rows.size === 0) db.insert(DATABASE, {});
    for (const call of line.calls) {
      let output = "";
      const context = {
        ...call,
        db,
        print: (text: string) => {
          output += text;
        },
        printTable: (table: Parameters<typeof formatTable>[0]) => {
          output += formatTable(table, style);
        },
        warn: (text: string) => void warnings.push(text),
        exit: (code: number) => {
          exitCode = code;
        },
      };
      call.command.run(context);
      outputs.push(output);
    }
    for (const [name, { isCreated }] of db.symbols)
      if (!isCreated)
        throw new CliError(
          `row id "${name}" is referenced but never created (e.g. with "-- --id=${name} create ...")`,
        );
    return { db, outputs, warnings, exitCode };
  } catch (error) {
    txn.rollback();
    if (error instanceof NotYet) return "wait";
    throw error;
  }
}

interface Committed {
  /** What cur_cfg must reach for the switch to have applied it; undefined where nothing is to be waited for. */
  readonly nextCfg: number | undefined;
  /** Rows with a status that were made or changed. */
  readonly touched: readonly Touched[];
}

interface Touched {
  readonly table: string;
  readonly uuid: string;
  /** Columns that were changed. */
  readonly columns: ReadonlySet<string>;
}

const NOTHING: Committed = { nextCfg: undefined, touched: [] };

/** Sends what the attempt changed, and waits until the switch has applied it. */
async function commit(
  line: CommandLine,
  { db }: Attempt,
  { database }: Copy,
  client: OvsdbClient,
  env: VsctlEnvironment,
): Promise<Committed | "try again"> {
  const operations = operationsOf(db.txn);
  const touched = touchedRows(db.txn);
  const wasEmpty = database.tables.get(DATABASE)?.rows.size === 1 && isNewRoot(db);
  const root = database.tables.get(DATABASE)?.rows.values().next().value;
  db.txn.rollback();
  if (operations.length === 0 || line.options.has("--dry-run")) return NOTHING;
  const isWaiting = !line.options.has("--no-wait");
  const where = [["_uuid", "==", ["uuid", root?.uuid]]];
  const tail: unknown[] = [];
  if (isWaiting) {
    tail.push({ op: "mutate", table: DATABASE, where, mutations: [["next_cfg", "+=", 1]] });
    tail.push({ op: "select", table: DATABASE, where, columns: ["next_cfg"] });
  }
  const comments = [`sluice vsctl: ${env.typed}`, ...db.comments];
  const head = wasEmpty
    ? [{ op: "wait", timeout: 0, table: DATABASE, where: [], columns: ["_uuid"], until: "==", rows: [] }]
    : [];
  const results = (await client.request("transact", [
    DATABASE,
    ...head,
    ...operations,
    ...comments.map((comment) => ({ op: "comment", comment })),
    ...tail,
  ])) as unknown[];
  const failed = results.find((result) => isObject(result) && "error" in result);
  if (failed) {
    const error = errorFromJson(failed);
    if (error.tag === "timed out") return "try again";
    throw error;
  }
  if (!isWaiting) return NOTHING;
  const selected = results[head.length + operations.length + comments.length + 1] as {
    rows: { next_cfg: number }[];
  };
  const nextCfg = selected.rows[0]!.next_cfg;
  await client.request("transact", [
    DATABASE,
    {
      op: "wait",
      table: DATABASE,
      where: [["cur_cfg", "<", nextCfg]],
      columns: ["_uuid"],
      until: "==",
      rows: [],
    },
  ]);
  return { nextCfg, touched };
}

/** Tables in whose `status` the switch says what of a row it does not support. */
const WITH_STATUS: ReadonlySet<string> = new Set(["Bridge", "Port", "Interface"]);

const touchedRows = ({ changes }: Transaction): Touched[] =>
  [...changes.values()]
    .flatMap((ofTable) => [...ofTable.values()])
    .flatMap(({ table, uuid, old, new: now }) => {
      if (!now || !WITH_STATUS.has(table.name)) return [];
      const changed = table.schema.columns.filter(
        (column) => !datumEquals(now.get(column), old ? old.get(column) : column.default),
      );
      return [{ table: table.name, uuid, columns: new Set(changed.map(({ name }) => name)) }];
    });

const isNewRoot = ({ txn, database }: Context): boolean => {
  const table = database.tables.get(DATABASE);
  return table !== undefined && [...(txn.changes.get(table)?.values() ?? [])].some((change) => !change.old);
};

/** Says which new interfaces the switch could not set up, and why; then the exit code is 1. */
async function checkInterfaces(
  line: CommandLine,
  { db }: Attempt,
  { nextCfg }: Committed,
  client: OvsdbClient,
  env: VsctlEnvironment,
): Promise<number> {
  if (nextCfg === undefined || db.newInterfaces.length === 0 || line.options.has("--dry-run")) return 0;
  const results = await client.transact(
    DATABASE,
    db.newInterfaces.map((uuid) => ({
      op: "select",
      table: "Interface",
      where: [["_uuid", "==", ["uuid", uuid]]],
      columns: ["name", "ofport", "error"],
    })),
  );
  let exitCode = 0;
  for (const { name, ofport, error } of results.flatMap(({ rows }) => rows ?? [])) {
    if (typeof ofport === "number" && ofport !== -1) continue;
    exitCode = 1;
    const reason = typeof error === "string" ? `: ${error}` : "";
    env.stderr(
      `sluice vsctl: Error detected while setting up '${String(name)}'${reason}.  See the switch daemon's log for details.\n`,
    );
  }
  return exitCode;
}

/** Says which of the settings that were changed the switch does not support: nothing comes of them. */
async function warnOfUnsupported(
  { touched }: Committed,
  client: OvsdbClient,
  env: VsctlEnvironment,
): Promise<void> {
  if (touched.length === 0) return;
  const results = await client.transact(
    DATABASE,
    touched.map(({ table, uuid }) => ({
      op: "select",
      table,
      where: [["_uuid", "==", ["uuid", uuid]]],
      columns: ["name", "status"],
    })),
  );
  for (const [index, { rows = [] }] of results.entries()) {
    const { table, columns } = touched[index]!;
    for (const { name, status } of rows) {
      const pairs = new Map(Array.isArray(status) ? (status[1] as [string, string][]) : []);
      const settings = (pairs.get("unsupported") ?? "")
        .split(", ")
        .filter((setting) => columns.has(setting.split(/[:=]/)[0]!));
      if (settings.length === 0) continue;
      const what = `${table.toLowerCase()} ${String(name)}`;
      env.stderr(`sluice vsctl: ${what}: the switch does not support ${settings.join(", ")}\n`);
    }
  }
}

const asShown = (text: string, line: CommandLine): string => {
  if (!line.options.has("--oneline")) return text;
  const trimmed = text.endsWith("\n") ? text.slice(0, -1) : text;
  return `${trimmed.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`;
};

const styleOf = ({ options }: CommandLine): TableStyle => {
  const value = (name: string) => (options.has(name) ? { [name.slice(2)]: options.get(name) } : {});
  const flag = (name: string) => ({ [name.slice(2)]: options.has(name) });
  return tableStyle(
    {
      ...value("--format"),
      ...value("--data"),
      ...value("--max-column-width"),
      ...flag("--no-headings"),
      ...flag("--pretty"),
      ...flag("--bare"),
    },
    "list",
  );
};
