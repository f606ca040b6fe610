import { type Clock, holdProcess } from "@sluice/runtime";
import { ICMPV4, type IpPayload, type Ipv4, icmpv4, readU16, udp, writeU16 } from "@sluice/wire";
import { UDP_ECHO_PORT } from "./respond.js";

export interface ProbeOptions {
  /** Default 1. */
  count?: number;
  /** Between the starts of two probes; default 1000. */
  intervalMs?: number;
  /** For each probe; default 1000. */
  timeoutMs?: number;
  /** Bytes of payload; default 56, as ping's. */
  size?: number;
}

export interface ProbeResult {
  readonly sent: number;
  readonly received: number;
  /** Of each answered probe, in the order of the answers. */
  readonly rttMs: readonly number[];
}

/** A kind of question and its answer: how it is made and how its answer is known. `id` and `seq` are 16 bits. */
export interface ProbeKind {
  request(id: number, seq: number, payload: Uint8Array): IpPayload;
  answered(packet: Ipv4): { id: number; seq: number } | undefined;
}

export const icmpProbe: ProbeKind = {
  request: (id, seq, payload) => icmpv4({ type: ICMPV4.ECHO_REQUEST, id, seq }, payload),
  answered: ({ payload }) =>
    !(payload instanceof Uint8Array) && payload.kind === "icmpv4" && payload.type === ICMPV4.ECHO_REPLY
      ? payload
      : undefined,
};

/** The id makes the source port, the first two bytes of the payload are the sequence number. */
export const udpProbe: ProbeKind = {
  request: (id, seq, payload) => {
    writeU16(payload, 0, seq);
    return udp({ src_port: EPHEMERAL_PORT | id, dst_port: UDP_ECHO_PORT }, payload);
  },
  answered: ({ payload }) =>
    !(payload instanceof Uint8Array) &&
    payload.kind === "udp" &&
    payload.src_port === UDP_ECHO_PORT &&
    payload.payload.length >= 2
      ? { id: payload.dst_port & MAX_ID, seq: readU16(payload.payload, 0) }
      : undefined,
};

const EPHEMERAL_PORT = 0xc000;
const MAX_ID = 0x3fff;
const MAX_RUNS = 256;
const MAX_COUNT = 0xffff;

export interface ProberOptions {
  clock: Clock;
  send: (dst: string, payload: IpPayload) => void;
}

interface Run {
  readonly kind: ProbeKind;
  readonly ip: string;
  readonly answered: (seq: number) => void;
}

/** A host's probes under way. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #runs = new Map<number, Run>();
  #lastId = 0;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** Rejects when there are too many runs at once, or options that make no sense. */
  run(kind: ProbeKind, ip: string, options: ProbeOptions = {}): Promise<ProbeResult> {
    const { count = 1, intervalMs = 1000, timeoutMs = 1000, size = 56 } = options;
    const { clock, send } = this.#options;
    if (!(count >= 1 && count <= MAX_COUNT) || !(size >= 2 && size <= 65000)) {
      return Promise.reject(new RangeError(`count ${count} must be 1..${MAX_COUNT}, size ${size} 2..65000`));
    }
    if (this.#runs.size >= MAX_RUNS) return Promise.reject(new RangeError(`${MAX_RUNS} probe runs at once`));
    const id = this.#freeId();
    // The real clock's timers do not keep a program alive; an answer that is waited for does.
    const awaited = holdProcess();

    return new Promise((resolve) => {
      const open = new Map<number, { sentMs: number; giveUp: { cancel(): void } }>();
      const rttMs: number[] = [];
      let sent = 0;
      const close = (seq: number): void => {
        open.delete(seq);
        if (sent < count || open.size > 0) return;
        this.#runs.delete(id);
        awaited.cancel();
        resolve({ sent, received: rttMs.length, rttMs });
      };
      const answered = (seq: number): void => {
        const probe = open.get(seq);
        if (!probe) return; // late, or twice
        probe.giveUp.cancel();
        rttMs.push(clock.now() - probe.sentMs);
        close(seq);
      };
      const next = (): void => {
        const seq = ++sent;
        open.set(seq, { sentMs: clock.now(), giveUp: clock.setTimeout(() => close(seq), timeoutMs) });
        if (sent < count) clock.setTimeout(next, intervalMs);
        send(ip, kind.request(id, seq, patternOf(size)));
      };
      this.#runs.set(id, { kind, ip, answered });
      next();
    });
  }

  receive(packet: Ipv4): void {
    for (const [id, run] of this.#runs) {
      const answer = run.ip === packet.src ? run.kind.answered(packet) : undefined;
      if (answer?.id === id) {
        run.answered(answer.seq);
        return;
      }
    }
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId % MAX_ID) + 1;
    while (this.#runs.has(this.#lastId));
    return this.#lastId;
  }
}

/** Bytes 0, 1, 2 …: damage shows. */
const patternOf = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i);

/** "3 sent, 3 received, rtt min/avg/max 0.1/0.2/0.3 ms" */
export function formatProbe({ sent, received, rttMs }: ProbeResult): string {
  if (received === 0) return `${sent} sent, none received`;
  const avg = rttMs.reduce((sum, rtt) => sum + rtt, 0) / received;
  const figures = [Math.min(...rttMs), avg, Math.max(...rttMs)].map((rtt) => rtt.toFixed(2)).join("/");
  return `${sent} sent, ${received} received, rtt min/avg/max ${figures} ms`;
}
