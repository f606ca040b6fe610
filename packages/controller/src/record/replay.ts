import {
  decode,
  encode,
  formatMessage,
  type MessageOf,
  MultipartJoiner,
  type OfMessage,
  type OfMessageInit,
  type Port,
  toJson,
} from "@sluice/openflow-codec";
import { type Log, VirtualClock } from "@sluice/runtime";
import type { App, Switch } from "../framework/app.js";
import { Dispatcher } from "../framework/dispatch.js";
import { OfpRequestError, REPLY_TYPE, type ReplyTo } from "../framework/requests.js";

/** A message of a recording. `time` is nanoseconds since 1970. */
export interface RecordedMessage {
  readonly time: bigint;
  readonly src: string;
  readonly dst: string;
  readonly bytes: Uint8Array;
}

/** One message that is only in the recording (`-`), or only in the replay (`+`). */
export interface Difference {
  readonly sign: "-" | "+";
  /** Milliseconds since the recording began. */
  readonly atMs: number;
  readonly text: string;
  /** What the message answers; only known of those in the replay. */
  readonly cause: string | undefined;
}

export interface ReplayResult {
  /** In the order in which switches connected. */
  readonly switches: readonly {
    readonly id: string;
    readonly events: number;
    readonly same: number;
    readonly differences: readonly Difference[];
  }[];
}

export interface ReplayOptions {
  /** Makes the apps that are to be tried, with the recording's time. */
  makeApps(clock: VirtualClock): readonly App[];
  log: Log;
}

/** Messages that the framework sends by itself, whatever the apps. */
const OF_FRAMEWORK: ReadonlySet<string> = new Set([
  "OFPT_HELLO",
  "OFPT_ERROR",
  "OFPT_ECHO_REQUEST",
  "OFPT_ECHO_REPLY",
  "OFPT_FEATURES_REQUEST",
  "OFPT_SET_CONFIG",
  "OFPT_BARRIER_REQUEST",
  "OFPT_ROLE_REQUEST",
]);
const EVENTS = {
  OFPT_PACKET_IN: "packet_in",
  OFPT_PORT_STATUS: "port_status",
  OFPT_FLOW_REMOVED: "flow_removed",
  OFPT_ERROR: "error",
} as const;

/** Runs apps against what switches once sent, at the times at which they did, and compares what the apps send now with what
 *  the controller of the recording sent. */
export async function replay(
  messages: AsyncIterable<RecordedMessage> | Iterable<RecordedMessage>,
  options: ReplayOptions,
): Promise<ReplayResult> {
  let start: bigint | undefined;
  let clock: VirtualClock | undefined;
  let dispatcher: Dispatcher | undefined;
  const conversations = new Map<string, ReplaySwitch>();
  const all: ReplaySwitch[] = [];
  for await (const { time, src, dst, bytes } of messages) {
    start ??= time;
    clock ??= new VirtualClock(Number(start / 1_000_000n));
    dispatcher ??= new Dispatcher(options.makeApps(clock), options.log, { clock });
    const atMs = Math.max(Number((time - start) / 1000n) / 1000, clock.now());
    if (atMs > clock.now()) await clock.advanceAsync(atMs - clock.now());
    let message: OfMessage;
    try {
      message = decode(bytes);
    } catch {
      // As the framework: what cannot be read reaches no app.
      continue;
    }
    const key = [src, dst].sort().join(" ");
    let sw = conversations.get(key);
    const isNew = sw === undefined || (message.type === "OFPT_HELLO" && sw.isUp && src === sw.peer);
    if (isNew) {
      sw?.end();
      sw = new ReplaySwitch(dispatcher, clock, options.log);
      conversations.set(key, sw);
      all.push(sw);
    }
    sw!.take(message, src);
    await settled();
  }
  for (const app of dispatcher?.apps ?? []) app.stop?.();
  return { switches: all.filter((sw) => sw.wasUp).map((sw) => sw.result()) };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Sent {
  readonly key: string;
  readonly text: string;
  readonly atMs: number;
  readonly cause: string | undefined;
}

interface Waiting {
  readonly request: OfMessageInit;
  readonly key: string;
  readonly resolve: (reply: OfMessage | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** A switch of a recording, to the apps: what it sent comes again, what they send is kept. */
class ReplaySwitch implements Switch {
  dpid = 0n;
  /** The switch's end of the conversation, once its handshake has told. */
  peer: string | undefined;
  isUp = false;
  wasUp = false;
  readonly ports = new Map<number, Port>();
  readonly log: Log;
  readonly #dispatcher: Dispatcher;
  readonly #clock: VirtualClock;
  readonly #recorded: Sent[] = [];
  readonly #replayed: Sent[] = [];
  /** Keys of the recording's requests, by xid. */
  readonly #asked = new Map<number, { key: string; joiner: MultipartJoiner }>();
  #waiting: Waiting[] = [];
  #cause: string | undefined;
  #events = 0;

  constructor(dispatcher: Dispatcher, clock: VirtualClock, log: Log) {
    this.#dispatcher = dispatcher;
    this.#clock = clock;
    this.log = log;
  }

  get id(): string {
    return this.dpid.toString(16).padStart(16, "0");
  }

  take(message: OfMessage, src: string): void {
    if (message.type === "OFPT_FEATURES_REPLY") this.peer = src;
    if (message.type === "OFPT_FEATURES_REPLY") this.dpid = message.datapath_id;
    if (this.peer === src) this.#fromSwitch(message);
    // Before it is known who is who, only requests tell.
    else if (this.peer !== undefined || message.type in REPLY_TYPE) this.#fromController(message);
  }

  /** The connection ended. */
  end(): void {
    if (this.isUp) this.#dispatcher.dispatch("datapath_down", this, "connection closed by peer");
    this.isUp = false;
    this.#failAll();
  }

  send(message: OfMessageInit): boolean {
    if (this.isUp && !isOfFramework(message)) this.#replayed.push(this.#sent(message, this.#cause));
    return this.isUp;
  }

  async request<const I extends OfMessageInit>(message: I): Promise<ReplyTo<I>> {
    this.send(message);
    return (await new Promise<OfMessage | undefined>((resolve, reject) => {
      this.#waiting.push({ request: message, key: keyOf(message), resolve, reject });
    })) as ReplyTo<I>;
  }

  async barrier(): Promise<void> {
    await this.request({ type: "OFPT_BARRIER_REQUEST" });
  }

  result(): ReplayResult["switches"][number] {
    this.#failAll();
    const { same, differences } = compare(this.#recorded, this.#replayed);
    return { id: this.id, events: this.#events, same, differences };
  }

  #sent(message: OfMessageInit, cause: string | undefined): Sent {
    return { key: keyOf(message), text: textOf(message), atMs: this.#clock.now(), cause };
  }

  #fromController(message: OfMessage): void {
    if (message.type in REPLY_TYPE || !OF_FRAMEWORK.has(message.type))
      this.#asked.set(message.xid, { key: keyOf(message), joiner: new MultipartJoiner() });
    if (!isOfFramework(message)) this.#recorded.push(this.#sent(message, undefined));
  }

  #fromSwitch(message: OfMessage): void {
    const asked = this.#asked.get(message.xid);
    if (message.type === "OFPT_MULTIPART_REPLY") {
      const whole = asked?.joiner.push(message);
      if (whole === undefined) return;
      if (whole.body.type === "OFPMP_PORT_DESC" && !this.isUp) this.#up(whole.body.entries);
      else if (!this.#answer(asked!.key, whole) && this.isUp) this.#dispatch("other", whole);
      return;
    }
    if (message.type === "OFPT_BARRIER_REPLY") {
      this.#confirm();
      return;
    }
    if (message.type === "OFPT_ERROR" && asked !== undefined && this.#refuse(asked.key, message)) return;
    if (asked !== undefined && this.#answer(asked.key, message)) return;
    if (!this.isUp || /HELLO|ECHO|FEATURES|ROLE_REPLY/.test(message.type)) return;
    if (message.type === "OFPT_PORT_STATUS") {
      if (message.reason === "OFPPR_DELETE") this.ports.delete(message.desc.port_no);
      else this.ports.set(message.desc.port_no, message.desc);
    }
    const name = (EVENTS as Readonly<Record<string, (typeof EVENTS)[keyof typeof EVENTS]>>)[message.type];
    this.#dispatch(name ?? "other", message);
  }

  #up(ports: readonly Port[]): void {
    for (const port of ports) this.ports.set(port.port_no, port);
    this.isUp = true;
    this.wasUp = true;
    this.#cause = "the connection";
    this.#dispatcher.dispatch("datapath_up", this);
    this.#cause = undefined;
  }

  #dispatch(name: (typeof EVENTS)[keyof typeof EVENTS] | "other", message: OfMessage): void {
    this.#events++;
    this.#cause = textOf(message);
    this.#dispatcher.dispatch(name, this, message as never);
    this.#cause = undefined;
  }

  #answer(key: string, reply: OfMessage): boolean {
    const at = this.#waiting.findIndex((one) => one.key === key && one.request.type in REPLY_TYPE);
    this.#waiting.splice(at, at < 0 ? 0 : 1)[0]?.resolve(reply);
    return at >= 0;
  }

  #refuse(key: string, error: MessageOf<"OFPT_ERROR">): boolean {
    const at = this.#waiting.findIndex((one) => one.key === key);
    const [waiting] = this.#waiting.splice(at, at < 0 ? 0 : 1);
    waiting?.reject(new OfpRequestError(waiting.request, error));
    return at >= 0;
  }

  /** A barrier of the recording: everything sent before has been carried out. */
  #confirm(): void {
    const isConfirmed = ({ request }: Waiting): boolean =>
      request.type === "OFPT_BARRIER_REQUEST" || !(request.type in REPLY_TYPE);
    const confirmed = this.#waiting.filter(isConfirmed);
    this.#waiting = this.#waiting.filter((one) => !isConfirmed(one));
    const barrier: OfMessage = { type: "OFPT_BARRIER_REPLY", xid: 0 };
    for (const { request, resolve } of confirmed)
      resolve(request.type === "OFPT_BARRIER_REQUEST" ? barrier : undefined);
  }

  #failAll(): void {
    for (const { request, reject } of this.#waiting.splice(0))
      reject(new Error(`${request.type}: the recording has no answer`));
  }
}

const isOfFramework = (message: OfMessageInit): boolean =>
  OF_FRAMEWORK.has(message.type) ||
  (message.type === "OFPT_MULTIPART_REQUEST" && message.body.type === "OFPMP_PORT_DESC");

/** The same for messages that say the same: all but the xid. */
const keyOf = (message: OfMessageInit): string =>
  JSON.stringify(toJson(decode(encode({ ...message, xid: 0 }))));

const textOf = (message: OfMessageInit): string =>
  formatMessage(decode(encode({ ...message, xid: 0 })))
    .split("\n")[0]!
    .replace(" (OF1.3) (xid=0x0):", "");

/** How far ahead the other sequence is searched for what does not fit. */
const LOOK_AHEAD = 200;

/** Two sequences side by side. What only one of them has is a difference; so is what comes in another order. */
function compare(
  recorded: readonly Sent[],
  replayed: readonly Sent[],
): { same: number; differences: Difference[] } {
  const differences: Difference[] = [];
  const only = (sign: "-" | "+", { atMs, text, cause }: Sent): void =>
    void differences.push({ sign, atMs, text, cause });
  let same = 0;
  let [i, j] = [0, 0];
  while (i < recorded.length && j < replayed.length) {
    if (recorded[i]!.key === replayed[j]!.key) {
      same++;
      i++;
      j++;
      continue;
    }
    const gone = ahead(recorded, i, replayed[j]!.key);
    const came = ahead(replayed, j, recorded[i]!.key);
    if (came <= gone && came < LOOK_AHEAD) for (const end = j + came; j < end; j++) only("+", replayed[j]!);
    else if (gone < LOOK_AHEAD) for (const end = i + gone; i < end; i++) only("-", recorded[i]!);
    else {
      only("-", recorded[i++]!);
      only("+", replayed[j++]!);
    }
  }
  for (; i < recorded.length; i++) only("-", recorded[i]!);
  for (; j < replayed.length; j++) only("+", replayed[j]!);
  return { same, differences };
}

function ahead(list: readonly Sent[], from: number, key: string): number {
  for (let step = 0; step < LOOK_AHEAD && from + step < list.length; step++)
    if (list[from + step]!.key === key) return step;
  return LOOK_AHEAD;
}
