import { encode, type MessageInitOf, type OfMessageInit } from "@sluice/openflow-codec";
import { RefusedError, type Vconn } from "./vconn.js";

/** Bundle flags: all or nothing, and in the order given. */
const OFPBF = { ATOMIC: 1, ORDERED: 2 } as const;

/** Messages sent between two looks at what the switch answers. */
const WINDOW = 256;

export interface Sendable {
  message: OfMessageInit;
  /** Where it was written, to say which one the switch refused: "flows.txt:4". */
  where?: string | undefined;
}

/** A refusal of one among many messages. */
export class RefusedLineError extends RefusedError {
  readonly where: string | undefined;

  constructor(error: RefusedError, { message, where }: Sendable) {
    // A switch need give back no more than 64 bytes of what it refuses; the whole tells more.
    const { reply } = error;
    const request = encode({ ...message, xid: reply.xid });
    super({ ...reply, data: reply.data.length < request.length ? request : reply.data });
    this.where = where;
  }
}

/** Sends messages that have no reply, in order, and waits until the switch has done them. The first refusal ends it:
 *  what stands more than a window after it is not sent. */
export async function sendAll(
  vconn: Vconn,
  items: AsyncIterable<Sendable> | Iterable<Sendable>,
): Promise<void> {
  let sent = new Map<number, Sendable>();
  const settle = async (): Promise<void> => {
    const window = sent;
    sent = new Map();
    if (window.size > 0) await naming(window, vconn.barrier([...window.keys()]));
  };
  for await (const item of items) {
    sent.set(vconn.send(item.message), item);
    if (sent.size >= WINDOW) await settle();
  }
  await settle();
}

async function naming(sent: ReadonlyMap<number, Sendable>, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const item = error instanceof RefusedError ? sent.get(error.reply.xid) : undefined;
    throw item ? new RefusedLineError(error as RefusedError, item) : error;
  }
}

/** Sends messages as one atomic, ordered bundle (ONF extension 230 to OpenFlow 1.3): all are done, or none. */
export async function sendBundle(
  vconn: Vconn,
  items: AsyncIterable<Sendable> | Iterable<Sendable>,
): Promise<void> {
  const bundle_id = vconn.nextXid;
  const flags = OFPBF.ATOMIC | OFPBF.ORDERED;
  const control = (ctrl_type: MessageInitOf<"ONFT_BUNDLE_CONTROL">["ctrl_type"]) =>
    vconn.request({ type: "ONFT_BUNDLE_CONTROL", bundle_id, ctrl_type, flags }, "ONFT_BUNDLE_CONTROL");
  await control("OFPBCT_OPEN_REQUEST");
  await sendAll(vconn, wrapped(items, bundle_id, flags, vconn));
  await control("OFPBCT_CLOSE_REQUEST");
  await control("OFPBCT_COMMIT_REQUEST");
}

async function* wrapped(
  items: AsyncIterable<Sendable> | Iterable<Sendable>,
  bundle_id: number,
  flags: number,
  vconn: Vconn,
): AsyncGenerator<Sendable> {
  for await (const { message, where } of items) {
    // The message inside has the xid of the one around it (extension 230, §3.3): send() will give it this one.
    const inner = encode({ ...message, xid: vconn.nextXid });
    yield { message: { type: "ONFT_BUNDLE_ADD_MESSAGE", bundle_id, flags, message: inner }, where };
  }
}
