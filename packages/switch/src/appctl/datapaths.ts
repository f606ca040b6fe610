import { OFPP } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { OVSDB_LOCAL } from "../bridge/status.js";
import type { DpBacker } from "../ofproto/backer.js";

function bridgeLines(bridge: Bridge): string {
  const rows = bridge.ofproto
    .ports()
    .sort((a, b) => a.name.localeCompare(b.name))
    .map(({ name, ofport, odpPort, type }) => {
      const number = ofport === OFPP.LOCAL ? OVSDB_LOCAL : ofport;
      return `    ${name} ${number}/${odpPort ?? "none"}: (${type})\n`;
    });
  return `  ${bridge.desired.name}:\n${rows.join("")}`;
}

const nameOf = ({ dpif }: DpBacker): string => `${dpif.type}@sluice-${dpif.type}`;

/** Datapaths, the bridges on each, and their ports: OpenFlow number / datapath number (type). */
export async function datapaths(bridges: Bridges): Promise<string> {
  let text = "";
  for (const backer of bridges.backers()) {
    const { packets = 0, upcalls = 0 } = await backer.dpif.counters();
    const its = [...bridges.running.values()].filter((bridge) => bridges.backerOf(bridge) === backer);
    text += `${nameOf(backer)}: hit:${packets - upcalls} missed:${upcalls}\n${its.map(bridgeLines).join("")}`;
  }
  return text;
}

/** Datapaths by name. */
export const datapathNames = (bridges: Bridges): string =>
  [...bridges.backers()].map((backer) => `${nameOf(backer)}\n`).join("");

/** Datapaths with their counters and ports, as dpctl/show lays them out. */
export async function datapathDetails(bridges: Bridges): Promise<string> {
  let text = "";
  for (const backer of bridges.backers()) {
    const counters = Object.entries(await backer.dpif.counters());
    const ports = [...bridges.running.values()]
      .filter((bridge) => bridges.backerOf(bridge) === backer)
      .flatMap((bridge) => bridge.ofproto.ports())
      .filter(({ odpPort }) => odpPort !== undefined)
      .sort((a, b) => a.odpPort! - b.odpPort!);
    text += `${nameOf(backer)}:\n`;
    text += `  counters: ${counters.map(([name, count]) => `${name}:${count}`).join(" ")}\n`;
    text += `  flows: ${backer.megaflows.size}\n`;
    for (const { odpPort, name, type } of ports) text += `  port ${odpPort}: ${name} (${type})\n`;
  }
  return text;
}
