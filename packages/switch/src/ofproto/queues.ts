import type { MessageInitOf } from "@sluice/openflow-codec";
import type { Dpif, QueueConfig } from "../dpif/dpif.js";
import { refuse } from "./error.js";
import type { OfPort } from "./ofport.js";
import { duration } from "./rule.js";
import type { QueueSpec, QueueStatistics } from "./types.js";
import { OFPP } from "./xlate/reserved.js";

/** The queues of ports: their configuration comes from outside of OpenFlow (1.3.5 §7.2.2), which only asks. */

export type PacketQueue = NonNullable<MessageInitOf<"OFPT_QUEUE_GET_CONFIG_REPLY">["queues"]>[number];

/** Rates are told in tenths of a percent of the port's speed. */
const WHOLE = 1000;

/** The ports that a request about queues means. */
export function selectPorts(ports: ReadonlyMap<number, OfPort>, port_no: number): OfPort[] {
  if (port_no === OFPP.ANY) return [...ports.values()].sort((a, b) => a.ofport - b.ofport);
  const port = ports.get(port_no);
  if (!port) throw refuse("OFPQOFC_BAD_PORT", `there is no port ${port_no}`);
  return [port];
}

/** As OFPT_QUEUE_GET_CONFIG_REPLY describes them. A rate of a port whose speed is not known cannot be told. */
export function packetQueues(port: OfPort): PacketQueue[] {
  const share = (rate: number): number => Math.min(WHOLE, Math.round((rate * WHOLE) / port.speed));
  return sorted(port).map(({ queue_id, minRate, maxRate }) => ({
    queue_id,
    port: port.ofport,
    properties:
      port.speed > 0
        ? [
            ...(minRate === undefined ? [] : [{ type: "OFPQT_MIN_RATE", rate: share(minRate) } as const]),
            ...(maxRate === undefined ? [] : [{ type: "OFPQT_MAX_RATE", rate: share(maxRate) } as const]),
          ]
        : [],
  }));
}

const sorted = (port: OfPort): QueueSpec[] =>
  [...port.queues.values()].sort((a, b) => a.queue_id - b.queue_id);

/** Gives a port these queues in place of those that it has. The same again changes nothing. */
export function configureQueues(
  dpif: Dpif,
  port: OfPort,
  queues: readonly QueueSpec[] | undefined,
  maxRate: number | undefined,
  nowMs: number,
): void {
  const wanted = new Map((queues ?? []).map((queue) => [queue.queue_id, queue]));
  const shape = JSON.stringify([[...wanted.values()], maxRate]);
  if (shape === port.queueShape) return;
  port.queueShape = shape;
  port.queues = wanted;
  port.queuesSinceMs = nowMs;
  if (port.odpPort === undefined) return;
  const isShaped = wanted.size > 0 || maxRate !== undefined;
  const configs: QueueConfig[] = [...wanted.values()];
  dpif.queuesSet(
    port.odpPort,
    isShaped ? { queues: configs, ...(maxRate === undefined ? {} : { maxRate }) } : null,
  );
}

export async function readQueues(dpif: Dpif, port: OfPort, nowMs: number): Promise<QueueStatistics[]> {
  if (port.queues.size === 0 || port.odpPort === undefined) return [];
  const counts = new Map((await dpif.queueStats(port.odpPort)).map((stats) => [stats.queue_id, stats]));
  return sorted(port).map(({ queue_id }) => {
    const { tx_packets = 0, tx_bytes = 0, tx_errors = 0 } = counts.get(queue_id) ?? {};
    return { queue_id, tx_packets, tx_bytes, tx_errors, ...duration(port.queuesSinceMs, nowMs) };
  });
}
