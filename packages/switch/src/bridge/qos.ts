import type { QueueSpec } from "../ofproto/types.js";
import type { ConfigRows, PortQos } from "./desired.js";
import { number } from "./other-config.js";
import { unsupportedIn, unsupportedText } from "./unsupported.js";

/** Types of QoS that shape by rates. linux-hfsc differs from linux-htb in how the kernel does it, which is not used. */
export const SHAPING: ReadonlySet<string> = new Set(["linux-htb", "linux-hfsc"]);
const NONE: ReadonlySet<string> = new Set(["", "linux-noop"]);
/** 1 Tb/s. */
const MAX_RATE = 1e12;

/** What a Port's QoS row asks for; undefined: nothing is shaped. */
export function desiredQos(
  id: string | undefined,
  rows: Pick<ConfigRows, "qos" | "queues">,
  complain: (text: string) => void,
): PortQos | undefined {
  const row = id === undefined ? undefined : rows.qos.get(id);
  if (row === undefined || NONE.has(row.type)) return undefined;
  if (!SHAPING.has(row.type)) {
    complain(`QoS type "${row.type}" is not supported (there are linux-htb, linux-hfsc and linux-noop)`);
    return undefined;
  }
  const queues: QueueSpec[] = [];
  for (const [queue_id, uuid] of [...row.queues].sort(([a], [b]) => a - b)) {
    const queue = rows.queues.get(uuid);
    if (queue === undefined) continue;
    const settings = unsupportedIn("Queue", queue);
    if (settings.length > 0) complain(`queue ${queue_id}: ${unsupportedText(settings)}`);
    const rate = (key: string): number | undefined => number(queue.other_config, key, 1, MAX_RATE);
    const [minRate, maxRate, burst] = [rate("min-rate"), rate("max-rate"), rate("burst")];
    queues.push({
      queue_id,
      ...(minRate === undefined ? {} : { minRate }),
      ...(maxRate === undefined ? {} : { maxRate }),
      ...(burst === undefined ? {} : { burst }),
    });
  }
  return { type: row.type, maxRate: number(row.other_config, "max-rate", 1, MAX_RATE), queues };
}
