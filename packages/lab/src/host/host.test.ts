import { VirtualClock } from "@sluice/runtime";
import {
  ARP_REPLY,
  ARP_REQUEST,
  arp,
  ethernet,
  type Frame,
  frame,
  ICMPV4,
  icmpv4,
  ipv4,
  parseFrame,
  udp,
} from "@sluice/wire";
import { describe, expect, test } from "vitest";
import { Link } from "../link.js";
import { seededRandom } from "../random.js";
import { Host } from "./host.js";
import { formatProbe } from "./probe.js";
import { respond } from "./respond.js";

const h1 = { mac: "00:00:00:00:00:01", ip: "10.0.0.1" };
const h2 = { mac: "00:00:00:00:00:02", ip: "10.0.0.2" };
const data = Uint8Array.of(1, 2, 3);

describe("respond", () => {
  test("an ARP request for the host's address is answered to the one who asks", () => {
    const asked = frame({ src: h1.mac }, arp({ op: ARP_REQUEST, sha: h1.mac, spa: h1.ip, tpa: h2.ip }));
    const answer = arp({ op: ARP_REPLY, sha: h2.mac, spa: h2.ip, tha: h1.mac, tpa: h1.ip });
    expect(respond(h2, asked)).toEqual(frame({ src: h2.mac, dst: h1.mac }, answer));
    expect(respond(h1, asked)).toBeUndefined();
  });

  test("an ICMP echo is answered with the same id, sequence number and data", () => {
    const asked = icmpv4({ type: ICMPV4.ECHO_REQUEST, id: 5, seq: 6 }, data);
    const received = frame({ src: h1.mac, dst: h2.mac }, ipv4({ src: h1.ip, dst: h2.ip }, asked));
    expect(respond(h2, received)?.payload).toMatchObject({
      src: h2.ip,
      dst: h1.ip,
      payload: { type: ICMPV4.ECHO_REPLY, id: 5, seq: 6, payload: data },
    });
  });

  test("a UDP echo is answered, but never to another echo port", () => {
    const from = (src_port: number) =>
      frame(
        { src: h1.mac, dst: h2.mac },
        ipv4({ src: h1.ip, dst: h2.ip }, udp({ src_port, dst_port: 7 }, data)),
      );
    expect(respond(h2, from(1000))?.payload).toMatchObject({
      payload: { src_port: 7, dst_port: 1000, payload: data },
    });
    expect(respond(h2, from(7))).toBeUndefined();
  });
});

describe("a host", () => {
  function pair(options: { latencyMs?: number; loss?: number } = {}) {
    const clock = new VirtualClock();
    const a = new Host({ name: "h1", ...h1, clock });
    const b = new Host({ name: "h2", ...h2, clock });
    const frames: Frame[] = [];
    const tap = ({ frame: bytes }: { frame: Uint8Array }) => frames.push(parseFrame(bytes) as Frame);
    const link = new Link(a, b, { clock, random: seededRandom(1), tap, ...options });
    return { clock, a, b, link, frames };
  }

  test("pings another after ARP; the time is that of the link", async () => {
    const { clock, a, b, frames } = pair({ latencyMs: 5 });
    const result = a.ping(h2.ip, { count: 3 });
    clock.advance(5000);
    // The first waits for ARP: two crossings more.
    expect(await result).toEqual({ sent: 3, received: 3, rttMs: [20, 10, 10] });
    expect(formatProbe(await result)).toBe("3 sent, 3 received, rtt min/avg/max 10.00/13.33/20.00 ms");
    expect(frames.filter((one) => one.eth_type === 0x0806).length).toBe(2);
    expect(b.counters).toMatchObject({ received: 4, sent: 4, bad: 0, ignored: 0 });
  });

  test("exchanges UDP echoes", async () => {
    const { clock, a } = pair();
    const result = a.udpEcho(h2.ip, { count: 2, size: 1000 });
    clock.advance(5000);
    expect((await result).received).toBe(2);
  });

  test("gives each probe up after its timeout, and asks three times for an address that nobody has", async () => {
    const { clock, a, frames } = pair();
    const result = a.ping("10.0.0.99", { count: 2, timeoutMs: 100 });
    clock.advance(10_000);
    expect(await result).toEqual({ sent: 2, received: 0, rttMs: [] });
    expect(formatProbe(await result)).toBe("2 sent, none received");
    expect(frames.length).toBe(3);
  });

  test("asks again for a neighbour that it has forgotten", async () => {
    const { clock, a, frames } = pair();
    for (let round = 1; round <= 2; round++) {
      const result = a.ping(h2.ip);
      clock.advance(2000);
      expect((await result).received).toBe(1);
      a.flushNeighbors();
    }
    expect(frames.filter((one) => one.eth_type === 0x0806).length).toBe(4);
  });

  test("drops and counts a packet with a wrong checksum, and one that is cut short", () => {
    const { a } = pair();
    const echo = ipv4({ src: h2.ip, dst: h1.ip }, icmpv4({ type: ICMPV4.ECHO_REQUEST, checksum: 1 }, data));
    const bytes = ethernet({ src: h2.mac, dst: h1.mac }, echo);
    a.receive(bytes);
    a.receive(bytes.slice(0, 30));
    a.receive(bytes.slice(0, 10));
    expect(a.counters).toMatchObject({ bad: 3, sent: 0 });
  });

  test("does not take frames for another, nor tagged ones", () => {
    const { a } = pair();
    const echo = ipv4({ src: h2.ip, dst: h1.ip }, icmpv4({ type: ICMPV4.ECHO_REQUEST }));
    a.receive(ethernet({ src: h2.mac, dst: "00:00:00:00:00:33" }, echo));
    a.receive(ethernet({ src: h2.mac, dst: h1.mac, vlans: [{ vid: 5 }] }, echo));
    expect(a.counters).toMatchObject({ ignored: 2, sent: 0 });
  });

  test("a cut link loses what is under way and what is sent, until it is mended", async () => {
    const { clock, a, link } = pair({ latencyMs: 50 });
    const result = a.ping(h2.ip, { count: 3, timeoutMs: 500 });
    clock.advance(1020);
    link.cut();
    clock.advance(900);
    link.mend();
    clock.advance(2000);
    expect(await result).toMatchObject({ sent: 3, received: 2 });
    expect(link.counters).toMatchObject({ cut: 1, lost: 0 });
  });
});
