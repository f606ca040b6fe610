import type { OdpAction } from "../../dpif/actions.js";
import type { Recirculated } from "../../dpif/dpif.js";
import { MAX_TAGS } from "../../flow/extract.js";
import { LANE_RECIRC_ID } from "../../flow/lanes.js";
import { Packet } from "../../netdev/packet.js";
import { Context } from "./actions/context.js";
import { Executor } from "./actions/executor.js";
import { compileActions } from "./actions/ops.js";
import { DatapathCounters } from "./port.js";

/** What the recirc actions among `actions` look up again, by the very executor of the datapath, with no port to send to,
 *  no meter to ask and counters that nobody reads. A packet too long for the datapath comes back nowhere. */
export function rehearse(frame: Uint8Array, actions: readonly OdpAction[]): Recirculated[] {
  const again: Recirculated[] = [];
  const packet = new Packet();
  if (!packet.load(frame)) return again;
  const executor = new Executor(
    {
      forward: ({ key, packet }) => again.push({ id: key[LANE_RECIRC_ID]!, packet: packet.frame().slice() }),
      upcallAction() {},
      counters: new DatapathCounters(),
      tags: MAX_TAGS,
      now: 0,
    },
    [],
  );
  const ctx = new Context(packet);
  ctx.begin(packet, 0, 0);
  executor.run(ctx, compileActions(actions));
  return again;
}
