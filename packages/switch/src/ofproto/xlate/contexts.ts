import { toHex } from "@sluice/wire";
import type { Action } from "../of.js";
import type { Step } from "./steps.js";
import type { XBridge, XPort } from "./world.js";

/** What a packet-in says besides the packet; the cookie of a userspace action stands for it. */
export interface PacketInContext {
  readonly bridge: XBridge;
  /** "fragment": it is no packet-in, but waits for the rest of its datagram. */
  readonly reason: "OFPR_NO_MATCH" | "OFPR_ACTION" | "OFPR_INVALID_TTL" | "fragment";
  readonly table_id: number;
  readonly cookie: bigint;
  /** undefined: the connection's miss_send_len decides. */
  readonly max_len: number | undefined;
  readonly in_port: number;
  /** Pipeline lanes of the key: metadata, registers, tunnel. */
  readonly pipeline: Uint32Array;
  readonly controllerId: number;
  readonly userdata: Uint8Array | undefined;
}

/** The rest of a translation that has to wait until the datapath has parsed the changed packet again. */
export interface Frozen {
  readonly bridge: XBridge;
  readonly in_port: number;
  readonly table_id: number;
  readonly cookie: bigint;
  readonly steps: readonly Step[];
  readonly actionSet: readonly Action[];
  readonly stack: readonly bigint[];
  readonly queue: number;
  readonly pipeline: Uint32Array;
}

interface Entry<T> {
  readonly id: number;
  readonly text: string;
  readonly value: T;
  refs: number;
}

/** Values by number and by content. An entry lives while megaflows refer to it; those nobody refers to stay for
 *  packets still on their way, until the table is full: then the oldest of them goes (`evicted`). */
export class ContentTable<T> {
  readonly #capacity: number;
  readonly #textOf: (value: T) => string;
  readonly #byText = new Map<string, Entry<T>>();
  readonly #byId = new Map<number, Entry<T>>();
  /** Entries without references, oldest first. */
  readonly #idle = new Map<number, Entry<T>>();
  #next = 1;
  evicted = 0;

  constructor(capacity: number, textOf: (value: T) => string) {
    this.#capacity = capacity;
    this.#textOf = textOf;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: number): T | undefined {
    return this.#byId.get(id)?.value;
  }

  /** The number of `value`; 0 when the table is full of entries in use. */
  idOf(value: T): number {
    const text = this.#textOf(value);
    const found = this.#byText.get(text);
    if (found) return found.id;
    if (this.#byId.size >= this.#capacity) {
      const [oldest] = this.#idle.values();
      if (!oldest) return 0;
      this.#drop(oldest);
      this.evicted++;
    }
    const entry: Entry<T> = { id: this.#next, text, value, refs: 0 };
    this.#next = this.#next >= 0xffff_fffe ? 1 : this.#next + 1;
    while (this.#byId.has(this.#next)) this.#next++;
    this.#byText.set(text, entry);
    this.#byId.set(entry.id, entry);
    this.#idle.set(entry.id, entry);
    return entry.id;
  }

  ref(id: number): void {
    const entry = this.#byId.get(id);
    if (!entry) return;
    entry.refs++;
    this.#idle.delete(id);
  }

  unref(id: number): void {
    const entry = this.#byId.get(id);
    if (!entry) return;
    entry.refs--;
    if (entry.refs === 0) this.#idle.set(id, entry);
  }

  #drop(entry: Entry<T>): void {
    this.#byText.delete(entry.text);
    this.#byId.delete(entry.id);
    this.#idle.delete(entry.id);
  }
}

/** Texts that are equal exactly for equal contents. */
export const packetInText = (context: PacketInContext): string =>
  [
    context.bridge.name,
    context.reason,
    context.table_id,
    context.cookie,
    context.max_len,
    context.in_port,
    context.controllerId,
    context.userdata && toHex(context.userdata),
    sparse(context.pipeline),
  ].join("|");

export const frozenText = (state: Frozen): string =>
  [
    state.bridge.name,
    state.in_port,
    state.table_id,
    state.cookie,
    JSON.stringify(state.steps, plain),
    JSON.stringify(state.actionSet, plain),
    state.stack.join(),
    state.queue,
    sparse(state.pipeline),
  ].join("|");

const sparse = (words: Uint32Array): string => {
  let text = "";
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) text += `${i}:${words[i]},`;
  return text;
};

function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}n`;
  if (value !== null && typeof value === "object" && "ofport" in value)
    return `port ${(value as XPort).bridge.name} ${(value as XPort).ofport}`;
  return value;
}
