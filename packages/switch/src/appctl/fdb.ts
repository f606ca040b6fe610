import { OFPP } from "@sluice/openflow-codec";
import { parseMac } from "@sluice/wire";
import type { Bridge } from "../bridge/bridge.js";

/** fdb/…: a bridge's MAC table, laid out as Open vSwitch does. */

const portName = (ofport: number): string => (ofport === OFPP.LOCAL ? "LOCAL" : String(ofport));

export function fdbShow(bridge: Bridge): string {
  const rows = bridge.ofproto
    .macs()
    .map(({ ofport, vlan, mac, age }) => {
      const shownAge = age === undefined ? "static" : String(age).padStart(3);
      return `${portName(ofport).padStart(5)}  ${String(vlan).padStart(4)}  ${mac}  ${shownAge}\n`;
    })
    .join("");
  return ` port  VLAN  MAC                Age\n${rows}`;
}

export function fdbStats({ desired, ofproto }: Bridge): string {
  const macs = ofproto.macs();
  const { learned, expired, evicted, moved } = ofproto.macLearning.counters;
  const rows = {
    "Current/maximum MAC entries in the table:": `${macs.length}/${desired.macTable.size}`,
    "Current static MAC entries in the table :": macs.filter(({ age }) => age === undefined).length,
    "Total number of learned MAC entries     :": learned,
    "Total number of expired MAC entries     :": expired,
    "Total number of evicted MAC entries     :": evicted,
    "Total number of port moved MAC entries  :": moved,
  };
  const lines = Object.entries(rows).map(([label, value]) => `  ${label} ${value}\n`);
  return `Statistics for bridge "${desired.name}":\n${lines.join("")}`;
}

export function fdbStatsClear(bridges: readonly Bridge[]): string {
  for (const { ofproto } of bridges)
    Object.assign(ofproto.macLearning.counters, { learned: 0, expired: 0, evicted: 0, moved: 0 });
  return "statistics successfully cleared\n";
}

export function fdbAdd({ ofproto }: Bridge, name: string, vlan: string, mac: string): string {
  const port = ofproto.port(name);
  if (!port) throw new Error(`${name}: no such port on ${ofproto.name}`);
  const before = ofproto.pinMac(port.ofport, vlanOf(vlan), macOf(mac));
  if (before === undefined) return "";
  return `Overriding already existing ${before.isStatic ? "static" : "dynamic"} entry on ${portName(before.ofport)}\n`;
}

export function fdbDelete({ ofproto }: Bridge, vlan: string, mac: string): string {
  if (ofproto.unpinMac(vlanOf(vlan), macOf(mac))) return "";
  throw new Error("could not find static mac entry");
}

const MAX_VLAN = 4095;

function vlanOf(text: string): number {
  const vlan = Number(text);
  if (/^\d+$/.test(text) && vlan <= MAX_VLAN) return vlan;
  throw new Error(`${text}: not a VLAN (0 to ${MAX_VLAN}; 0 is none)`);
}

function macOf(text: string): number {
  try {
    return parseMac(text).reduce((number, byte) => number * 256 + byte, 0);
  } catch {
    throw new Error(`${text}: bad MAC address`);
  }
}
