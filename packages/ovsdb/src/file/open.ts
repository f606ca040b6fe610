import { existsSync, realpathSync } from "node:fs";
import { nullLog, realClock } from "@sluice/runtime";
import { Database } from "../engine/database.js";
import type { DatabaseSchema } from "../schema/schema.js";
import { loadDatabase } from "./load.js";
import { lockDatabase } from "./lock.js";
import { DatabaseFileError } from "./record.js";
import { createFile, FileStorage, type FileStorageOptions } from "./storage.js";

export interface OpenOptions extends FileStorageOptions {
  /** The schema of the file to be made where there is none at `path`. */
  schema?: DatabaseSchema;
  historyLength?: number;
}

/** The file itself, where `path` is a link to it: a compacted file takes the file's place, not the link's. */
export const followLinks = (path: string): string => (existsSync(path) ? realpathSync(path) : path);

/** Opens the database file at `name`, made first where it is absent and a schema is given; "memory" keeps nothing.
 *  A record torn at the end is dropped with a warning. Throws DatabaseFileError in one line. */
export const openDatabase = async (name: string | "memory", options: OpenOptions = {}): Promise<Database> => {
  const { schema, historyLength, log = nullLog, clock = realClock } = options;
  const history = historyLength === undefined ? {} : { historyLength };
  if (name === "memory") {
    if (!schema) throw new Error("a database in memory needs a schema");
    return new Database(schema, history);
  }
  const path = followLinks(name);
  if (!existsSync(path) && !schema) throw new DatabaseFileError(path, "no such file");
  const unlock = lockDatabase(path);
  try {
    if (!existsSync(path)) create(path, schema!, clock.wallNow());
    const { database, end, torn } = loadDatabase(path, () => history);
    if (torn) log.warn(`${path}: ${torn}`);
    database.storage = new FileStorage(path, end, unlock, options);
    return database;
  } catch (error) {
    unlock();
    if (error instanceof DatabaseFileError) throw error;
    throw new DatabaseFileError(path, (error as Error).message.split("\n")[0]);
  }
};

const create = (path: string, schema: DatabaseSchema, wallMs: number): void =>
  createFile(path, new Database(schema), wallMs);
