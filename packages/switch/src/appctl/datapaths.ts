import { OFPP } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";
import type { Bridges } from "../bridge/reconfigure.js";
import { OVSDB_LOCAL } from "../bridge/status.js";

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

/** Datapaths, the bridges on each, and their ports: OpenFlow number / datapath number (type). */
export async function datapaths(bridges: Bridges): Promise<string> {
  const byDatapath = new Map<string, Bridge[]>();
  for (const bridge of bridges.running.values()) {
    const type = bridges.dpifOf(bridge).type;
    byDatapath.set(type, [...(byDatapath.get(type) ?? []), bridge]);
  }
  let text = "";
  for (const [type, its] of byDatapath) {
    const { hit = 0, miss = 0 } = await bridges.dpifOf(its[0]!).counters();
    text += `${type}@sluice-${type}: hit:${hit} missed:${miss}\n${its.map(bridgeLines).join("")}`;
  }
  return text;
}
