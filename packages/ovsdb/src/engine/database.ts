import { ZERO_UUID } from "../schema/atom.js";
import { syntaxError } from "../schema/error.js";
import type { DatabaseSchema } from "../schema/schema.js";
import { newUuid } from "../schema/uuid.js";
import { Table } from "./table.js";
import type { Commit, Transaction } from "./transaction.js";

/** Where committed transactions are kept. */
export interface Storage {
  /** Writes a commit to the file; throws where it cannot, and the transaction is undone. */
  append(database: Database, commit: Commit): void;
  /** Resolves once everything appended so far survives a power cut. */
  sync(): Promise<void>;
  /** Replaces the contents by the present ones. */
  compact(database: Database): Promise<void>;
  /** Waits for a quiet moment, calls `apply`, and in the same turn replaces the contents by those of `next`. */
  convert(next: Database, apply: () => void): Promise<void>;
  close(): Promise<void>;
}

/** For a database that lives as long as its process. */
const memoryStorage: Storage = {
  append: () => {},
  sync: () => Promise.resolve(),
  compact: () => Promise.resolve(),
  convert: async (_next, apply) => apply(),
  close: () => Promise.resolve(),
};

export interface DatabaseOptions {
  storage?: Storage;
  /** Commits kept for clients that come back (monitor_cond_since), at times twice as many. 100 unless given. */
  historyLength?: number;
}

type CommitListener = (commit: Commit, database: Database) => void;

/** A database: its tables, its storage, and the commits of late. */
export class Database {
  #schema: DatabaseSchema;
  #tables: ReadonlyMap<string, Table>;
  /** Where commits go; set once, before the first. */
  storage: Storage;
  readonly #historyLength: number;
  #history: Commit[] = [];
  /** Id of the state before the first commit in the history. */
  #historyBase = newUuid();
  readonly #listeners = new Set<CommitListener>();

  constructor(schema: DatabaseSchema, options: DatabaseOptions = {}) {
    this.#schema = schema;
    this.#tables = makeTables(schema);
    this.storage = options.storage ?? memoryStorage;
    this.#historyLength = options.historyLength ?? 100;
  }

  get schema(): DatabaseSchema {
    return this.#schema;
  }

  get name(): string {
    return this.#schema.name;
  }

  get tables(): ReadonlyMap<string, Table> {
    return this.#tables;
  }

  /** Identifies the present state to clients of monitor_cond_since. */
  get lastId(): string {
    return this.#history.at(-1)?.id ?? this.#historyBase;
  }

  table(name: string, json?: unknown): Table {
    const table = this.#tables.get(name);
    if (!table) throw syntaxError(`No table named ${name}.`, json);
    return table;
  }

  onCommit(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Commits, tells the listeners, and remembers. Throws OvsdbError where the transaction must not stand. */
  commit(txn: Transaction): Commit | undefined {
    const commit = txn.commit((ready) => this.storage.append(this, ready));
    if (!commit) return undefined;
    this.#remember(commit);
    for (const listener of this.#listeners) listener(commit, this);
    return commit;
  }

  #remember(commit: Commit): void {
    this.#history.push(commit);
    // Trimmed in one go when there are twice as many: taking one off the front moves all the others, each time.
    if (this.#history.length < 2 * this.#historyLength) return;
    this.#historyBase =
      this.#history.splice(0, this.#history.length - this.#historyLength).at(-1)?.id ?? commit.id;
  }

  /** The commits after the state called `id`, oldest first, or undefined where it is unknown or too old. */
  since(id: string): readonly Commit[] | undefined {
    if (id === ZERO_UUID) return undefined;
    if (id === this.#historyBase) return this.#history;
    const at = this.#history.findLastIndex((commit) => commit.id === id);
    return at < 0 ? undefined : this.#history.slice(at + 1);
  }

  /** Takes over the schema and rows of `other` (convert). The history starts anew. */
  replaceBy(other: Database): void {
    this.#schema = other.#schema;
    this.#tables = other.#tables;
    this.#history = [];
    this.#historyBase = newUuid();
  }
}

const makeTables = (schema: DatabaseSchema): ReadonlyMap<string, Table> => {
  const tables = new Map([...schema.tables].map(([name, table]) => [name, new Table(table)]));
  for (const table of tables.values()) table.connect(tables);
  return tables;
};
