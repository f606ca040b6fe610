import { randomBytes } from "node:crypto";
import type { Clock } from "@sluice/runtime";
import { formatJson } from "../json.js";

/** What can happen, and what the event then says beside `seq`, `time` and `type`. Ports are numbers, or names where they are
 *  reserved; dpids 16 hexadecimal digits. */
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
  flow_add:
    "A switch has a new flow, whoever made it: dpid, table_id, priority, cookie, idle_timeout, hard_timeout, match, actions, flow (as ovs-ofctl writes it)",
  flow_modify: "A flow does something else now",
  flow_delete: "A flow is gone; where the switch tells, also reason",
  group_add: "A switch has a new group, whoever made it: dpid, group_id, group_type, buckets",
  group_modify: "A group does something else now",
  group_delete: "A group is gone",
  meter_add: "A switch has a new meter: dpid, meter_id, flags, bands",
  meter_modify: "A meter measures otherwise now",
  meter_delete: "A meter is gone",
  flow_removed:
    "A flow ran out or was deleted, where it asked to be told of: dpid, table_id, priority, reason, match, counters, …",
  packet_in:
    "A packet came to the controller: dpid, in_port, reason, table_id, cookie, total_len, data (hex)",
  port_rates: "The monitor app read a switch's ports: dpid, ports (port_no, name, counters, rates a second)",
} as const;
export type EventType = keyof typeof EVENT_TYPES;
export const isEventType = (name: string): name is EventType => Object.hasOwn(EVENT_TYPES, name);
export const ALL_TYPES = Object.keys(EVENT_TYPES) as EventType[];

/** Events that may be many have a history of their own, so that they push out no others: for each, how many are kept. */
const HISTORIES = { other: 4096, flow: 4096, group: 4096, removed: 1024, packet: 1024, rates: 1024 } as const;
export type History = keyof typeof HISTORIES;
const HISTORY_OF: Partial<Record<EventType, History>> = {
  ...{ flow_add: "flow", flow_modify: "flow", flow_delete: "flow" },
  ...{ group_add: "group", group_modify: "group", group_delete: "group" },
  ...{ meter_add: "group", meter_modify: "group", meter_delete: "group" },
  ...{ flow_removed: "removed", packet_in: "packet", port_rates: "rates" },
};
export const historyOf = (type: EventType): History => HISTORY_OF[type] ?? "other";

/** What happened. */
export interface Happening {
  readonly type: EventType;
  /** The switches that it is about. */
  readonly dpids: readonly string[];
  /** Made when somebody reads it. */
  readonly detail: () => object;
  /** The same as Ryu's clients read it, where they do. */
  readonly ryu?: () => object;
}

export interface LoggedEvent extends Happening {
  readonly seq: number;
  /** As JSON, made once for all who read it. */
  readonly text: string;
}

export type IsMeant = (event: LoggedEvent) => boolean;

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
    this.lostUpTo = Math.max(this.lostUpTo, this.#events[at]?.seq ?? 0);
    this.#events[at] = event;
  }

  /** The first event with a sequence number above `seq`. */
  after(seq: number, isMeant: IsMeant): LoggedEvent | undefined {
    const first = Math.max(0, this.#added - this.#size);
    let [low, high] = [first, this.#added];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#at(middle).seq > seq) high = middle;
      else low = middle + 1;
    }
    while (low < this.#added && !isMeant(this.#at(low))) low++;
    return low < this.#added ? this.#at(low) : undefined;
  }

  #at(index: number): LoggedEvent {
    return this.#events[index % this.#size]!;
  }
}

export interface EventLogOptions {
  readonly clock: Clock;
}

/** What happened last, numbered, so that a reader who was away can go on where it stopped. */
export class EventLog {
  /** Numbers of one log mean nothing in another: after a restart it has another id. */
  readonly id = randomBytes(8).toString("hex");
  readonly #clock: Clock;
  readonly #rings = Object.fromEntries(
    Object.entries(HISTORIES).map(([name, size]) => [name, new Ring(size)]),
  ) as Record<History, Ring>;
  readonly #readers = new Set<() => void>();
  #last = 0;
  #isScheduled = false;

  constructor({ clock }: EventLogOptions) {
    this.#clock = clock;
  }

  /** The sequence number of the newest event; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  add(happening: Happening): void {
    const seq = ++this.#last;
    const time = this.#clock.wallNow();
    let text: string | undefined;
    this.#rings[historyOf(happening.type)].add({
      ...happening,
      seq,
      get text() {
        const { type, detail } = happening;
        text ??= formatJson({ seq, time: new Date(time).toISOString(), type, ...detail() });
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

  /** The first event after `seq` that is meant, of some histories. */
  after(seq: number, histories: Iterable<History>, isMeant: IsMeant): LoggedEvent | undefined {
    let first: LoggedEvent | undefined;
    for (const history of histories) {
      const found = this.#rings[history].after(seq, isMeant);
      if (found !== undefined && (first === undefined || found.seq < first.seq)) first = found;
    }
    return first;
  }

  /** Up to which number events of a history may be missing; 0 when none are. */
  lostUpTo(history: History): number {
    return this.#rings[history].lostUpTo;
  }

  /** A history that was not kept up goes on from here. */
  resume(history: History): void {
    this.#rings[history].lostUpTo = this.#last;
  }

  /** Has `read` called whenever there is something new. Gives what ends that. */
  follow(read: () => void): () => void {
    this.#readers.add(read);
    return () => void this.#readers.delete(read);
  }
}
