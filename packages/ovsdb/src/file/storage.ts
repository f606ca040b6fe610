import {
  closeSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { type Clock, type Log, nullLog, realClock } from "@sluice/runtime";
import type { Database, Storage } from "../engine/database.js";
import type { Commit } from "../engine/transaction.js";
import { OvsdbError } from "../schema/error.js";
import { commitText, newRowText } from "./commit-text.js";
import { encodeLine, encodeRecord } from "./record.js";

export interface FileStorageOptions {
  clock?: Clock;
  log?: Log;
  /** The file is compacted when it has at least this many bytes and twice those after the last compaction. */
  compactAtSize?: number;
  /** Not so soon after the last compaction, unless the file has grown tenfold. Ten minutes unless given. */
  compactIntervalMs?: number;
}

const COMPACT_AT_SIZE = 10 * 1024 * 1024;
const COMPACT_INTERVAL_MS = 10 * 60 * 1000;
/** Rows written between two looks at the network while compacting. */
const ROWS_PER_TURN = 2000;

/** The file of one open database. A record is handed to the operating system before its commit stands (it survives
 *  the process), and is on the disk when `sync` resolves (it survives the machine). */
export class FileStorage implements Storage {
  readonly path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #compactAtSize: number;
  readonly #compactIntervalMs: number;
  #compactedAt: number;
  readonly #unlock: () => void;
  #fd: number;
  #size: number;
  #sizeAfterCompaction: number;
  #isDirty = false;
  #syncing: Promise<void> | undefined;
  #syncQueued: Promise<void> | undefined;
  #compacting: Promise<void> | undefined;
  /** Records since the snapshot that is being written. */
  #tail: Buffer[] | undefined;

  /** `size`: bytes of whole records; whatever is behind them is cut off. */
  constructor(path: string, size: number, unlock: () => void, options: FileStorageOptions = {}) {
    this.path = path;
    this.#clock = options.clock ?? realClock;
    this.#log = options.log ?? nullLog;
    this.#compactAtSize = options.compactAtSize ?? COMPACT_AT_SIZE;
    this.#compactIntervalMs = options.compactIntervalMs ?? COMPACT_INTERVAL_MS;
    this.#compactedAt = this.#clock.now();
    this.#unlock = unlock;
    this.#fd = openSync(path, "r+");
    ftruncateSync(this.#fd, size);
    this.#size = size;
    this.#sizeAfterCompaction = size;
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  append(database: Database, commit: Commit): void {
    const text = commitText(commit, this.#clock.wallNow());
    if (text === undefined) return;
    const record = encodeLine(text);
    try {
      writeAll(this.#fd, record, this.#size);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      try {
        ftruncateSync(this.#fd, this.#size);
      } catch {
        // Then the next record overwrites what was half written.
      }
      this.#log.err(`${this.path}: cannot write: ${message}`);
      throw new OvsdbError("I/O error", `${this.path}: write failed (${code ?? message})`);
    }
    this.#size += record.length;
    this.#isDirty = true;
    this.#tail?.push(record);
    if (!this.#compacting && this.#isWorthCompacting())
      this.compact(database).catch((error: Error) =>
        this.#log.err(`${this.path}: compaction: ${error.message}`),
      );
  }

  #isWorthCompacting(): boolean {
    const least = Math.max(this.#compactAtSize, 2 * this.#sizeAfterCompaction);
    if (this.#size < least) return false;
    return this.#size >= 5 * least || this.#clock.now() - this.#compactedAt >= this.#compactIntervalMs;
  }

  /** Those who ask while the disk is busy share the next turn: one wait for any number of commits. */
  sync(): Promise<void> {
    if (!this.#isDirty) return this.#syncing ?? Promise.resolve();
    if (!this.#syncing) {
      this.#syncing = this.#syncNow().finally(() => {
        this.#syncing = undefined;
      });
      return this.#syncing;
    }
    this.#syncQueued ??= this.#syncing
      .catch(() => {})
      .then(() => {
        this.#syncQueued = undefined;
        return this.sync();
      });
    return this.#syncQueued;
  }

  #syncNow(): Promise<void> {
    this.#isDirty = false;
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => {
        if (!error) return resolve();
        this.#isDirty = true;
        reject(new OvsdbError("I/O error", `${this.path}: sync failed (${error.code})`));
      });
    });
  }

  /** Writes the present rows to a new file and puts it in this one's place: at any moment one of the two is whole. */
  compact(database: Database): Promise<void> {
    this.#compacting ??= this.#compactNow(database).finally(() => {
      this.#compacting = undefined;
      this.#tail = undefined;
    });
    return this.#compacting;
  }

  async #compactNow(database: Database): Promise<void> {
    const before = this.#size;
    this.#tail = [];
    const parts: string[] = [];
    for (const part of snapshotParts(database, this.#clock.wallNow())) {
      parts.push(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    while (this.#syncing) await this.#syncing.catch(() => {});
    // Synchronous from here on: no record can come in between.
    this.#replace(database, parts, this.#tail);
    this.#log.info(`${this.path}: compacted from ${before} to ${this.#size} bytes`);
  }

  async convert(next: Database, apply: () => void): Promise<void> {
    while (this.#compacting) await this.#compacting.catch(() => {});
    while (this.#syncing) await this.#syncing.catch(() => {});
    apply();
    this.#replace(next, [...snapshotParts(next, this.#clock.wallNow())], []);
  }

  #replace(database: Database, rows: readonly string[], tail: readonly Buffer[]): void {
    const temporary = `${this.path}.tmp`;
    const fd = openSync(temporary, "w+", fstatSync(this.#fd).mode & 0o777);
    let size = 0;
    try {
      const schema = JSON.stringify(database.schema.toJson());
      for (const part of [...encodeRecord(schema), ...encodeRecord(...rows), ...tail]) {
        writeAll(fd, part, size);
        size += part.length;
      }
      fsyncSync(fd);
      renameSync(temporary, this.path);
    } catch (error) {
      closeSync(fd);
      rmSync(temporary, { force: true });
      throw new OvsdbError("I/O error", `${temporary}: ${(error as Error).message}`);
    }
    syncDirectory(this.path);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = size;
    this.#sizeAfterCompaction = size;
    this.#compactedAt = this.#clock.now();
    this.#isDirty = false;
  }

  async close(): Promise<void> {
    await this.#compacting?.catch(() => {});
    while (this.#syncing) await this.#syncing.catch(() => {});
    if (this.#isDirty) await this.#syncNow().catch((error: Error) => this.#log.err(error.message));
    closeSync(this.#fd);
    this.#unlock();
  }
}

/** All rows as the text of one record, in parts. Rows never change once committed, so this is the state at the call,
 *  however long the caller takes over it. */
const snapshotParts = (
  database: Database,
  wallMs: number,
  comment = "compacting database online",
): Iterable<string> => {
  const tables = [...database.tables.values()].map((table) => ({ table, rows: [...table.rows.values()] }));
  return (function* () {
    yield "{";
    for (const { table, rows } of tables) {
      if (rows.length === 0) continue;
      yield `"${table.name}":{`;
      for (let at = 0; at < rows.length; at += ROWS_PER_TURN) {
        const texts = rows
          .slice(at, at + ROWS_PER_TURN)
          .map((row) => `"${row.uuid}":${newRowText(table, row)}`);
        yield (at ? "," : "") + texts.join(",");
      }
      yield "},";
    }
    yield `"_comment":${JSON.stringify(comment)},"_date":${Math.floor(wallMs)}}`;
  })();
};

const writeAll = (fd: number, data: Uint8Array, position: number): void => {
  for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at, position + at);
};

/** Makes a file's name last: a rename is not on the disk before its directory is. */
export const syncDirectory = (path: string): void => {
  const fd = openSync(dirname(path), "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** A database file's contents: the schema, and all rows in one record, which is left out where there is nothing to
 *  say in it. */
export const fileContents = (database: Database, wallMs: number, comment?: string): Buffer[] => {
  const isEmpty = [...database.tables.values()].every((table) => table.rows.size === 0);
  return [
    ...encodeRecord(JSON.stringify(database.schema.toJson())),
    ...(isEmpty && comment === undefined ? [] : encodeRecord(...snapshotParts(database, wallMs, comment))),
  ];
};

/** Writes a new database file that holds `database`. Throws the system's error, EEXIST where there is one. */
export const createFile = (
  path: string,
  database: Database,
  wallMs: number,
  { comment, mode = 0o640 }: { comment?: string; mode?: number } = {},
): void => {
  const fd = openSync(path, "wx", mode);
  try {
    let size = 0;
    for (const part of fileContents(database, wallMs, comment)) {
      writeAll(fd, part, size);
      size += part.length;
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  syncDirectory(path);
};
