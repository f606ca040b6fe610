import { StreamError, type TlsOptions } from "@sluice/runtime";
import { DatabaseRemotes } from "./database-remotes.js";
import { type Remote, startRemote } from "./remote.js";
import type { ServerCore } from "./server.js";

export type { RemoteOptions } from "./remote.js";

const DB_REMOTE = /^db:([^,]+),([^,]+),([^,]+)$/;

interface Entry {
  stop(): Promise<void>;
}

/** The remotes that the server was told of by name. */
export class Remotes {
  readonly #server: ServerCore;
  readonly #tls: () => TlsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(server: ServerCore, tls: () => TlsOptions = () => ({})) {
    this.#server = server;
    this.#tls = tls;
  }

  get targets(): readonly string[] {
    return [...this.#entries.keys()];
  }

  async add(target: string): Promise<string> {
    if (this.#entries.has(target)) throw new StreamError(target, "is a remote already");
    const fromDatabase = DB_REMOTE.exec(target);
    if (fromDatabase) {
      const [, database, table, column] = fromDatabase;
      this.#entries.set(
        target,
        DatabaseRemotes.start(this.#server, target, { database, table, column }, { tls: this.#tls }),
      );
      return target;
    }
    if (target.startsWith("db:")) throw new StreamError(target, 'expected "db:DATABASE,TABLE,COLUMN"');
    const remote: Remote = await startRemote(this.#server, target, { tls: this.#tls });
    this.#entries.set(target, remote);
    return remote.target;
  }

  async remove(target: string): Promise<void> {
    const entry = this.#entries.get(target);
    if (!entry) throw new StreamError(target, "is not a remote");
    this.#entries.delete(target);
    await entry.stop();
  }

  async close(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map((entry) => entry.stop()));
  }
}
