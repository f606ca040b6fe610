import { randomBytes } from "node:crypto";
import type { Clock } from "@sluice/runtime";
import { formatJson } from "../json.js";

/** What can happen, and what the event then says beside `seq`, `time` and `type`. */
export const EVENT_TYPES = {
  switch_enter: "A switch connected: dpid, ports",
  switch_leave: "A switch is gone: dpid, why",
  port_add: "A port came: dpid, port_no, hw_addr, name, config, state",
  port_modify: "A port changed, or its link went up or down",
  port_delete: "A port went",
  link_add: "A link between switches was found: src, dst (one direction)",
  link_delete: "A link is gone",
  host_add: "A host was seen: mac, ipv4, ipv6, port",
  host_move: "A host is at another port: mac, ipv4, ipv6, port, from",
  host_delete: "A host is gone",
  flow_mod:
    "A flow was changed through this interface, confirmed by the switch: dpid, command, table_id, priority, …",
  flow_removed:
    "A flow ran out or was deleted, where it asked to be told of: dpid, table_id, priority, reason, match, …",
  packet_in:
    "A packet came to the controller: dpid, in_port, reason, table_id, cookie, total_len, data (hex)",
} as const;
export type EventType = keyof typeof EVENT_TYPES;
export const isEventType = (name: string): name is EventType => Object.hasOwn(EVENT_TYPES, name);

export interface LoggedEvent {
  readonly seq: number;
  readonly type: EventType;
  readonly detail: object;
  /** As JSON, made once for all who read it. */
  readonly text: string;
}

/** The last `size` events of some types. */
class Ring {
  readonly #events: LoggedEvent[] = [];
  readonly #size: number;
  #added = 0;
  /** Of the newest event that is no longer here; 0 when all are. */
  lostUpTo = 0;

  constructor(size: number) {
    this.#size = size;
  }

  add(event: LoggedEvent): void {
    const at = this.#added++ % this.#size;
    this.lostUpTo = this.#events[at]?.seq ?? 0;
    this.#events[at] = event;
  }

  /** The first event with a sequence number above `seq`. */
  after(seq: number, isMeant: (type: EventType) => boolean): LoggedEvent | undefined {
    const first = Math.max(0, this.#added - this.#size);
    let [low, high] = [first, this.#added];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#at(middle).seq > seq) high = middle;
      else low = middle + 1;
    }
    while (low < this.#added && !isMeant(this.#at(low).type)) low++;
    return low < this.#added ? this.#at(low) : undefined;
  }

  #at(index: number): LoggedEvent {
    return this.#events[index % this.#size]!;
  }
}

export interface EventLogOptions {
  readonly clock: Clock;
  /** Events kept. 4096 unless given. */
  readonly history?: number;
  /** Packet-ins kept; apart, since there may be many. 1024 unless given. */
  readonly packetHistory?: number;
}

/** What happened last, numbered, so that a reader who was away can go on where it stopped. */
export class EventLog {
  /** Numbers of one log mean nothing in another: after a restart it has another id. */
  readonly id = randomBytes(8).toString("hex");
  readonly #clock: Clock;
  readonly #events: Ring;
  readonly #packets: Ring;
  readonly #readers = new Set<() => void>();
  #last = 0;
  #isScheduled = false;

  constructor({ clock, history = 4096, packetHistory = 1024 }: EventLogOptions) {
    this.#clock = clock;
    this.#events = new Ring(history);
    this.#packets = new Ring(packetHistory);
  }

  /** The sequence number of the newest event; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  add(type: EventType, detail: object): void {
    const seq = ++this.#last;
    const time = new Date(this.#clock.wallNow()).toISOString();
    let text: string | undefined;
    const ring = type === "packet_in" ? this.#packets : this.#events;
    ring.add({
      seq,
      type,
      detail,
      get text() {
        text ??= formatJson({ seq, time, type, ...detail });
        return text;
      },
    });
    if (this.#isScheduled || this.#readers.size === 0) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      for (const read of this.#readers) read();
    });
  }

  /** The first event after `seq` of the types meant. */
  after(seq: number, types: ReadonlySet<EventType>): LoggedEvent | undefined {
    const isMeant = (type: EventType): boolean => types.has(type);
    const [a, b] = [this.#events.after(seq, isMeant), this.#packets.after(seq, isMeant)];
    return a === undefined || (b !== undefined && b.seq < a.seq) ? b : a;
  }

  /** Up to which number events of the types meant may be missing; 0 when none are. */
  lostUpTo(types: ReadonlySet<EventType>): number {
    return Math.max(this.#events.lostUpTo, types.has("packet_in") ? this.#packets.lostUpTo : 0);
  }

  /** Has `read` called whenever there is something new. Gives what ends that. */
  follow(read: () => void): () => void {
    this.#readers.add(read);
    return () => void this.#readers.delete(read);
  }
}
