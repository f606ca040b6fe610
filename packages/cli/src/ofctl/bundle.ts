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
    // A switch gives back as little as 64 bytes of what it refuses, or what a bundle wrapped it in: the whole tells more.
    const { reply } = error;
    super({ ...reply, data: encode({ ...message, xid: reply.xid }) });
    this.where = where;
  }
}

/** Sends messages that have no reply, in order, and waits until the switch has done them. The first refusal ends it:
 *  what stands more than a window after it is not sent. */
export async function sendAll(vconn: Vconn, items: Iterable<Sendable>): Promise<void> {
  let sent = new Map<number, Sendable>();
  const settle = async (): Promise<void> => {
    const window = sent;
    sent = new Map();
    if (window.size > 0) await naming(window, vconn.barrier(new Set(window.keys())));
  };
  for (const item of items) {
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

/** A bundle's number is the connection's own, and a connection here has one bundle. */
const BUNDLE_ID = 0;

/** Sends messages as one atomic, ordered bundle (ONF extension 230 to OpenFlow 1.3): all are done, or none. */
export async function sendBundle(vconn: Vconn, items: Iterable<Sendable>): Promise<void> {
  const about = { bundle_id: BUNDLE_ID, flags: OFPBF.ATOMIC | OFPBF.ORDERED } as const;
  const sent = new Map<number, Sendable>();
  const control = (ctrl_type: MessageInitOf<"ONFT_BUNDLE_CONTROL">["ctrl_type"]): Promise<unknown> => {
    const xid = vconn.send({ type: "ONFT_BUNDLE_CONTROL", ...about, ctrl_type });
    return naming(sent, vconn.reply(xid, new Set(sent.keys())));
  };
  await control("OFPBCT_OPEN_REQUEST");
  for (const item of items) {
    // The message inside has the xid of the one around it: send() gives it this one.
    const message = encode({ ...item.message, xid: vconn.nextXid });
    sent.set(vconn.send({ type: "ONFT_BUNDLE_ADD_MESSAGE", ...about, message }), item);
    await vconn.flushed();
  }
  await control("OFPBCT_CLOSE_REQUEST");
  await control("OFPBCT_COMMIT_REQUEST");
}
