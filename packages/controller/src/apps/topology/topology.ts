// Hot path: `onPacketIn` runs for each packet-in.
import { type MessageOf, OFP_NO_BUFFER, OFPP, type OfMessageInit } from "@sluice/openflow-codec";
import { type Clock, type Log, nullLog, realClock, type Timer } from "@sluice/runtime";
import { defineApp } from "../../composition/definition.js";
import type { App, Switch } from "../../framework/app.js";
import { addFlow, output, packetOut } from "../../framework/messages.js";
import { isMulticast, readFrameHead } from "../frame.js";
import { watchFlapping } from "./flapping.js";
import { hostAddresses } from "./host-addresses.js";
import { ETH_BDDP, LldpProbes, type ProbeKind, type ProbeOrigin } from "./lldp-probe.js";
import { Topology, type TopologyLimits, type TopologyPort } from "./model.js";

export interface TopologyOptions extends TopologyLimits {
  /** Between two probes of a port. 2 s unless given. */
  probeMs?: number | undefined;
  /** A link on which no probe arrived for so long is gone. Three and a half times `probeMs` unless given. */
  linkTimeoutMs?: number | undefined;
  /** Find links through what does not speak OpenFlow, too, by broadcasts (BDDP) from every port that has no cable to
   *  another switch. Done unless false. */
  bddp?: boolean | undefined;
  /** Signs the probes. Chance, unless given. */
  key?: Uint8Array;
  clock?: Clock;
  log?: Log;
}

export interface TopologyApp extends App {
  readonly topology: Topology;
}

/** Tells the flows of this app from others ("lldp" in ASCII). */
export const LLDP_COOKIE = 0x6c6c6470n;
const ETH_LLDP = 0x88cc;
/** The switches are probed in so many groups, one after the other: thousands of probes at once would keep everything else
 *  waiting. */
const SLICES = 20;
type PacketIn = MessageOf<"OFPT_PACKET_IN">;

/** Finds links by LLDP and BDDP, hosts by what they send. It stands before apps that forward, which would not pass packets on: it
 *  takes both (which so are never forwarded), looks at the rest and leaves it to them. */
export function topology(options: TopologyOptions = {}): TopologyApp {
  const { clock = realClock, probeMs = 2000, bddp = true, log = nullLog } = options;
  const { linkTimeoutMs = 3.5 * probeMs } = options;
  const model = new Topology(options);
  watchFlapping(model, clock, log);
  const probes = new LldpProbes(options.key);
  const connected = new Map<bigint, Switch>();
  let timer: Timer | undefined;

  const sendProbe = (port: TopologyPort, kind: ProbeKind): void => {
    connected.get(port.dpid)?.send({
      type: "OFPT_PACKET_OUT",
      buffer_id: OFP_NO_BUFFER,
      in_port: OFPP.CONTROLLER,
      actions: [output(port.port_no)],
      data: probes.of(port, kind),
    });
  };
  const probe = (port: TopologyPort): void => {
    if (!port.isUp) return;
    sendProbe(port, "lldp");
    if (bddp && model.linksAt(port.dpid, port.port_no) !== "direct") sendProbe(port, "bddp");
  };
  const findPort = (dpid: bigint, port_no: number): TopologyPort | undefined => model.port(dpid, port_no);
  const probeSwitch = (dpid: bigint): void => model.switches.get(dpid)?.ports.forEach(probe);
  let slice = 0;
  let turnedAt = 0;
  let patientUntil = 0;
  const turn = (): void => {
    const now = clock.now();
    // After a standstill of our own, what has arrived meanwhile is yet to be read.
    if (now - turnedAt > probeMs) patientUntil = now + probeMs;
    turnedAt = now;
    slice = (slice + 1) % SLICES;
    if (slice === 0 && now >= patientUntil) model.expireLinks(now - linkTimeoutMs);
    let place = 0;
    for (const dpid of connected.keys()) if (place++ % SLICES === slice) probeSwitch(dpid);
  };
  const stop = (): void => {
    timer?.cancel();
    timer = undefined;
  };

  /** The other direction is asked for at once: what was sent that way may have come before the far switch was up. */
  const onProbe = (origin: ProbeOrigin, here: TopologyPort): void => {
    const isNew = model.seeLink(origin, here, clock.now(), origin.isDirect);
    if (isNew && !model.hasLink(here, origin)) sendProbe(here, origin.isDirect ? "lldp" : "bddp");
  };

  const onPacketIn = (dp: Switch, message: PacketIn): OfMessageInit[] | undefined => {
    const head = readFrameHead(message.data);
    const { in_port } = message.match;
    if (head === undefined || in_port === undefined) return undefined;
    if (head.ethType === ETH_LLDP || head.ethType === ETH_BDDP) {
      const origin = probes.read(message.data, findPort);
      const here = model.port(dp.dpid, in_port);
      if (origin && here) onProbe(origin, here);
      return message.buffer_id === OFP_NO_BUFFER ? [] : [packetOut(message)];
    }
    if (!isMulticast(head.src)) {
      model.seeHost(dp.dpid, in_port, head.src, hostAddresses(head, message.data));
    }
    return undefined;
  };

  return {
    name: "topology",
    topology: model,
    events: {
      datapath_up: (dp) => {
        connected.set(dp.dpid, dp);
        model.enterSwitch(dp.dpid, dp.ports.values());
        if (timer === undefined) {
          turnedAt = clock.now();
          timer = clock.setInterval(turn, probeMs / SLICES);
        }
        // Above every other flow: a switch that floods would carry probes across, and show links that are not there.
        for (const eth_type of bddp ? [ETH_LLDP, ETH_BDDP] : [ETH_LLDP])
          dp.send(
            addFlow({ cookie: LLDP_COOKIE, priority: 0xffff, match: { eth_type } }, output(OFPP.CONTROLLER)),
          );
        probeSwitch(dp.dpid);
      },
      datapath_down: (dp) => {
        connected.delete(dp.dpid);
        model.leaveSwitch(dp.dpid);
        if (connected.size === 0) stop();
      },
      port_status: (dp, { desc, reason }) => {
        model.changePort(dp.dpid, desc, reason === "OFPPR_DELETE");
        const port = model.switches.get(dp.dpid)?.ports.get(desc.port_no);
        if (port) probe(port);
      },
      packet_in: onPacketIn,
    },
    stop,
  };
}

export const topologyApp = defineApp({
  name: "topology",
  summary: "finds links by LLDP and BDDP, and hosts; to stand before the others",
  settings: {
    type: "object",
    properties: {
      probeMs: { type: "integer", minimum: 10, description: "milliseconds between two probes of a port" },
      linkTimeoutMs: {
        type: "integer",
        minimum: 10,
        description: "milliseconds without a probe after which a link is gone",
      },
      bddp: {
        type: "boolean",
        default: true,
        description: "find links through networks that do not speak OpenFlow, too",
      },
    },
  },
  create: (settings, { clock, random, log }) => topology({ ...settings, clock, log, key: random(16) }),
});
