import type { MessageOf, OfMessage, OfMessageInit, Port } from "@sluice/openflow-codec";
import type { Log } from "@sluice/runtime";
import type { ReplyTo } from "./requests.js";

/** A connected switch, as an app sees it. */
export interface Switch {
  readonly dpid: bigint;
  /** The dpid as 16 hexadecimal digits, as ovs-vsctl writes it. */
  readonly id: string;
  readonly ports: ReadonlyMap<number, Port>;
  readonly log: Log;
  /** Sends, without waiting for an outcome; a refusal comes as the event `error`. False when the switch is gone
   *  or leaves too much unread. */
  send(message: OfMessageInit): boolean;
  /** Sends, and resolves with the reply (a multipart's parts joined), or, for a message that has none, once a
   *  barrier confirms it. Rejects with OfpRequestError where the switch refuses. */
  request<const I extends OfMessageInit>(message: I): Promise<ReplyTo<I>>;
  /** Resolves when the switch has carried out everything sent before. */
  barrier(): Promise<void>;
}

/** Sees, in their order, what is sent to a switch and what comes from it, packets left out. */
export interface Observer {
  sent(message: OfMessageInit, xid: number): void;
  received(message: OfMessage): void;
}

/** A switch whose messages can be seen. */
export interface ObservedSwitch extends Switch {
  /** Gives what ends that. */
  observe(observer: Observer): () => void;
}

export const isObserved = (dp: Switch): dp is ObservedSwitch => "observe" in dp;

/** What an app answers to an event: messages to send to the switch, or nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without an answer returns nothing.
export type Answer = readonly OfMessageInit[] | void | Promise<readonly OfMessageInit[] | void>;

/** The events that an app may declare a handler for, and what each gets. */
export interface AppEvents {
  /** A switch is connected; its ports are known. */
  datapath_up(dp: Switch): Answer;
  /** It is gone (or another controller is its master now); nothing can be sent any more. */
  datapath_down(dp: Switch, why: string): void;
  /** The app is taken away while the switch stays: messages that take back what the app has set up there. Not asked
   *  of an app that another of its name replaces, whose `datapath_up` finds the flows as after a reconnection. */
  datapath_release(dp: Switch): Answer;
  /** Passed from app to app in their order until one answers (an empty list is an answer, too). */
  packet_in(dp: Switch, message: MessageOf<"OFPT_PACKET_IN">): Answer;
  /** `dp.ports` is already up to date. */
  port_status(dp: Switch, message: MessageOf<"OFPT_PORT_STATUS">): Answer;
  flow_removed(dp: Switch, message: MessageOf<"OFPT_FLOW_REMOVED">): Answer;
  /** The switch refused something that was sent, not requested. */
  error(dp: Switch, message: MessageOf<"OFPT_ERROR">): Answer;
  /** Anything else that no request waited for. */
  other(dp: Switch, message: OfMessage): Answer;
}

/** One application: what it does at which event. State belongs in the closure that makes it. */
export interface App {
  readonly name: string;
  readonly events: Partial<AppEvents>;
  /** The user asks for files to be read again (SIGHUP); for an app that has read some. It goes on with what it had, and
   *  rejects with a one-line Error, where they are wrong. */
  reload?(): void | Promise<void>;
  /** Called when the controller lets go of the app. */
  stop?(): void;
}
