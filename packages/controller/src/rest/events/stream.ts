import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "@sluice/runtime";
import { type WebSocket, WebSocketServer } from "ws";
import { formatJson } from "../json.js";
import { badField, Problem } from "../problem.js";
import {
  ALL_TYPES,
  type EventLog,
  type EventType,
  type History,
  historyOf,
  type IsMeant,
  isEventType,
  type LoggedEvent,
} from "./event-log.js";

/** A reader that leaves this much unread gets nothing more until it has read: its place in the history waits for it. */
const CONGESTED_BYTES = 1 << 20;
const MAX_READERS = 64;
const MAX_MESSAGE = 4096;
const PING_MS = 30_000;

/** Without those that come all the time. */
const DEFAULT_TYPES = ALL_TYPES.filter((type) => type !== "packet_in" && type !== "port_rates");
/** How long after its last reader a history is kept up, for one who comes back. */
const LINGER_MS = 60_000;

export interface StreamCounters {
  /** Readers now. */
  readers: number;
  /** Times that a reader was slower than the history is long. */
  gaps: number;
  refused: number;
}

/** What a reader of one address is sent. */
interface Form {
  /** Where they are found. */
  readonly histories: readonly History[];
  readonly isMeant: IsMeant;
  /** The sequence number after which to begin. */
  readonly since: number;
  /** What is sent first. */
  readonly hello?: string | undefined;
  /** An event as a message. */
  readonly show: (event: LoggedEvent) => string;
  /** What tells that events of a history are missing; undefined where that cannot be told. */
  readonly showGap?: (from: number, to: number, history: History) => string;
}

export interface EventStreamOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  /** For histories that are kept up only while somebody reads them: begins that, and gives what ends it. */
  readonly onDemand: Partial<Record<History, () => () => void>>;
}

/** The log over WebSockets. Each reader has a place in the log and no queue of its own: who reads slowly catches up from
 *  the history, and is told where it was too slow for that. */
export class EventStream {
  readonly counters: StreamCounters = { readers: 0, gaps: 0, refused: 0 };
  readonly #log: EventLog;
  readonly #clock: Clock;
  readonly #demands = new Map<History, Demand>();
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: false,
    // The token may have been given as a subprotocol; it is not the one to agree on.
    handleProtocols: (offered) => [...offered].find((name) => !name.startsWith("bearer.")) ?? false,
  });

  constructor({ log, clock, onDemand }: EventStreamOptions) {
    this.#log = log;
    this.#clock = clock;
    for (const [history, start] of Object.entries(onDemand) as [History, () => () => void][])
      this.#demands.set(history, { start, readers: 0, end: undefined, linger: undefined });
  }

  /** Takes a request over that asks for a WebSocket. Throws a Problem. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const form = this.#formOf(pathname, searchParams);
    if (this.counters.readers >= MAX_READERS) {
      this.counters.refused++;
      throw new Problem(503, `there are ${MAX_READERS} readers already`);
    }
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#serve(ws, form));
  }

  close(): void {
    for (const ws of this.#server.clients) ws.terminate();
    this.#server.close();
    for (const demand of this.#demands.values()) {
      demand.linger?.cancel();
      demand.end?.();
    }
  }

  #formOf(path: string, query: URLSearchParams): Form {
    if (path === "/v1/events") return this.#ours(query);
    if (path === "/v1.0/topology/ws") return this.#ryus();
    throw new Problem(404, `there is no WebSocket at ${path.slice(0, 200)}`);
  }

  #ours(query: URLSearchParams): Form {
    const types = typesOf(query.get("types"));
    const dpids = dpidsOf(query.get("dpid"));
    const { id, last } = this.#log;
    const since = query.get("since");
    if (since !== null && !/^\d{1,15}$/.test(since)) throw badField("since", "is not a sequence number");
    // The numbers of a log before a restart say nothing of this one: all that there is is new.
    const isOther = (query.get("stream") ?? id) !== id;
    const begin = isOther ? 0 : Math.min(Number(since ?? last), last);
    return {
      histories: historiesOf(types),
      isMeant: ({ type, dpids: its }) =>
        types.has(type) && (dpids === undefined || its.some((dpid) => dpids.has(dpid))),
      since: begin,
      hello: formatJson({ type: "hello", stream: id, seq: last, resumed: since !== null && !isOther }),
      show: (event) => event.text,
      showGap: (from, to, history) => {
        const missed = [...types].filter((type) => historyOf(type) === history);
        return formatJson({ type: "gap", from, to, types: missed });
      },
    };
  }

  /** Ryu's ws_topology: each event is a call (JSON-RPC 2.0), whose answer is not waited for. */
  #ryus(): Form {
    let id = 0;
    return {
      histories: ["other"],
      isMeant: ({ type, ryu }) => RYUS.has(type) && ryu !== undefined,
      since: this.#log.last,
      show: ({ type, ryu, detail }) =>
        formatJson({ jsonrpc: "2.0", id: ++id, method: `event_${type}`, params: [(ryu ?? detail)()] }),
    };
  }

  #serve(ws: WebSocket, form: Form): void {
    const ends = form.histories.map((history) => this.#demand(history));
    ends.push(this.#follow(ws, form), this.#keepAlive(ws));
    this.counters.readers++;
    ws.on("error", () => ws.terminate());
    ws.on("message", () => {});
    ws.once("close", () => {
      this.counters.readers--;
      for (const end of ends) end();
    });
  }

  /** Sends what there is and what comes. Gives what ends that. */
  #follow(ws: WebSocket, form: Form): () => void {
    let place = form.since;
    const told = new Map<History, number>();
    const tellGaps = (): void => {
      for (const history of form.histories) {
        const [lost, known] = [this.#log.lostUpTo(history), Math.max(place, told.get(history) ?? 0)];
        if (lost <= known) continue;
        told.set(history, lost);
        this.counters.gaps++;
        if (form.showGap) ws.send(form.showGap(known + 1, lost, history));
      }
    };
    const read = (): void => {
      while (ws.readyState === ws.OPEN && ws.bufferedAmount < CONGESTED_BYTES) {
        tellGaps();
        const event = this.#log.after(place, form.histories, form.isMeant);
        if (event === undefined) {
          place = this.#log.last;
          return;
        }
        place = event.seq;
        ws.send(form.show(event), sent);
      }
    };
    let isWaiting = false;
    // When it was congested, each message that leaves may have made room; one turn looks for all of them.
    const sent = (): void => {
      if (isWaiting) return;
      isWaiting = true;
      process.nextTick(() => {
        isWaiting = false;
        read();
      });
    };
    if (form.hello !== undefined) ws.send(form.hello);
    read();
    return this.#log.follow(read);
  }

  /** A peer that is gone without a word is found out by a ping. */
  #keepAlive(ws: WebSocket): () => void {
    let isAlive = true;
    ws.on("pong", () => {
      isAlive = true;
    });
    const timer: Timer = this.#clock.setInterval(() => {
      if (!isAlive) ws.terminate();
      else ws.ping();
      isAlive = false;
    }, PING_MS);
    return () => timer.cancel();
  }

  /** Has a history kept up for one more reader. Gives what ends that. */
  #demand(history: History): () => void {
    const demand = this.#demands.get(history);
    if (demand === undefined) return () => {};
    demand.linger?.cancel();
    demand.readers++;
    if (demand.end === undefined) {
      this.#log.resume(history);
      demand.end = demand.start();
    }
    return () => {
      if (--demand.readers > 0) return;
      demand.linger = this.#clock.setTimeout(() => {
        demand.end?.();
        demand.end = undefined;
      }, LINGER_MS);
    };
  }
}

/** A history that is kept up on demand, and by how many it is read. */
interface Demand {
  readonly start: () => () => void;
  readers: number;
  end: (() => void) | undefined;
  linger: Timer | undefined;
}

const RYUS: ReadonlySet<EventType> = new Set([
  ...(["switch_enter", "switch_leave", "link_add", "link_delete", "host_add"] as const),
]);
/** "flow" of "flow_add": it stands for all that begin so. */
const kindOf = (type: EventType): string => type.slice(0, type.indexOf("_"));
const KINDS = [...new Set(ALL_TYPES.map(kindOf))];

function typesOf(text: string | null): ReadonlySet<EventType> {
  if (text === null) return new Set(DEFAULT_TYPES);
  const types = text.split(",").flatMap((name) => {
    if (isEventType(name)) return [name];
    const ofKind = ALL_TYPES.filter((type) => kindOf(type) === name);
    if (ofKind.length > 0) return ofKind;
    const known = [...ALL_TYPES, ...KINDS].join(", ");
    throw badField("types", `has ${JSON.stringify(name)}; there are ${known}`);
  });
  return new Set(types);
}

function dpidsOf(text: string | null): ReadonlySet<string> | undefined {
  if (text === null) return undefined;
  const dpids = text.toLowerCase().split(",");
  const wrong = dpids.find((dpid) => !/^[0-9a-f]{16}$/.test(dpid));
  if (wrong !== undefined)
    throw badField("dpid", `has ${JSON.stringify(wrong)}, which is not 16 hexadecimal digits`);
  return new Set(dpids);
}

const historiesOf = (types: ReadonlySet<EventType>): History[] => [
  ...new Set([...types].map((type) => historyOf(type))),
];
