import type { Port } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import type { EventEmitter } from "eventemitter3";
import type { Topology, TopologyEvents } from "../../apps/topology/index.js";
import type { ControllerEvents } from "../../framework/dispatch.js";
import { showMatch } from "../ofctl/match.js";
import { dpidText, showHost, showLink, showPort } from "../topology-routes.js";
import type { EventLog, EventType } from "./event-log.js";

type Watchers = EventEmitter<ControllerEvents>;

/** Of a packet-in, this many bytes are told. */
const MAX_DATA = 256;
const PORT_EVENTS: Readonly<Record<string | number, EventType>> = {
  OFPPR_ADD: "port_add",
  OFPPR_MODIFY: "port_modify",
  OFPPR_DELETE: "port_delete",
};

const portOf = (dpid: bigint, { port_no, hw_addr, name, config, state }: Port): object => ({
  ...showPort({ dpid, port_no, hw_addr, name }),
  config,
  state,
});

/** Writes down what happens at the switches, except their packets. Gives what ends that. */
export function recordEvents(watchers: Watchers, topology: Topology | undefined, log: EventLog): () => void {
  const switchEvents: Partial<ControllerEvents> = {
    datapath_up: (dp) =>
      log.add("switch_enter", {
        dpid: dpidText(dp.dpid),
        ports: [...dp.ports.values()].map((port) => portOf(dp.dpid, port)),
      }),
    datapath_down: (dp, why) => log.add("switch_leave", { dpid: dpidText(dp.dpid), why }),
    port_status: (dp, { reason, desc }) => {
      const type = PORT_EVENTS[reason];
      if (type !== undefined) log.add(type, portOf(dp.dpid, desc));
    },
    flow_removed: (dp, { type: _, xid: __, match, ...flow }) =>
      log.add("flow_removed", { dpid: dpidText(dp.dpid), ...flow, match: showMatch(match) }),
  };
  const topologyEvents: Partial<TopologyEvents> = {
    link_add: (link) => log.add("link_add", showLink(link)),
    link_delete: (link) => log.add("link_delete", showLink(link)),
    host_add: (host) => log.add("host_add", showHost(host)),
    host_move: (host, from) => log.add("host_move", { ...showHost(host), from: showPort(from) }),
    host_delete: (host) => log.add("host_delete", showHost(host)),
  };
  const ends = [listen(watchers, switchEvents)];
  if (topology !== undefined) ends.push(listen(topology.events, topologyEvents));
  return () => {
    for (const end of ends) end();
  };
}

/** Writes down packet-ins, which costs something for each: only while somebody reads them. */
export const recordPacketIns = (watchers: Watchers, log: EventLog): (() => void) =>
  listen(watchers, {
    packet_in: (dp, { match, reason, table_id, cookie, total_len, data }) =>
      log.add("packet_in", {
        dpid: dpidText(dp.dpid),
        in_port: match.in_port,
        reason,
        table_id,
        cookie,
        total_len,
        data: toHex(data.subarray(0, MAX_DATA)),
      }),
  } satisfies Partial<ControllerEvents>);

function listen<E extends object>(emitter: EventEmitter<E>, handlers: Partial<E>): () => void {
  const untyped = emitter as unknown as EventEmitter;
  const entries = Object.entries(handlers) as [string, (...args: unknown[]) => void][];
  for (const [name, handle] of entries) untyped.on(name, handle);
  return () => {
    for (const [name, handle] of entries) untyped.off(name, handle);
  };
}
