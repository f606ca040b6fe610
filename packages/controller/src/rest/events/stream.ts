import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "@sluice/runtime";
import { type WebSocket, WebSocketServer } from "ws";
import { formatJson } from "../json.js";
import { badField, Problem } from "../problem.js";
import { EVENT_TYPES, type EventLog, type EventType, isEventType, type LoggedEvent } from "./event-log.js";

/** A reader that leaves this much unread gets nothing more until it has read: its place in the history waits for it. */
const CONGESTED_BYTES = 1 << 20;
const MAX_READERS = 64;
const MAX_MESSAGE = 4096;
const PING_MS = 30_000;

const ALL_TYPES = Object.keys(EVENT_TYPES) as EventType[];
/** Without packet-ins, of which there may be many. */
const DEFAULT_TYPES = ALL_TYPES.filter((type) => type !== "packet_in");

export interface StreamCounters {
  /** Readers now. */
  readers: number;
  /** Times that a reader was slower than the history is long. */
  gaps: number;
  refused: number;
}

/** What a reader of one address is sent. */
interface Form {
  readonly types: ReadonlySet<EventType>;
  /** The sequence number after which to begin. */
  readonly since: number;
  /** What is sent first. */
  readonly hello?: string | undefined;
  /** An event as a message. */
  readonly show: (event: LoggedEvent) => string;
  /** What tells that events are missing; undefined where that cannot be told. */
  readonly showGap?: (from: number, to: number) => string;
}

export interface EventStreamOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  /** Begins to write down packet-ins; gives what ends that. */
  readonly recordPacketIns: () => () => void;
}

/** The log over WebSockets. Each reader has a place in the log and no queue of its own: who reads slowly catches up from
 *  the history, and is told where it was too slow for that. */
export class EventStream {
  readonly counters: StreamCounters = { readers: 0, gaps: 0, refused: 0 };
  readonly #log: EventLog;
  readonly #clock: Clock;
  readonly #recordPacketIns: () => () => void;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: false,
    // The token may have been given as a subprotocol; it is not the one to agree on.
    handleProtocols: (offered) => [...offered].find((name) => !name.startsWith("bearer.")) ?? false,
  });
  #packetReaders = 0;
  #stopPackets: (() => void) | undefined;

  constructor({ log, clock, recordPacketIns }: EventStreamOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#recordPacketIns = recordPacketIns;
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
  }

  #formOf(path: string, query: URLSearchParams): Form {
    if (path === "/v1/events") return this.#ours(query);
    if (path === "/v1.0/topology/ws") return this.#ryus();
    throw new Problem(404, `there is no WebSocket at ${path.slice(0, 200)}`);
  }

  #ours(query: URLSearchParams): Form {
    const given = query.get("types")?.split(",") ?? DEFAULT_TYPES;
    const types = new Set(
      given.map((name) => {
        if (!isEventType(name))
          throw badField("types", `has ${JSON.stringify(name)}; there are ${ALL_TYPES.join(", ")}`);
        return name;
      }),
    );
    const { id, last } = this.#log;
    const since = query.get("since");
    if (since !== null && !/^\d{1,15}$/.test(since)) throw badField("since", "is not a sequence number");
    // The numbers of a log before a restart say nothing of this one: all that there is is new.
    const isOther = (query.get("stream") ?? id) !== id;
    const begin = isOther ? 0 : Math.min(Number(since ?? last), last);
    return {
      types,
      since: begin,
      hello: formatJson({ type: "hello", stream: id, seq: last, resumed: since !== null && !isOther }),
      show: (event) => event.text,
      showGap: (from, to) => formatJson({ type: "gap", from, to }),
    };
  }

  /** Ryu's ws_topology: each event is a call (JSON-RPC 2.0), whose answer is not waited for. */
  #ryus(): Form {
    const types: EventType[] = ["switch_enter", "switch_leave", "link_add", "link_delete", "host_add"];
    let id = 0;
    return {
      types: new Set(types),
      since: this.#log.last,
      show: ({ type, detail }) =>
        formatJson({ jsonrpc: "2.0", id: ++id, method: `event_${type}`, params: [detail] }),
    };
  }

  #serve(ws: WebSocket, form: Form): void {
    const ends = [this.#follow(ws, form), this.#keepAlive(ws)];
    if (form.types.has("packet_in")) ends.push(this.#wantPackets());
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
    const read = (): void => {
      while (ws.readyState === ws.OPEN && ws.bufferedAmount < CONGESTED_BYTES) {
        const lost = this.#log.lostUpTo(form.types);
        if (lost > place) {
          this.counters.gaps++;
          if (form.showGap) ws.send(form.showGap(place + 1, lost));
          place = lost;
        }
        const event = this.#log.after(place, form.types);
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

  #wantPackets(): () => void {
    if (this.#packetReaders++ === 0) this.#stopPackets = this.#recordPacketIns();
    return () => {
      if (--this.#packetReaders > 0) return;
      this.#stopPackets?.();
      this.#stopPackets = undefined;
    };
  }
}
