import type { Commit } from "../engine/transaction.js";
import { type MergedChanges, type MonitorShape, type MonitorVersion, mergeCommit } from "./monitor-shape.js";

/** What a monitor needs of its session. */
export interface MonitorSession {
  send(text: string): void;
  /** The client does not keep up: what it is to be told is gathered instead of sent. */
  readonly isBlocked: boolean;
  readonly counters: MonitorCounters;
}

export interface MonitorCounters {
  updates: number;
  /** Commits that were merged with others because the client was slow. */
  updates_merged: number;
}

/** One monitor of one client. A client that reads slowly is sent fewer, merged updates: what is held for it is at
 *  most one change for each row of the database. */
export class Monitor {
  readonly #session: MonitorSession;
  readonly version: MonitorVersion;
  /** The client's name for it, as JSON text. */
  id: string;
  shape: MonitorShape;
  #pending: MergedChanges | undefined;

  constructor(session: MonitorSession, version: MonitorVersion, id: string, shape: MonitorShape) {
    this.#session = session;
    this.version = version;
    this.id = id;
    this.shape = shape;
  }

  deliver(commit: Commit): void {
    if (this.#pending || this.#session.isBlocked) {
      this.#pending ??= new Map();
      this.#session.counters.updates_merged++;
      mergeCommit(this.#pending, commit);
    } else this.notify(this.shape.commitText(commit), commit.id);
  }

  /** Sends what was gathered. */
  flush(): void {
    if (!this.#pending) return;
    const changes = this.#pending;
    this.#pending = undefined;
    this.notify(this.shape.changesText(changes), this.shape.database.lastId);
  }

  notify(updates: string, transactionId: string): void {
    if (!updates) return;
    this.#session.counters.updates++;
    const method = METHODS[this.version];
    const last = this.version === 3 ? `"${transactionId}",` : "";
    this.#session.send(`{"id":null,"method":"${method}","params":[${this.id},${last}${updates}]}`);
  }
}

const METHODS: Record<MonitorVersion, string> = { 1: "update", 2: "update2", 3: "update3" };
