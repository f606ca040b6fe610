import type { Socket } from "node:net";
import { decode, Framer, type OfMessage } from "@sluice/openflow-codec";
import { nullLog, VirtualClock } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import type { Ofproto } from "../ofproto/ofproto.js";
import type { OfprotoEvents } from "../ofproto/types.js";
import { ConnMgr } from "./connmgr.js";
import type { ControllerConfig } from "./controller.js";
import { DEFAULT_LIMITS } from "./packet-in-queue.js";

/** What tests of connections share. */

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets the event loop turn until it is so. Throws where it does not come to be. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn === 200_000) throw new Error(`waited in vain for ${condition}`);
    await nextTurn();
  }
}

export const controllerConfig = (target: string, more: Partial<ControllerConfig> = {}): ControllerConfig => ({
  target,
  maxBackoffMs: 8000,
  probeIntervalMs: 5000,
  limits: DEFAULT_LIMITS,
  isAsyncEnabled: true,
  tls: {},
  ...more,
});

/** A ConnMgr on a switch that has nothing but `parts`. */
export function connMgrOn(parts: object) {
  const events = new EventEmitter<OfprotoEvents>();
  const features = { datapath_id: 1n, n_buffers: 0, n_tables: 254, auxiliary_id: 0, capabilities: 0 };
  const ofproto = {
    name: "br0",
    events,
    setControllerState: () => {},
    caughtUp: () => undefined,
    features: () => features,
    ...parts,
  } as unknown as Ofproto;
  const clock = new VirtualClock();
  return { connmgr: new ConnMgr({ ofproto, clock, log: nullLog }), clock, events };
}

/** Keeps every message that comes. */
export function keepMessages(socket: Socket, received: OfMessage[]): void {
  const framer = new Framer();
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    framer.push(chunk);
    for (let m = framer.next(); m; m = framer.next()) received.push(decode(m));
  });
}
