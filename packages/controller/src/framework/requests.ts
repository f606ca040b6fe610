import { type MessageOf, MultipartJoiner, type OfMessage, type OfMessageInit } from "@sluice/openflow-codec";
import type { Clock, Timer } from "@sluice/runtime";
import type { Timings } from "./timings.js";

/** Requests that have a reply of their own (OpenFlow 1.3.5 §7.3). */
export const REPLY_TYPE = {
  OFPT_ECHO_REQUEST: "OFPT_ECHO_REPLY",
  OFPT_FEATURES_REQUEST: "OFPT_FEATURES_REPLY",
  OFPT_GET_CONFIG_REQUEST: "OFPT_GET_CONFIG_REPLY",
  OFPT_MULTIPART_REQUEST: "OFPT_MULTIPART_REPLY",
  OFPT_BARRIER_REQUEST: "OFPT_BARRIER_REPLY",
  OFPT_QUEUE_GET_CONFIG_REQUEST: "OFPT_QUEUE_GET_CONFIG_REPLY",
  OFPT_ROLE_REQUEST: "OFPT_ROLE_REPLY",
  OFPT_GET_ASYNC_REQUEST: "OFPT_GET_ASYNC_REPLY",
} as const;

type ReplyTypes = typeof REPLY_TYPE;
type MultipartReply = MessageOf<"OFPT_MULTIPART_REPLY">;

/** What `request` gives for a message: its reply, for multiparts with the body of the same type and whole; nothing
 *  for a message without a reply, which a barrier confirms. */
export type ReplyTo<I> = I extends { type: "OFPT_MULTIPART_REQUEST"; body: { type: infer B } }
  ? MultipartReply & { body: Extract<MultipartReply["body"], { type: B }> }
  : I extends { type: infer T extends keyof ReplyTypes }
    ? MessageOf<ReplyTypes[T]>
    : undefined;

/** A switch refused a request, with the error that it sent. */
export class OfpRequestError extends Error {
  readonly error_type: string | number;
  readonly error_code: string | number;
  readonly request: OfMessageInit;

  constructor(request: OfMessageInit, error: MessageOf<"OFPT_ERROR">) {
    super(`${request.type} refused: ${error.error_type} ${error.error_code}`);
    this.name = "OfpRequestError";
    this.error_type = error.error_type;
    this.error_code = error.error_code;
    this.request = request;
  }
}

interface Pending {
  request: OfMessageInit;
  /** The reply awaited; undefined where a barrier with another xid confirms. */
  replyType: string | undefined;
  joiner: MultipartJoiner | undefined;
  timer: Timer;
  askedAt: number;
  resolve: (reply: OfMessage | undefined) => void;
  reject: (error: Error) => void;
}

/** The requests of one connection that wait for their outcome: at most `limit`, each for at most `timeoutMs`. */
export class Requests {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #limit: number;
  readonly #timings: Timings | undefined;
  readonly #pending = new Map<number, Pending>();

  constructor(clock: Clock, timeoutMs: number, timings?: Timings, limit = 1024) {
    this.#clock = clock;
    this.#timings = timings;
    this.#timeoutMs = timeoutMs;
    this.#limit = limit;
  }

  get count(): number {
    return this.#pending.size;
  }

  get isFull(): boolean {
    return this.#pending.size >= this.#limit;
  }

  /** Waits for what comes of the request sent with `xid`. */
  wait(xid: number, request: OfMessageInit): Promise<OfMessage | undefined> {
    return new Promise((resolve, reject) => {
      const late = (): void => {
        this.fail(xid, new Error(`${request.type}: no answer in ${this.#timeoutMs / 1000} s`));
      };
      this.#pending.set(xid, {
        request,
        replyType: (REPLY_TYPE as Readonly<Record<string, string>>)[request.type],
        joiner: request.type === "OFPT_MULTIPART_REQUEST" ? new MultipartJoiner() : undefined,
        timer: this.#clock.setTimeout(late, this.#timeoutMs),
        askedAt: this.#timings === undefined ? 0 : this.#clock.now(),
        resolve,
        reject,
      });
    });
  }

  /** Takes a message from the switch; true when a request had waited for it. */
  take(message: OfMessage): boolean {
    const pending = this.#pending.get(message.xid);
    if (!pending) return false;
    if (message.type === "OFPT_ERROR")
      return this.fail(message.xid, new OfpRequestError(pending.request, message));
    if (message.type !== pending.replyType) return false;
    if (message.type === "OFPT_MULTIPART_REPLY") this.#takePart(pending, message);
    else this.confirm(message.xid, message);
    return true;
  }

  #takePart({ request, joiner }: Pending, part: MessageOf<"OFPT_MULTIPART_REPLY">): void {
    if (request.type !== "OFPT_MULTIPART_REQUEST" || joiner === undefined) return;
    const [asked, got] = [request.body.type, part.body.type];
    try {
      if (asked !== got) throw new Error(`${request.type}: asked for ${asked}, answered with ${got}`);
      const whole = joiner.push(part);
      if (whole) this.confirm(part.xid, whole);
    } catch (error) {
      // More parts than the joiner holds, or parts that do not belong together.
      this.fail(part.xid, error as Error);
    }
  }

  /** The request of `xid` succeeded. */
  confirm(xid: number, reply?: OfMessage): void {
    this.#remove(xid)?.resolve(reply);
  }

  /** The request of `xid` failed; false when there is none. */
  fail(xid: number, error: Error): boolean {
    const pending = this.#remove(xid);
    pending?.reject(error);
    return pending !== undefined;
  }

  /** No answer will come any more. */
  failAll(error: Error): void {
    for (const xid of [...this.#pending.keys()]) this.fail(xid, error);
  }

  #remove(xid: number): Pending | undefined {
    const pending = this.#pending.get(xid);
    if (pending === undefined) return undefined;
    pending.timer.cancel();
    this.#pending.delete(xid);
    this.#timings?.request(kindOf(pending.request), (this.#clock.now() - pending.askedAt) / 1000);
    return pending;
  }
}

/** What a request asks for: its message, or of a multipart its body. */
const kindOf = (request: OfMessageInit): string => {
  const type = request.type === "OFPT_MULTIPART_REQUEST" ? request.body.type : request.type;
  return typeof type === "string" ? type : "other";
};
