import { OvsdbError, syntaxError } from "../schema/error.js";

/** What the locks need of a session. */
export interface LockSession {
  send(text: string): void;
}

export interface LockStatus {
  readonly held: readonly string[];
  readonly waiting: readonly string[];
  readonly lost: readonly string[];
}

/** The server's advisory locks (RFC 7047 §4.1.8 to §4.1.10): for each name those who want it, its owner first. */
export class Locks<S extends LockSession> {
  readonly #queues = new Map<string, S[]>();
  /** Names that a session has asked for and not unlocked, and how: what was locked is owned or awaited, what was stolen is
   *  owned or lost. */
  readonly #claims = new Map<S, Map<string, "lock" | "steal">>();

  owns(session: S, name: string): boolean {
    return this.#queues.get(name)?.[0] === session;
  }

  /** Is it the owner now? Otherwise it waits, and "locked" will tell. */
  lock(session: S, name: string): boolean {
    this.#claim(session, name, "lock");
    const queue = this.#queues.get(name);
    if (queue) queue.push(session);
    else this.#queues.set(name, [session]);
    return this.owns(session, name);
  }

  /** As ovsdb-server has it: a victim that had the lock by "lock" is next in line (clients take "stolen" as "wait", and ask
   *  no more), one that had stolen it itself has lost it. */
  steal(session: S, name: string): true {
    this.#claim(session, name, "steal");
    const queue = this.#queues.get(name) ?? [];
    const victim = queue[0];
    const isLost = victim !== undefined && this.#claims.get(victim)?.get(name) === "steal";
    this.#queues.set(name, [session, ...(isLost ? queue.slice(1) : queue)]);
    victim?.send(`{"id":null,"method":"stolen","params":["${name}"]}`);
    return true;
  }

  unlock(session: S, name: string): void {
    if (!this.#claims.get(session)?.delete(name))
      throw syntaxError('"unlock" without "lock" or "steal".', name);
    this.#leave(session, name);
  }

  /** The locks that the session has asked for, by what came of it. */
  of(session: S): LockStatus {
    const status: Record<keyof LockStatus, string[]> = { held: [], waiting: [], lost: [] };
    for (const [name, how] of this.#claims.get(session) ?? [])
      status[this.owns(session, name) ? "held" : how === "lock" ? "waiting" : "lost"].push(name);
    return status;
  }

  /** The session has ended. */
  release(session: S): void {
    for (const name of this.#claims.get(session)?.keys() ?? []) this.#leave(session, name);
    this.#claims.delete(session);
  }

  #claim(session: S, name: string, how: "lock" | "steal"): void {
    let names = this.#claims.get(session);
    if (!names) {
      names = new Map();
      this.#claims.set(session, names);
    }
    if (names.has(name))
      throw syntaxError('must issue "unlock" before new "lock" or "steal" of the same name', name);
    if (names.size >= MAX_LOCKS)
      throw new OvsdbError("resources exhausted", `a client may hold ${MAX_LOCKS} locks`);
    names.set(name, how);
  }

  #leave(session: S, name: string): void {
    const queue = this.#queues.get(name) ?? [];
    const wasOwner = queue[0] === session;
    const rest = queue.filter((other) => other !== session);
    if (rest.length === 0) this.#queues.delete(name);
    else this.#queues.set(name, rest);
    if (wasOwner) rest[0]?.send(`{"id":null,"method":"locked","params":["${name}"]}`);
  }
}

const MAX_LOCKS = 1000;
