import { createHash, hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parseJson } from "@sluice/runtime";

// The append-only file of ovsdb(5): records of a header line `OVSDB JSON <length> <sha1>` and `length` bytes of JSON with
// its newline. The first holds the schema, each other one a transaction.

const MAGIC = "OVSDB JSON ";
const CLUSTER_MAGIC = "OVSDB CLUSTER ";
const SHA1_LENGTH = 40;
/** Of a length: what a file can hold. */
const MAX_DIGITS = 13;
const HEADER_MAX = 80;
const SPACE = 0x20;
const NEWLINE = 0x0a;

const isClusterHeader = (bytes: Buffer): boolean =>
  bytes.toString("latin1", 0, CLUSTER_MAGIC.length) === CLUSTER_MAGIC;

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
  /** JSON text, its checksum true, and where it begins and ends in `bytes`, which stay as they are. */
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
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
  takeBytes: (bytes: Buffer, from: number, to: number, index: number) => boolean = () => false,
): LogContents => {
  const fd = openForReading(path);
  try {
    const { size } = fstatSync(fd);
    const file = new Reader(fd);
    if (size === 0) throw new DatabaseFileError(path, "the file is empty, not a database");
    let at = 0;
    for (let index = 0; at < size; index++) {
      let record = readRecord(file, path, at, size, index === 0);
      if (typeof record !== "string" && !takeBytes(record.bytes, record.from, record.to, index)) {
        const json = jsonOf(record);
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
    const header = readAt(fd, 0, HEADER_MAX);
    if (isClusterHeader(header)) return true;
    if (headerShape(header, 0) < 0)
      throw new DatabaseFileError(path, "not a database: it does not begin with an OVSDB record");
    return false;
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
  let from = file.read(at, Math.min(HEADER_MAX, size - at));
  const shape = headerShape(file.bytes, from);
  if (shape < 0) {
    if (isClusterHeader(file.bytes.subarray(from)))
      throw new DatabaseFileError(path, "is a clustered database; only standalone ones can be opened");
    return isFirst ? "it does not begin with an OVSDB record" : "no record header";
  }
  const length = Math.floor(shape / HEADER_MAX);
  const start = at + (shape % HEADER_MAX);
  const end = start + length;
  if (end > size) return `a record of ${length} bytes ends after ${size - start}`;
  const header = file.bytes;
  const sha1At = from + (start - at) - 1 - SHA1_LENGTH;
  from = file.read(start, length);
  const to = from + length;
  const sha1 = hash("sha1", file.bytes.subarray(from, to));
  for (let i = 0; i < SHA1_LENGTH; i++)
    if (header[sha1At + i] !== sha1.charCodeAt(i)) return "the record's contents do not have its checksum";
  return { bytes: file.bytes, from, to, end };
};

/** What the header that begins there says: the length of the contents times HEADER_MAX, plus its own. -1 where there
 *  is none. By hand: a regular expression costs as much as all else that is done for a small record. */
const headerShape = (bytes: Buffer, from: number): number => {
  let at = from;
  for (let i = 0; i < MAGIC.length; i++) if (bytes[at++] !== MAGIC.charCodeAt(i)) return -1;
  let length = 0;
  const digits = at;
  for (let byte = bytes[at]; byte >= 0x30 && byte <= 0x39; byte = bytes[++at])
    length = 10 * length + (byte - 0x30);
  if (at === digits || at - digits > MAX_DIGITS || bytes[at++] !== SPACE) return -1;
  for (const end = at + SHA1_LENGTH; at < end; at++) if (!isHex(bytes[at])) return -1;
  if (bytes[at++] !== NEWLINE) return -1;
  return length * HEADER_MAX + (at - from);
};

/** Of a lower-case digit. */
const isHex = (byte: number): boolean => (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66);

/** What the record's text says, or what is wrong with it. */
const jsonOf = ({ bytes, from, to }: FileRecord): { value: unknown } | string => {
  try {
    return { value: parseJson(bytes.toString("utf8", from, to)) };
  } catch (error) {
    return `the record is ${(error as Error).message}`;
  }
};

const WINDOW_SIZE = 1024 * 1024;

/** Reads a file in large pieces: a record of the usual size costs no system call. */
class Reader {
  readonly #fd: number;
  /** What was read last. A new buffer each time: rows remain in the old ones. */
  bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Where in `bytes` those at `at` of the file are now. */
  read(at: number, length: number): number {
    const from = at - this.#start;
    if (from >= 0 && from + length <= this.bytes.length) return from;
    this.bytes = readAt(this.#fd, at, Math.max(length, WINDOW_SIZE));
    this.#start = at;
    return 0;
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
    const start = file.read(from, Math.min(SCAN_SIZE + HEADER_MAX, size - from));
    const window = file.bytes.subarray(start);
    for (let i = window.indexOf(MAGIC); i >= 0 && i < SCAN_SIZE; i = window.indexOf(MAGIC, i + 1)) {
      const record = readRecord(file, "", from + i, size, false);
      if (typeof record !== "string" && typeof jsonOf(record) !== "string") return true;
    }
  }
  return false;
};
