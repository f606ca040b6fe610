import {
  type MessageInitOf,
  type MessageOf,
  OFP_NO_BUFFER,
  OFPP,
  type OfMessageInit,
} from "@sluice/openflow-codec";
import { VirtualClock } from "@sluice/runtime";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arp,
  ethernet,
  type Frame,
  ICMPV6,
  icmpv4,
  icmpv6,
  ipv4,
  ipv6,
  ND_OPTION,
  neighbor,
  parseFrame,
  parseMac,
  udp,
} from "@sluice/wire";
import { beforeEach, describe, expect, test } from "vitest";
import { VlanRouter } from "./vlan-router.js";

const ROUTER = "06:00:00:00:00:01";
const [H1, H2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
const VLAN = [{ vid: 2 }];
const COOKIE = 0x5274_0002_0000_0000n;

let clock: VirtualClock;
let sent: OfMessageInit[];
let router: VlanRouter;
let warnings: string[];
beforeEach(() => {
  clock = new VirtualClock();
  sent = [];
  warnings = [];
  router = new VlanRouter({
    side: { vlan: 2, mac: ROUTER, cookie: COOKIE },
    clock,
    send: (message) => sent.push(message),
    log: (text) => warnings.push(text),
  });
  for (const address of ["10.0.1.1/24", "10.0.2.1/24", "2001:db8:1::1/64"]) router.addAddress(address);
});

const packetIn = (
  in_port: number,
  data: Uint8Array,
  reason = "OFPR_ACTION",
): MessageOf<"OFPT_PACKET_IN"> => ({
  ...{ type: "OFPT_PACKET_IN", xid: 0, buffer_id: OFP_NO_BUFFER, total_len: data.length, table_id: 0 },
  ...{ cookie: COOKIE, reason: reason as "OFPR_ACTION", match: { in_port }, data },
});
const hear = (in_port: number, data: Uint8Array, reason?: string): OfMessageInit[] =>
  router.packetIn(packetIn(in_port, data, reason));
const outs = (messages: readonly OfMessageInit[]): { port: unknown; frame: Frame }[] =>
  messages
    .filter((message): message is MessageInitOf<"OFPT_PACKET_OUT"> => message.type === "OFPT_PACKET_OUT")
    .map(({ actions = [], data = new Uint8Array() }) => ({
      port: (actions.at(-1) as { port: number }).port,
      frame: parseFrame(data) as Frame,
    }));
const flows = (messages: readonly OfMessageInit[]) =>
  messages.filter((message): message is MessageInitOf<"OFPT_FLOW_MOD"> => message.type === "OFPT_FLOW_MOD");

const ask = (sha: string, spa: string, tpa: string): Uint8Array =>
  ethernet({ src: sha, vlans: VLAN }, arp({ op: ARP_REQUEST, sha, spa, tpa }));
const answer = (sha: string, spa: string, tpa: string): Uint8Array =>
  ethernet({ src: sha, dst: ROUTER, vlans: VLAN }, arp({ op: ARP_REPLY, sha, spa, tha: ROUTER, tpa }));
const packet = (dst: string, src = "10.0.1.10", ttl = 64): Uint8Array =>
  ethernet(
    { src: H1, dst: ROUTER, vlans: VLAN },
    ipv4({ src, dst, ttl }, udp({ src_port: 1, dst_port: 2 }, new Uint8Array(20))),
  );

test("who asks for the router is answered in its VLAN, and is known from then on", () => {
  const messages = hear(1, ask(H1, "10.0.1.10", "10.0.1.1"));
  expect(outs(messages)).toMatchObject([
    {
      port: 1,
      frame: {
        ...{ src: ROUTER, dst: H1, vlans: VLAN },
        payload: { kind: "arp", op: ARP_REPLY, sha: ROUTER, spa: "10.0.1.1", tha: H1, tpa: "10.0.1.10" },
      },
    },
  ]);
  const [forth, back] = flows(messages);
  expect(forth).toMatchObject({
    match: { vlan_vid: 0x1002, eth_dst: ROUTER, eth_type: 0x800, ipv4_dst: "10.0.1.10" },
    idle_timeout: 1800,
  });
  // By the port that it came by, a packet goes only where the flow says so by name.
  expect(back).toMatchObject({
    priority: forth!.priority! + 1,
    match: { in_port: 1, ipv4_dst: "10.0.1.10" },
    instructions: [{ actions: [{}, {}, {}, { port: OFPP.IN_PORT }] }],
  });
});

describe("a packet for a host that is not known", () => {
  test("waits while the host is asked for, and then goes out", () => {
    expect(hear(1, packet("10.0.2.20"))).toEqual([]);
    expect(outs(sent)).toMatchObject([
      {
        port: OFPP.FLOOD,
        frame: { vlans: VLAN, payload: { op: ARP_REQUEST, spa: "10.0.2.1", tpa: "10.0.2.20" } },
      },
    ]);
    const messages = hear(2, answer(H2, "10.0.2.20", "10.0.2.1"));
    expect(flows(messages)).toHaveLength(2);
    expect(messages.at(-1)).toMatchObject({
      type: "OFPT_PACKET_OUT",
      in_port: 1,
      actions: [
        { type: "OFPAT_DEC_NW_TTL" },
        { field: { eth_src: ROUTER } },
        { field: { eth_dst: H2 } },
        { port: 2 },
      ],
    });
  });

  test("is asked for three times, and then its sender is told", () => {
    hear(1, packet("10.0.2.20"));
    hear(1, packet("10.0.2.20"));
    clock.advance(2_999);
    expect(sent).toHaveLength(3);
    clock.advance(1);
    expect(outs(sent.slice(3))).toMatchObject(
      Array(2).fill({
        port: 1,
        frame: { dst: H1, payload: { src: "10.0.1.1", dst: "10.0.1.10", payload: { type: 3, code: 1 } } },
      }),
    );
  });

  test("is one of 16 at most", () => {
    for (let i = 0; i < 20; i++) hear(1, packet("10.0.2.20"));
    const messages = hear(2, answer(H2, "10.0.2.20", "10.0.2.1"));
    expect(outs(messages)).toHaveLength(16);
  });
});

describe("errors", () => {
  const errorsOf = (messages: readonly OfMessageInit[]) =>
    outs(messages).map(({ frame }) => (frame.payload as { payload: { type: number; code: number } }).payload);

  test("tell of no route and of no hops left, from the address that the sender has its router by", () => {
    expect(outs(hear(1, packet("9.9.9.9")))).toMatchObject([
      { frame: { payload: { src: "10.0.1.1", payload: { type: 3, code: 0 } } } },
    ]);
    expect(errorsOf(hear(1, packet("10.0.2.20", "10.0.1.10", 1), "OFPR_INVALID_TTL"))).toMatchObject([
      { type: 11, code: 0 },
    ]);
  });

  test("are no answer to errors, fragments, broadcasts", () => {
    const to = (layer: Parameters<typeof ethernet>[1], dst = ROUTER) =>
      hear(1, ethernet({ src: H1, dst, vlans: VLAN }, layer));
    const head = { src: "10.0.1.10", dst: "9.9.9.9" };
    expect(to(ipv4(head, icmpv4({ type: 3 })))).toEqual([]);
    expect(to(ipv4({ ...head, frag_offset: 1 }, new Uint8Array(8)))).toEqual([]);
    expect(to(ipv4({ ...head, src: "0.0.0.0" }, icmpv4({ type: 8 })))).toEqual([]);
    expect(to(ipv4({ ...head, dst: "10.0.2.255" }, icmpv4({ type: 8 })))).toEqual([]);
    expect(to(ipv4(head, icmpv4({ type: 8 })), H2)).toEqual([]);
  });

  test("are 100 a second at most", () => {
    const told = () => Array.from({ length: 150 }, () => hear(1, packet("9.9.9.9"))).flat().length;
    expect(told()).toBe(100);
    clock.advance(1000);
    expect(told()).toBe(100);
  });
});

test("of IPv6, neighbours are heard only from the same link", () => {
  const solicit = (hop_limit: number): Uint8Array => {
    const options = [{ type: ND_OPTION.SOURCE_LINK_ADDRESS, data: parseMac(H1) }];
    const message = icmpv6(
      { type: ICMPV6.NEIGHBOR_SOLICITATION },
      neighbor({ target: "2001:db8:1::1", options }),
    );
    return ethernet(
      { src: H1, dst: "33:33:ff:00:00:01", vlans: VLAN },
      ipv6({ src: "2001:db8:1::10", dst: "ff02::1:ff00:1", hop_limit }, message),
    );
  };
  expect(hear(1, solicit(64))).toEqual([]);
  const messages = hear(1, solicit(255));
  expect(flows(messages)[0]).toMatchObject({ match: { eth_type: 0x86dd, ipv6_dst: "2001:db8:1::10" } });
  expect(outs(messages)).toMatchObject([
    {
      frame: {
        dst: H1,
        payload: {
          dst: "2001:db8:1::10",
          hop_limit: 255,
          payload: { type: ICMPV6.NEIGHBOR_ADVERTISEMENT, body: { target: "2001:db8:1::1" } },
        },
      },
    },
  ]);
});

test("another who has the router's address is warned of, and changes nothing", () => {
  expect(hear(1, ask(H2, "10.0.1.1", "10.0.1.10"))).toEqual([]);
  expect(warnings).toEqual([`the router's address 10.0.1.1 is used by ${H2}, too`]);
});

test("a route goes to its gateway once that is found, and to the controller when its port is gone", () => {
  const { messages } = router.addRoute(undefined, "10.0.2.254");
  expect(flows(messages)).toMatchObject([{ instructions: [{ actions: [{ port: OFPP.CONTROLLER }] }] }]);
  router.findGateways();
  expect(outs(sent)).toMatchObject([{ frame: { payload: { tpa: "10.0.2.254" } } }]);
  const routed = flows(hear(2, answer(H2, "10.0.2.254", "10.0.2.1")));
  expect(routed.filter(({ idle_timeout }) => idle_timeout)).toEqual([]);
  expect(routed.at(-2)).toMatchObject({ priority: flows(messages)[0]!.priority, match: { eth_dst: ROUTER } });
  const gone = flows(router.portDown(2));
  expect(gone.filter(({ command }) => command === "OFPFC_DELETE_STRICT")).toHaveLength(3);
  expect(gone.filter(({ command }) => command === "OFPFC_ADD")).toMatchObject([
    { instructions: [{ actions: [{ port: OFPP.CONTROLLER }] }] },
  ]);
});
