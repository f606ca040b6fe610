import { type MessageOf, OFPFMF, OFPP, OFPTT, type OfMessage } from "@sluice/openflow-codec";
import type { ObservedSwitch, Observer } from "../framework/app.js";
import { OfpRequestError } from "../framework/requests.js";

type Reply = Extract<MessageOf<"OFPT_MULTIPART_REPLY">["body"], { type: "ONFMP_FLOW_MONITOR" }>;
/** A flow that the switch says has come, changed or gone. */
export type FlowUpdate = Exclude<Reply["entries"][number], { type: "ONFFME_ABBREV" }>;

export interface FlowListener {
  updated(update: FlowUpdate): void;
  /** The switch leaves changes out for a while, since they are not read quickly enough (OFPT_FLOW_MONITOR_PAUSED); it tells
   *  later how the flows are that changed meanwhile. */
  paused(): void;
}

/** The number of our monitor on a connection; apps may have others. */
const ID = 0x736c7563;
const PAUSED: ReadonlySet<string> = new Set(["ONFT_FLOW_MONITOR_PAUSED", "NXT_FLOW_MONITOR_PAUSED"]);

/** A connected switch's own word of every change in its tables, by whomever: a flow monitor (ONF extension 187 to OpenFlow
 *  1.3), which Open vSwitch and Sluice have. There is one as long as somebody follows. */
export class FlowMonitor implements Observer {
  readonly #dp: ObservedSwitch;
  readonly #listeners = new Set<FlowListener>();
  #isOn: Promise<boolean> | undefined;
  #endObserving = (): void => {};

  private constructor(dp: ObservedSwitch) {
    this.#dp = dp;
  }

  static of(dp: ObservedSwitch): FlowMonitor {
    let monitor = monitors.get(dp);
    if (monitor === undefined) {
      monitor = new FlowMonitor(dp);
      monitors.set(dp, monitor);
    }
    return monitor;
  }

  /** Tells the listener of each change from now on. Gives what ends that; undefined where the switch has no monitors.
   *  Rejects as `request` does. */
  async follow(listener: FlowListener): Promise<(() => void) | undefined> {
    this.#listeners.add(listener);
    this.#isOn ??= this.#begin();
    try {
      if (await this.#isOn) return () => this.#leave(listener);
    } catch (error) {
      this.#isOn = undefined;
      this.#listeners.delete(listener);
      throw error;
    }
    this.#listeners.delete(listener);
    return undefined;
  }

  async #begin(): Promise<boolean> {
    this.#endObserving = this.#dp.observe(this);
    // Our own changes in full, too: so that one source tells all, in the order in which the switch did it.
    const flags = OFPFMF.ADD | OFPFMF.DELETE | OFPFMF.MODIFY | OFPFMF.ACTIONS | OFPFMF.OWN;
    const entry = { id: ID, flags, out_port: OFPP.ANY, table_id: OFPTT.ALL, match: {} };
    const body = { type: "ONFMP_FLOW_MONITOR", entries: [entry] } as const;
    try {
      await this.#dp.request({ type: "OFPT_MULTIPART_REQUEST", body });
      return true;
    } catch (error) {
      this.#endObserving();
      if (error instanceof OfpRequestError) return false;
      throw error;
    }
  }

  #leave(listener: FlowListener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0 || this.#isOn === undefined) return;
    this.#isOn = undefined;
    this.#endObserving();
    this.#dp.send({ type: "ONFT_FLOW_MONITOR_CANCEL", id: ID });
  }

  sent(): void {}

  received(message: OfMessage): void {
    if (message.type === "OFPT_MULTIPART_REPLY") {
      if (message.body.type !== "ONFMP_FLOW_MONITOR") return;
      for (const update of (message.body as Reply).entries) {
        if (update.type === "ONFFME_ABBREV") continue;
        for (const listener of this.#listeners) listener.updated(update as FlowUpdate);
      }
    } else if (PAUSED.has(message.type)) for (const listener of this.#listeners) listener.paused();
  }
}

const monitors = new WeakMap<ObservedSwitch, FlowMonitor>();
