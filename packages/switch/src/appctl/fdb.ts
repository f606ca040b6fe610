import { OFPP } from "@sluice/openflow-codec";
import type { Bridge } from "../bridge/bridge.js";

const portName = (ofport: number): string => (ofport === OFPP.LOCAL ? "LOCAL" : String(ofport));

/** The learned MAC addresses of a bridge, as fdb/show of Open vSwitch lays them out. */
export function fdbShow(bridge: Bridge): string {
  const rows = bridge.ofproto
    .macs()
    .map(({ ofport, vlan, mac, age }) => {
      const shownAge = age === undefined ? "static" : String(Math.floor(age)).padStart(3);
      return `${portName(ofport).padStart(5)}  ${String(vlan).padStart(4)}  ${mac}  ${shownAge}\n`;
    })
    .join("");
  return ` port  VLAN  MAC                Age\n${rows}`;
}

export function fdbStats(bridge: Bridge): string {
  const { size, ageing } = bridge.desired.macTable;
  return [
    `Statistics for bridge "${bridge.desired.name}":`,
    `  Current/maximum MAC entries in the table: ${bridge.ofproto.macs().length}/${size}`,
    `  Seconds until an unheard MAC address is forgotten: ${ageing}`,
    "",
  ].join("\n");
}
