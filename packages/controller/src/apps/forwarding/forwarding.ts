// Hot path: `onPacketIn` runs for each packet-in.
import { type MessageOf, OFP_NO_BUFFER, OFPG, OFPP, OFPTT, type OfMessageInit } from "@sluice/openflow-codec";
import { type Clock, type Log, nullLog, realClock, type Timer } from "@sluice/runtime";
import { macFromNumber, macToNumber } from "@sluice/wire";
import { defineApp } from "../../composition/definition.js";
import type { App, Switch } from "../../framework/app.js";
import { packetOut } from "../../framework/messages.js";
import type { ListedFlow, ModelGroup } from "../../tables/index.js";
import { isLinkLocal, isMulticast, readFrameHead } from "../frame.js";
import type { Topology, TopologyApp, TopologyHost, TopologyLink, TopologyPort } from "../topology/index.js";
import { Fabric } from "./fabric.js";
import { deliver, FLOOD_GROUP, FORWARDING_COOKIE, noGroup, ROLES, toGroup, unknownFlow } from "./flows.js";
import { type Found, isOurs, readFound } from "./takeover.js";

export interface ForwardingOptions {
  /** How long a port that came up must show no link before hosts are believed to be there. 2 s unless given. */
  edgeDelayMs?: number | undefined;
  /** Seconds without a packet after which a host is forgotten. 300 unless given; 0 is never. */
  hostIdleSecs?: number | undefined;
  /** How long switches that come with flows of this app are left as they are, while their links are yet to be seen. 10 s
   *  unless given; 0 makes them anew. */
  takeoverMs?: number | undefined;
  clock?: Clock;
  log?: Log;
}

/** Links that come are taken up together, this much after the first: a network that starts has many. */
const GATHER_MS = 20;
/** What switches have to tell is not kept waiting for longer, at about, by better ways that are worked out. */
const TURN_MS = 2;

/** Makes all switches together one loop-free switch: shortest paths between hosts, spread over equal ones, broadcasts
 *  along a spanning tree. `fabric.ts` decides, `flows.ts` has the messages. `model` is that of a topology app that stands
 *  before this one. */
export function forwarding(model: Topology, options: ForwardingOptions = {}): App {
  const {
    clock = realClock,
    edgeDelayMs = 2000,
    hostIdleSecs = 300,
    takeoverMs = 10_000,
    log = nullLog,
  } = options;
  const nodes = new Map<bigint, number>();
  const switches: (Switch | undefined)[] = [];
  const fabric = new Fabric({
    send: (node, message) => {
      confirming[node] = undefined;
      switches[node]?.send(message);
    },
    confirm: (node, then) => confirm(node, then),
    hostIdleSecs,
    forget: (mac) => model.forgetHost(mac),
  });
  /** Ports that wait for their time, the earliest first. */
  const pending = new Map<string, { dpid: bigint; port_no: number; until: number }>();
  let isStopped = false;
  let pendingTimer: Timer | undefined;
  let flushTimer: Timer | undefined;
  let settleTimer: Timer | undefined;
  let takeoverTimer: Timer | undefined;
  /** Switches whose tables are being read. */
  const entering = new Set<Switch>();

  /** By switch: what waits for its last barrier, if nothing was sent after that. A barrier leaves right behind what it is
   *  for, in the same write. */
  const confirming: ((() => void)[] | undefined)[] = [];
  const confirm = (node: number, then: () => void): void => {
    const known = confirming[node];
    if (known) {
      known.push(then);
      return;
    }
    const all = [then];
    confirming[node] = all;
    const done = (): void => {
      if (confirming[node] === all) confirming[node] = undefined;
      if (!isStopped) for (const one of all) one();
    };
    (switches[node]?.barrier() ?? Promise.resolve()).then(done, done);
  };

  const isLongFrom = (start: number) => (): boolean => clock.now() - start > TURN_MS;
  const settleMore = (): void => {
    settleTimer = undefined;
    if (!fabric.ways.settleMore(isLongFrom(clock.now()))) settleSoon();
  };
  const settleSoon = (): void => {
    settleTimer ??= clock.setTimeout(settleMore, 0);
  };

  const flush = (): void => {
    flushTimer?.cancel();
    flushTimer = undefined;
    if (takeoverTimer && fabric.isWhole && entering.size === 0) endTakeover();
    const { waitFor, isSettled } = fabric.flush(isLongFrom(clock.now()));
    if (!isSettled) settleSoon();
    if (waitFor.length === 0) return;
    fabric.hold();
    const barriers = waitFor.map((node) => switches[node]?.barrier());
    void Promise.allSettled(barriers).then(() => {
      fabric.release();
      flush();
    });
  };
  const flushSoon = (delayMs: number): void => {
    flushTimer ??= clock.setTimeout(flush, delayMs);
  };
  const flushNow = (): void => {
    flushTimer?.cancel();
    flushTimer = clock.setTimeout(flush, 0);
  };

  const endTakeover = (): void => {
    takeoverTimer?.cancel();
    takeoverTimer = undefined;
    const { switches: count, missing } = fabric.takeOver();
    const rest = missing > 0 ? `; at ${missing} of their ports no link is seen any more` : "";
    log.info(`switches that keep their flows: ${count}${rest}`);
  };

  const settlePorts = (): void => {
    pendingTimer = undefined;
    const now = clock.now();
    const settled = new Set<string>();
    for (const [key, { dpid, port_no, until }] of pending) {
      if (until > now) break;
      pending.delete(key);
      // After a standstill of our own, probes that have arrived meanwhile are yet to be read.
      if (now - until > edgeDelayMs / 2 && edgeDelayMs > 0) {
        pending.set(key, { dpid, port_no, until: now + edgeDelayMs });
        continue;
      }
      const node = nodes.get(dpid);
      if (node === undefined || fabric.portState(node, port_no) !== "pending") continue;
      fabric.setPort(node, port_no, "up");
      settled.add(key);
    }
    flush();
    if (settled.size > 0) for (const host of model.hosts()) if (settled.has(keyOf(host.port))) seeHost(host);
    const [next] = pending.values();
    if (next) pendingTimer = clock.setTimeout(settlePorts, next.until - now);
  };
  const watchPort = (port: TopologyPort): void => {
    const { dpid, port_no, isUp } = port;
    const node = nodes.get(dpid);
    if (node === undefined) return;
    if (!isUp) {
      fabric.setPort(node, port_no, "down");
      return;
    }
    fabric.setPort(node, port_no, "pending");
    pending.delete(keyOf(port));
    pending.set(keyOf(port), { dpid, port_no, until: clock.now() + edgeDelayMs });
    pendingTimer ??= clock.setTimeout(settlePorts, edgeDelayMs);
  };

  const end = ({ dpid, port_no }: TopologyPort): { node: number; port: number } | undefined => {
    const node = nodes.get(dpid);
    return node === undefined ? undefined : { node, port: port_no };
  };
  const withLink = (
    { src, dst, isDirect }: TopologyLink,
    then: (link: Parameters<Fabric["addLink"]>[0]) => void,
  ): void => {
    const [from, to] = [end(src), end(dst)];
    if (from && to) then({ src: from, dst: to, isDirect });
  };
  const seeHost = ({ mac, port }: TopologyHost): void => {
    const at = end(port);
    if (at && ROLES[fabric.role(at.node, at.port)].mayHaveHosts) fabric.putHost(mac, at.node, at.port);
    else fabric.removeHost(mac);
  };

  const listeners = {
    port_add: (port: TopologyPort) => {
      watchPort(port);
      flushNow();
    },
    port_modify: (port: TopologyPort) => {
      const node = nodes.get(port.dpid);
      const wasUp = node !== undefined && (fabric.portState(node, port.port_no) ?? "down") !== "down";
      if (wasUp !== port.isUp) watchPort(port);
      flushNow();
    },
    port_delete: ({ dpid, port_no }: TopologyPort) => {
      const node = nodes.get(dpid);
      if (node !== undefined) fabric.setPort(node, port_no, undefined);
      flushNow();
    },
    link_add: (link: TopologyLink) =>
      withLink(link, (known) => {
        fabric.addLink(known);
        for (const { node, port } of [known.src, known.dst]) {
          const state = fabric.portState(node, port);
          if (state !== "down" && (state !== "kept" || fabric.isUsed(known)))
            fabric.setPort(node, port, "up");
        }
        flushSoon(GATHER_MS);
      }),
    link_delete: (link: TopologyLink) =>
      withLink(link, (known) => {
        fabric.removeLink(known);
        for (const { node, port } of [known.src, known.dst])
          if (fabric.portState(node, port) === "up") fabric.setPort(node, port, "blocked");
        flushNow();
      }),
    host_add: seeHost,
    host_move: seeHost,
    host_delete: ({ mac }: TopologyHost) => fabric.removeHost(mac),
  };
  for (const [name, listener] of Object.entries(listeners))
    model.events.on(name as keyof typeof listeners, listener as never);

  const enter = async (dp: Switch): Promise<void> => {
    entering.add(dp);
    const listed = await listTables(dp);
    // It may be gone meanwhile, or be there a second time.
    if (!entering.delete(dp) || isStopped) return;
    const found = takeoverMs > 0 ? readFound(listed.flows, listed.groups) : undefined;
    const node = fabric.nodeFor(dp.dpid);
    nodes.set(dp.dpid, node);
    switches[node] = dp;
    if (found === undefined)
      for (const { group_id } of listed.groups.filter(isOurs)) dp.send(noGroup(group_id));
    fabric.addSite(node, found);
    for (const port of model.switches.get(dp.dpid)?.ports.values() ?? []) {
      const state = port.isUp ? fabric.firstState(node, port.port_no) : "down";
      if (state === "pending") watchPort(port);
      else fabric.setPort(node, port.port_no, state);
    }
    for (const link of model.linksOf(dp.dpid)) listeners.link_add(link);
    meetHosts(dp, found);
    if (found)
      takeoverTimer ??= clock.setTimeout(() => {
        endTakeover();
        flush();
      }, takeoverMs);
    flush();
  };
  /** Those that the switch knows, and those seen before this app came. */
  const meetHosts = ({ dpid }: Switch, found: Found | undefined): void => {
    const known = new Set<string>();
    for (const host of model.hosts()) {
      known.add(host.mac);
      if (host.port.dpid === dpid) seeHost(host);
    }
    for (const { mac, port } of found?.senders ?? [])
      if (!known.has(mac)) model.seeHost(dpid, port, macToNumber(mac));
  };
  const leave = (dp: Switch): void => {
    entering.delete(dp);
    const node = nodes.get(dp.dpid);
    if (node === undefined || isStopped) return;
    nodes.delete(dp.dpid);
    switches[node] = undefined;
    fabric.removeSite(node);
    flush();
  };

  const onPacketIn = (dp: Switch, message: MessageOf<"OFPT_PACKET_IN">): OfMessageInit[] => {
    const head = readFrameHead(message.data);
    const { in_port } = message.match;
    const node = nodes.get(dp.dpid);
    if (head === undefined || in_port === undefined || node === undefined) return release(message);
    if (fabric.role(node, in_port) !== "edge" || isLinkLocal(head) || isMulticast(head.src))
      return release(message);
    if (isMulticast(head.dst)) return [packetOut(message, toGroup(FLOOD_GROUP))];
    const dst = macFromNumber(head.dst);
    const host = fabric.host(dst);
    if (host === undefined) return [unknownFlow(dst), packetOut(message, toGroup(FLOOD_GROUP))];
    const isThere = fabric.lead(dst, node);
    // The answer will come soon.
    fabric.lead(macFromNumber(head.src), host.node);
    // The first packet goes straight to the last switch: those between may not be ready yet.
    const isHere = host.node === node && host.port === in_port;
    if (isThere && !isHere) switches[host.node]?.send(deliver(host.port, message.data));
    return release(message);
  };

  return {
    name: "forwarding",
    events: {
      datapath_up: enter,
      datapath_down: leave,
      datapath_release: (dp) => {
        const node = nodes.get(dp.dpid);
        return node === undefined ? [] : fabric.clearance(node);
      },
      // The topology has told what it means; nothing is to wait.
      port_status: flush,
      packet_in: onPacketIn,
      flow_removed: (_dp, { cookie, reason, match }) => {
        if (cookie !== FORWARDING_COOKIE || reason !== "OFPRR_IDLE_TIMEOUT") return;
        if (typeof match.eth_src === "string") model.forgetHost(match.eth_src);
      },
    },
    stop: () => {
      isStopped = true;
      for (const timer of [pendingTimer, flushTimer, settleTimer, takeoverTimer]) timer?.cancel();
      for (const [name, listener] of Object.entries(listeners))
        model.events.off(name as keyof typeof listeners, listener as never);
    },
  };
}

const keyOf = ({ dpid, port_no }: TopologyPort): string => `${dpid}:${port_no}`;

/** What a switch has of this app, and all its groups. One that does not tell has nothing. */
async function listTables(dp: Switch): Promise<{ flows: ListedFlow[]; groups: ModelGroup[] }> {
  const anywhere = { out_port: OFPP.ANY, out_group: OFPG.ANY };
  const cookie = { cookie: FORWARDING_COOKIE, cookie_mask: 0xffff_ffff_ffff_ffffn };
  const flowsBody = { type: "OFPMP_FLOW", table_id: OFPTT.ALL, ...anywhere, ...cookie } as const;
  const [flows, groups] = await Promise.all([
    dp.request({ type: "OFPT_MULTIPART_REQUEST", body: flowsBody }).catch(() => undefined),
    dp.request({ type: "OFPT_MULTIPART_REQUEST", body: { type: "OFPMP_GROUP_DESC" } }).catch(() => undefined),
  ]);
  return { flows: flows?.body.entries ?? [], groups: groups?.body.entries ?? [] };
}

/** Lets the switch have its buffer back. */
const release = (message: MessageOf<"OFPT_PACKET_IN">): OfMessageInit[] =>
  message.buffer_id === OFP_NO_BUFFER ? [] : [packetOut(message)];

export const forwardingApp = defineApp({
  name: "forwarding",
  summary: "makes all switches together one loop-free switch, by shortest paths",
  settings: {
    type: "object",
    properties: {
      edgeDelayMs: {
        type: "integer",
        minimum: 0,
        maximum: 60_000,
        default: 2000,
        description: "how long a port that came up must show no link before hosts are believed to be there",
      },
      hostIdleSecs: {
        type: "integer",
        minimum: 0,
        maximum: 65_535,
        default: 300,
        description: "seconds without a packet after which a host is forgotten; 0 is never",
      },
      takeoverMs: {
        type: "integer",
        minimum: 0,
        maximum: 600_000,
        default: 10_000,
        description:
          "how long switches that come with flows of this app keep them while their links are yet to be seen; 0 makes them anew",
      },
    },
  },
  requires: ["topology"],
  create: (settings, { clock, log, app }) =>
    forwarding(app<TopologyApp>("topology")!.topology, { ...settings, clock, log }),
});
