import { OFPP, type OfMessageInit } from "@sluice/openflow-codec";
import { type Clock, VirtualClock } from "@sluice/runtime";
import {
  ARP_REQUEST,
  arp,
  ETH_TYPE,
  ethernet,
  ipv4,
  LLDP_CHASSIS_LOCAL,
  LLDP_MAC,
  LLDP_TLV,
  lldp,
  lldpId,
  readU16,
} from "@sluice/wire";
import { beforeEach, expect, test } from "vitest";
import type { App } from "../../framework/app.js";
import { FakeSwitch } from "../../testing/fake-switch.js";
import { learningSwitch } from "../learning-switch.js";
import { LldpProbes } from "./lldp-probe.js";
import { type TopologyApp, type TopologyOptions, topology } from "./topology.js";

const [A, B] = ["00:00:00:00:00:0a", "00:00:00:00:00:0b"];
const hello = (src: string): Uint8Array => ethernet({ src, eth_type: 0x88b5 }, new Uint8Array(46));

/** Switches and the cables between them: what a switch is told to send by a port arrives at the other end. */
class Cabling {
  readonly #carried = new Map<FakeSwitch, number>();
  readonly #cables: [FakeSwitch, number, FakeSwitch, number][] = [];

  plug(a: FakeSwitch, aPort: number, b: FakeSwitch, bPort: number): void {
    this.#cables.push([a, aPort, b, bPort], [b, bPort, a, aPort]);
  }

  /** Delivers the packet-outs that were sent since the last time. */
  carry(...switches: FakeSwitch[]): void {
    for (const sw of switches) {
      const fresh = sw.sent.slice(this.#carried.get(sw) ?? 0);
      this.#carried.set(sw, sw.sent.length);
      for (const message of fresh) {
        if (message.type !== "OFPT_PACKET_OUT" || message.data === undefined) continue;
        const action = message.actions?.[0];
        const out = action?.type === "OFPAT_OUTPUT" ? action.port : undefined;
        for (const [from, port, to, toPort] of this.#cables)
          if (from === sw && port === out) to.receive(toPort, message.data);
      }
    }
  }
}

let clock: VirtualClock;
let cabling: Cabling;
let app: TopologyApp;
let log: string[];
let [s1, s2]: FakeSwitch[] = [];

function start(options: TopologyOptions = {}, ...others: App[]): void {
  app = topology({ clock, ...options });
  log = [];
  const port = (p: { dpid: bigint; port_no: number }): string => `${p.dpid}:${p.port_no}`;
  const { events } = app.topology;
  events.on("switch_enter", (sw) => log.push(`enter ${sw.dpid} ports ${[...sw.ports.keys()]}`));
  events.on("switch_leave", (sw) => log.push(`leave ${sw.dpid}`));
  events.on("port_add", (p) => log.push(`port ${port(p)} added`));
  events.on("port_modify", (p) => log.push(`port ${port(p)} ${p.isUp ? "up" : "down"}`));
  events.on("link_add", ({ src, dst }) => log.push(`link ${port(src)}>${port(dst)}`));
  events.on("link_delete", ({ src, dst }) => log.push(`no link ${port(src)}>${port(dst)}`));
  events.on("host_add", (host) => log.push(`host ${host.mac} ${host.ipv4} at ${port(host.port)}`));
  events.on("host_move", (host, from) => log.push(`host ${host.mac} ${port(from)} to ${port(host.port)}`));
  events.on("host_delete", (host) => log.push(`no host ${host.mac}`));
  s1 = new FakeSwitch([app, ...others], { dpid: 1n, ports: [1, 2, OFPP.LOCAL] });
  s2 = new FakeSwitch([app, ...others], { dpid: 2n, ports: [1, 2] });
  cabling = new Cabling();
  cabling.plug(s1, 2, s2, 2);
  // Both apart have probed at once; only now both are known.
  clock.advance(options.probeMs ?? 2000);
}
const take = (): string[] => log.splice(0);

beforeEach(() => {
  clock = new VirtualClock();
  start();
});

test("switches enter with their ports, save the reserved ones, and a cable is two links", () => {
  cabling.carry(s1!, s2!);
  expect(take()).toEqual(["enter 1 ports 1,2", "enter 2 ports 1,2", "link 1:2>2:2", "link 2:2>1:2"]);
  expect(app.topology.links().map(({ src, dst }) => [src.name, dst.name])).toEqual([
    ["p2", "p2"],
    ["p2", "p2"],
  ]);
});

test("LLDP goes to the controller whatever else the table says, and is never forwarded", () => {
  expect(s1!.flows[0]).toMatchObject({ priority: 0xffff, match: { eth_type: ETH_TYPE.LLDP } });
  start({}, learningSwitch({ clock }));
  const foreign = ethernet(
    { src: A, dst: LLDP_MAC },
    lldp([lldpId(LLDP_TLV.CHASSIS_ID, LLDP_CHASSIS_LOCAL, Uint8Array.of(1))]),
  );
  expect(s1!.receive(1, foreign)).toEqual([]);
  expect(app.topology.hosts()).toEqual([]);
});

test("a link that a host makes up is not believed, nor is a probe that was changed", () => {
  const forged = new LldpProbes().build(2n, 1, A);
  s1!.receive(1, forged);
  const sent = s2!.sent.findLast((message) => message.type === "OFPT_PACKET_OUT");
  const probe = (sent as { data: Uint8Array }).data.slice();
  for (let at = 14; at < probe.length; at++) {
    const changed = probe.slice();
    changed[at]! ^= 1;
    s1!.receive(1, changed);
  }
  expect(app.topology.links()).toEqual([]);
  s1!.receive(1, probe);
  expect(app.topology.links()).toHaveLength(1);
});

test("a link on which no probe arrives any more is gone after its timeout, one that is seen stays", () => {
  cabling.carry(s1!, s2!);
  for (let i = 0; i < 10; i++) {
    clock.advance(2000);
    cabling.carry(s1!);
    s2!.sent.length = 0;
  }
  expect(app.topology.links().map(({ src }) => src.dpid)).toEqual([1n]);
  expect(take()).toContain("no link 2:2>1:2");
});

test("a port that goes down takes its links with it at once, and is probed when it is up again", () => {
  cabling.carry(s1!, s2!);
  take();
  s1!.setPort(2, false);
  expect(take()).toEqual(["no link 1:2>2:2", "no link 2:2>1:2", "port 1:2 down"]);
  s1!.setPort(2, true);
  cabling.carry(s1!);
  expect(take()).toEqual(["port 1:2 up", "link 1:2>2:2"]);
});

test("a port that comes is added", () => {
  take();
  s1!.setPort(3, true);
  expect(take()).toEqual(["port 1:3 added"]);
});

test("a switch that leaves takes links and hosts with it", () => {
  start({}, learningSwitch({ clock }));
  cabling.carry(s1!, s2!);
  s1!.receive(1, hello(A));
  take();
  s1!.reconnect();
  expect(take()).toEqual([
    "no link 1:2>2:2",
    "no link 2:2>1:2",
    `no host ${A}`,
    "leave 1",
    "enter 1 ports 1,2",
  ]);
});

test("hosts are seen at edge ports, beside an app that forwards, and move", () => {
  start({}, learningSwitch({ clock }));
  cabling.carry(s1!, s2!);
  take();
  expect(s1!.receive(1, hello(A))).toEqual([2, OFPP.LOCAL]);
  s2!.receive(2, hello(A));
  expect(take()).toEqual([`host ${A}  at 1:1`]);
  s2!.receive(1, hello(A));
  expect(take()).toEqual([`host ${A} 1:1 to 2:1`]);
});

test("a host found at a port before the link behind it was is taken back", () => {
  start({}, learningSwitch({ clock }));
  s2!.receive(2, hello(A));
  cabling.carry(s1!, s2!);
  expect(app.topology.hosts()).toEqual([]);
});

test("a host's address is what it says in ARP, not the source of what it passes on", () => {
  start({}, learningSwitch({ clock }));
  const request = arp({ op: ARP_REQUEST, sha: A, spa: "10.0.0.1", tpa: "10.0.0.2" });
  s1!.receive(1, ethernet({ src: A }, request));
  s1!.receive(1, ethernet({ src: A }, ipv4({ src: "192.0.2.9", dst: "10.0.0.2" }, new Uint8Array(20))));
  expect(app.topology.hosts()).toMatchObject([
    { mac: A, ipv4: ["10.0.0.1"], port: { dpid: 1n, port_no: 1 } },
  ]);
});

test("hosts are bounded; the one learned longest ago goes", () => {
  start({ maxHosts: 1 }, learningSwitch({ clock }));
  s1!.receive(1, hello(A));
  s1!.receive(1, hello(B));
  expect(app.topology.hosts().map(({ mac }) => mac)).toEqual([B]);
  expect(app.topology.counters.evictedHosts).toBe(1);
});

test("nothing is left running when the app is stopped", () => {
  app.stop?.();
  const before = s1!.sent.length;
  clock.advance(10_000);
  expect(s1!.sent.length).toBe(before);
});

const isBddp = (message: OfMessageInit): boolean =>
  message.type === "OFPT_PACKET_OUT" && message.data !== undefined && readU16(message.data, 12) === 0x8942;

test("a link through what forwards broadcasts only is found, and is one by cable as soon as LLDP comes that way", () => {
  const plain = s2!.sent.filter(isBddp).at(-1) as { data: Uint8Array };
  s1!.receive(2, plain.data);
  expect(app.topology.links()).toMatchObject([
    { src: { dpid: 2n, port_no: 2 }, dst: { dpid: 1n, port_no: 2 }, isDirect: false },
  ]);
  cabling.carry(s1!, s2!);
  expect(app.topology.links().map(({ isDirect }) => isDirect)).toEqual([true, true]);
  s1!.receive(2, plain.data);
  expect(app.topology.links().map(({ isDirect }) => isDirect)).toEqual([true, true]);
  // A port with a cable is not asked about networks any more.
  s2!.sent.length = 0;
  clock.advance(2000);
  const ports = s2!.sent.filter(isBddp).map((message) => "actions" in message && message.actions?.[0]);
  expect(ports).toEqual([expect.objectContaining({ port: 1 })]);
});

test("hosts behind a network that is no cable are where they were first seen, and frames that cross it move nobody", () => {
  start({}, learningSwitch({ clock }));
  s1!.receive(2, (s2!.sent.filter(isBddp).at(-1) as { data: Uint8Array }).data);
  s2!.receive(1, hello(A));
  s1!.receive(2, hello(A));
  s1!.receive(2, hello(B));
  const where = app.topology.hosts().map(({ mac, port }) => `${mac} ${port.dpid}:${port.port_no}`);
  expect(where).toEqual([`${A} 2:1`, `${B} 1:2`]);
});

test("a controller that stood still reads what has come before it gives links up", () => {
  let stoodMs = 0;
  const slow: Clock = {
    now: () => clock.now() + stoodMs,
    wallNow: () => clock.wallNow(),
    setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
    setInterval: (callback, periodMs) => clock.setInterval(callback, periodMs),
  };
  start({ clock: slow });
  cabling.carry(s1!, s2!);
  clock.advance(1900);
  stoodMs = 60_000;
  clock.advance(200);
  expect(app.topology.links()).toHaveLength(2);
  cabling.carry(s1!, s2!);
  clock.advance(2000);
  expect(app.topology.links()).toHaveLength(2);
  clock.advance(8000);
  expect(app.topology.links()).toEqual([]);
});
