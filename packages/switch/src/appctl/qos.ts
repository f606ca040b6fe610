import type { Bridge } from "../bridge/bridge.js";
import { SHAPING } from "../bridge/qos.js";
import type { Bridges } from "../bridge/reconfigure.js";

function ownerOf(bridges: Bridges, name: string): Bridge {
  const owner = [...bridges.running.values()].find((bridge) => bridge.ports.has(name));
  if (!owner) throw new Error("no such interface");
  return owner;
}

/** qos/show: what an interface's queues are configured to, and what they have sent. Queue 0 is the default one. */
export async function qosShow(bridges: Bridges, name: string): Promise<string> {
  const bridge = ownerOf(bridges, name);
  const { desired, ofport } = bridge.ports.get(name)!;
  const { qos } = desired;
  if (!qos) return `QoS not configured on ${name}\n`;
  const sent = new Map((await bridge.ofproto.queueStatistics(ofport)).map((one) => [one.queue_id, one]));
  let text = `QoS: ${name} ${qos.type}\n`;
  if (qos.maxRate !== undefined) text += `max-rate: ${qos.maxRate}\n`;
  for (const { queue_id, burst, minRate, maxRate } of qos.queues) {
    const stats = sent.get(queue_id);
    const rows = {
      burst,
      "min-rate": minRate,
      "max-rate": maxRate,
      tx_packets: stats?.tx_packets,
      tx_bytes: stats?.tx_bytes,
      tx_errors: stats?.tx_errors,
    };
    text += `\n${queue_id === 0 ? "Default" : `Queue ${queue_id}`}:\n`;
    for (const [key, value] of Object.entries(rows)) if (value !== undefined) text += `  ${key}: ${value}\n`;
  }
  return text;
}

/** qos/show-types: what QoS an interface can have. */
export function qosTypes(bridges: Bridges, name: string): string {
  ownerOf(bridges, name);
  return [...SHAPING].map((type) => `QoS type: ${type}\n`).join("");
}
