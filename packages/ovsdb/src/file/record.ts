import { createHash, hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parseJson } from "@sluice/runtime";

// The append-only file of ovsdb(5): records of a header line `OVSDB JSON <length> <sha1>` and `length` bytes of JSON with
// its newline. The first holds the schema, each other one a transaction.

export const MAGIC = "OVSDB JSON ";
const HEADER = /^OVSDB (JSON|CLUSTER) (\d{1,15}) ([0-9a-f]{40})\n/;
const HEADER_MAX = 80;

/** A file that cannot be used as a database: one line that names it. */
export class DatabaseFileError extends Error {
  readonly path: string;

  constructor(path: string, why: string) {
    super(`${path}: ${why}`);
    this.name = "DatabaseFileError";
    this.path = path;
  }
}

/** A record as bytes, of its JSON text in parts. */
export const encodeRecord = (...parts: readonly string[]): Buffer[] => {
  const hash = createHash("sha1");
  const body = parts.map((part, i) => Buffer.from(i === parts.length - 1 ? `${part}\n` : part));
  let size = 0;
  for (const part of body) {
    hash.update(part);
    size += part.length;
  }
  return [Buffer.from(`${MAGIC}${size} ${hash.digest("hex")}\n`), ...body];
};

/** As encodeRecord, for one short text: a transaction on its way to the disk. */
export const encodeLine = (text: string): Buffer => {
  const body = `${text}\n`;
  return Buffer.from(`${MAGIC}${Buffer.byteLength(body)} ${hash("sha1", body)}\n${body}`);
};

export interface FileRecord {
  /** JSON text, its checksum true; good until the next is read. */
  readonly body: Buffer;
  /** Where the record ends in the file. */
  readonly end: number;
}

export interface LogContents {
  /** Bytes up to the end of the last whole record. */
  readonly end: number;
  /** Why the rest of the file was left out: the last record was not written to its end. */
  readonly torn: string | undefined;
}

/** Calls `take` with each record, unless `takeBytes` has had it as JSON text and wants no more of it. Throws
 *  DatabaseFileError where the file is none of ours, or is damaged anywhere but at its end. */
export const readLog = (
  path: string,
  take: (json: unknown, index: number) => void,
  takeBytes: (text: Buffer, index: number) => boolean = () => false,
): LogContents => {
  const fd = openForReading(path);
  try {
    const { size } = fstatSync(fd);
    const file = new Reader(fd);
    if (size === 0) throw new DatabaseFileError(path, "the file is empty, not a database");
    let at = 0;
    for (let index = 0; at < size; index++) {
      let record = readRecord(file, path, at, size, index === 0);
      if (typeof record !== "string" && !takeBytes(record.body, index)) {
        const json = jsonOf(record.body);
        if (typeof json === "string") record = json;
        else take(json.value, index);
      }
      if (typeof record === "string") {
        if (index === 0) throw new DatabaseFileError(path, `not a database: ${record}`);
        if (hasRecordAfter(file, at + 1, size))
          throw new DatabaseFileError(path, `damaged at byte ${at}: ${record}, and whole records follow`);
        return { end: at, torn: `${record} at byte ${at}; ${size - at} bytes at the end are dropped` };
      }
      at = record.end;
    }
    return { end: at, torn: undefined };
  } finally {
    closeSync(fd);
  }
};

const openForReading = (path: string): number => {
  try {
    return openSync(path, "r");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new DatabaseFileError(
      path,
      code === "ENOENT" ? "no such file" : `cannot be opened: ${code ?? message}`,
    );
  }
};

/** Is it the file of a server in a cluster (ovsdb(7))? Throws DatabaseFileError where it is no database at all. */
export const isClustered = (path: string): boolean => {
  const fd = openForReading(path);
  try {
    const header = HEADER.exec(readAt(fd, 0, HEADER_MAX).toString("latin1"));
    if (!header) throw new DatabaseFileError(path, "not a database: it does not begin with an OVSDB record");
    return header[1] === "CLUSTER";
  } finally {
    closeSync(fd);
  }
};

/** The record at `at`, or what is wrong with it. */
const readRecord = (
  file: Reader,
  path: string,
  at: number,
  size: number,
  isFirst: boolean,
): FileRecord | string => {
  const head = file.read(at, Math.min(HEADER_MAX, size - at)).toString("latin1");
  const header = HEADER.exec(head);
  if (!header) return isFirst ? "it does not begin with an OVSDB record" : "no record header";
  if (header[1] === "CLUSTER")
    throw new DatabaseFileError(path, "is a clustered database; only standalone ones can be opened");
  const start = at + header[0].length;
  const length = Number(header[2]);
  if (start + length > size) return `a record of ${length} bytes ends after ${size - start}`;
  const body = file.read(start, length);
  if (hash("sha1", body) !== header[3]) return "the record's contents do not have its checksum";
  return { body, end: start + length };
};

/** What the record's text says, or what is wrong with it. */
const jsonOf = (body: Buffer): { value: unknown } | string => {
  try {
    return { value: parseJson(body.toString("utf8")) };
  } catch (error) {
    return `the record is ${(error as Error).message}`;
  }
};

const WINDOW_SIZE = 1024 * 1024;

/** Reads a file in large pieces: a record of the usual size costs no system call. */
class Reader {
  readonly #fd: number;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The bytes there, fewer at the file's end; good until the next call. */
  read(at: number, length: number): Buffer {
    const from = at - this.#start;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length);
    this.#window = readAt(this.#fd, at, Math.max(length, WINDOW_SIZE));
    this.#start = at;
    return this.#window.subarray(0, length);
  }
}

const readAt = (fd: number, at: number, length: number): Buffer => {
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const count = readSync(fd, buffer, filled, length - filled, at + filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
};

const SCAN_SIZE = 1024 * 1024;

/** Is there a whole record anywhere from `at` on? Then what is broken before it is damage, not a torn end. */
const hasRecordAfter = (file: Reader, at: number, size: number): boolean => {
  for (let from = at; from < size; from += SCAN_SIZE) {
    const window = Buffer.from(file.read(from, Math.min(SCAN_SIZE + HEADER_MAX, size - from)));
    for (let i = window.indexOf(MAGIC); i >= 0 && i < SCAN_SIZE; i = window.indexOf(MAGIC, i + 1)) {
      const record = readRecord(file, "", from + i, size, false);
      if (typeof record !== "string" && typeof jsonOf(record.body) !== "string") return true;
    }
  }
  return false;
};
