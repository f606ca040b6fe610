import { OvsdbError, syntaxError } from "../schema/error.js";

/** What the locks need of a session. */
export interface LockSession {
  send(text: string): void;
}

/** The server's advisory locks (RFC 7047 §4.1.8 to §4.1.10): for each name those who want it, its owner first. */
export class Locks<S extends LockSession> {
  readonly #queues = new Map<string, S[]>();
  /** Names that a session has asked for and not unlocked: owned or awaited. */
  readonly #claims = new Map<S, Set<string>>();

  owns(session: S, name: string): boolean {
    return this.#queues.get(name)?.[0] === session;
  }

  /** Is it the owner now? Otherwise it waits, and "locked" will tell. */
  lock(session: S, name: string): boolean {
    this.#claim(session, name);
    const queue = this.#queues.get(name);
    if (queue) queue.push(session);
    else this.#queues.set(name, [session]);
    return this.owns(session, name);
  }

  /** The victim is next in line: clients take "stolen" as "wait", and ask no more (as ovsdb-server has it). */
  steal(session: S, name: string): true {
    this.#claim(session, name);
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, [session, ...queue]);
    queue[0]?.send(`{"id":null,"method":"stolen","params":["${name}"]}`);
    return true;
  }

  unlock(session: S, name: string): void {
    if (!this.#claims.get(session)?.delete(name))
      throw syntaxError('"unlock" without "lock" or "steal".', name);
    this.#leave(session, name);
  }

  /** The session has ended. */
  release(session: S): void {
    for (const name of this.#claims.get(session) ?? []) this.#leave(session, name);
    this.#claims.delete(session);
  }

  #claim(session: S, name: string): void {
    let names = this.#claims.get(session);
    if (!names) {
      names = new Set();
      this.#claims.set(session, names);
    }
    if (names.has(name))
      throw syntaxError('must issue "unlock" before new "lock" or "steal" of the same name', name);
    if (names.size >= MAX_LOCKS)
      throw new OvsdbError("resources exhausted", `a client may hold ${MAX_LOCKS} locks`);
    names.add(name);
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
