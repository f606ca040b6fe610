import type { Port } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import type { EventEmitter } from "eventemitter3";
import type { Topology, TopologyEvents } from "../../apps/topology/index.js";
import type { ControllerEvents } from "../../framework/dispatch.js";
import { dpidText } from "../dpid.js";
import { cookieText, hostOf, linkOf, portNo, portOf, portRef } from "../network-json.js";
import { showMatch } from "../ofctl/match.js";
import { showHost, showLink, showPort } from "../topology-routes.js";
import type { EventLog, EventType } from "./event-log.js";

type Watchers = EventEmitter<ControllerEvents>;

/** Of a packet-in, this many bytes are told. */
const MAX_DATA = 256;
const PORT_EVENTS: Readonly<Record<string | number, EventType>> = {
  OFPPR_ADD: "port_add",
  OFPPR_MODIFY: "port_modify",
  OFPPR_DELETE: "port_delete",
};

const ryusPort = (dpid: bigint, { port_no, hw_addr, name }: Port): object =>
  showPort({ dpid, port_no, hw_addr, name });

/** Writes down what happens at the switches, except their flows and packets. Gives what ends that. */
export function recordEvents(watchers: Watchers, topology: Topology | undefined, log: EventLog): () => void {
  const switchEvents: Partial<ControllerEvents> = {
    datapath_up: (dp) => {
      const [dpid, ports] = [dpidText(dp.dpid), [...dp.ports.values()]];
      log.add({
        ...{ type: "switch_enter", dpids: [dpid] },
        detail: () => ({ dpid, ports: ports.map(portOf) }),
        ryu: () => ({ dpid, ports: ports.map((port) => ryusPort(dp.dpid, port)) }),
      });
    },
    datapath_down: (dp, why) => {
      const dpid = dpidText(dp.dpid);
      log.add({
        ...{ type: "switch_leave", dpids: [dpid] },
        detail: () => ({ dpid, why }),
        ryu: () => ({ dpid, ports: [] }),
      });
    },
    port_status: (dp, { reason, desc }) => {
      const [type, dpid] = [PORT_EVENTS[reason], dpidText(dp.dpid)];
      if (type !== undefined) log.add({ type, dpids: [dpid], detail: () => ({ dpid, ...portOf(desc) }) });
    },
    flow_removed: (dp, { type: _, xid: __, match, cookie, ...flow }) => {
      const dpid = dpidText(dp.dpid);
      log.add({
        ...{ type: "flow_removed", dpids: [dpid] },
        detail: () => ({ dpid, ...flow, cookie: cookieText(cookie), match: showMatch(match) }),
      });
    },
  };
  const link =
    (type: "link_add" | "link_delete"): TopologyEvents["link_add"] =>
    (one) =>
      log.add({
        ...{ type, dpids: [dpidText(one.src.dpid), dpidText(one.dst.dpid)] },
        detail: () => linkOf(one),
        ryu: () => showLink(one),
      });
  const host =
    (type: "host_add" | "host_move" | "host_delete"): TopologyEvents["host_move"] =>
    (one, from) => {
      const [its, before] = [hostOf(one), from === undefined ? {} : { from: portRef(from) }];
      log.add({
        ...{ type, dpids: [one.port, from].flatMap((port) => (port ? [dpidText(port.dpid)] : [])) },
        detail: () => ({ ...its, ...before }),
        ryu: () => showHost(one),
      });
    };
  const topologyEvents: Partial<TopologyEvents> = {
    link_add: link("link_add"),
    link_delete: link("link_delete"),
    host_add: host("host_add") as TopologyEvents["host_add"],
    host_move: host("host_move"),
    host_delete: host("host_delete") as TopologyEvents["host_delete"],
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
    packet_in: (dp, { match, reason, table_id, cookie, total_len, data }) => {
      const dpid = dpidText(dp.dpid);
      // The message's bytes are those of all that came with it: not to be kept.
      const told = toHex(data.subarray(0, MAX_DATA));
      const { in_port } = match;
      log.add({
        ...{ type: "packet_in", dpids: [dpid] },
        detail: () => ({
          ...{ dpid, in_port: in_port === undefined ? undefined : portNo(in_port), reason, table_id },
          ...{ cookie: cookieText(cookie), total_len, data: told },
        }),
      });
    },
  } satisfies Partial<ControllerEvents>);

export function listen<E extends object>(emitter: EventEmitter<E>, handlers: Partial<E>): () => void {
  const untyped = emitter as unknown as EventEmitter;
  const entries = Object.entries(handlers) as [string, (...args: unknown[]) => void][];
  for (const [name, handle] of entries) untyped.on(name, handle);
  return () => {
    for (const [name, handle] of entries) untyped.off(name, handle);
  };
}
