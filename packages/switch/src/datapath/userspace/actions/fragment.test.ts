import type { Clock } from "@sluice/runtime";
import { ethernet, ipv4, ipv6, toHex, udp } from "@sluice/wire";
import { expect, test } from "vitest";
import { extract, Layers } from "../../../flow/extract.js";
import { newFlowKey } from "../../../flow/flow-key.js";
import { DummyHub } from "../../../netdev/dummy.js";
import { Packet } from "../../../netdev/packet.js";
import { cableRig, output, quiet, type Rig, TestBench } from "../../../ofproto/bench.testkit.js";
import { Reassembler } from "../../../ofproto/reassembly.js";
import { OFPC_FRAG } from "../../../ofproto/xlate/reserved.js";
import { createUserspaceDpif } from "../dpif.js";
import { forEachFragment } from "./fragment.js";

function userspaceRig(clock: Clock): Rig {
  const dummies = new DummyHub();
  return cableRig(createUserspaceDpif({ clock, log: quiet, host: "inline", dummies }), dummies);
}

const data = Uint8Array.from({ length: 4000 }, (_, i) => i * 7);
const eth = { src: "00:00:00:00:00:01", dst: "00:00:00:00:00:02", vlans: [{ vid: 5 }] };
const ports = { src_port: 1, dst_port: 2 };
const FRAMES = {
  IPv4: ethernet(eth, ipv4({ src: "10.0.0.1", dst: "10.0.0.2" }, udp(ports, data))),
  IPv6: ethernet(eth, ipv6({ src: "fd00::1", dst: "fd00::2" }, udp(ports, data))),
};

function fragments(frame: Uint8Array, mtu: number): Uint8Array[] | undefined {
  const packet = new Packet();
  packet.load(frame);
  const layers = new Layers();
  extract(packet.buffer, packet.start, packet.end, newFlowKey(), layers);
  const all: Uint8Array[] = [];
  const isCut = forEachFragment(packet, layers, mtu, new Packet(), (one) => all.push(one.frame().slice()));
  return isCut ? all : undefined;
}

test.each(Object.entries(FRAMES))(
  "fragments of an %s datagram keep to the MTU and make it again",
  (_, frame) => {
    for (const mtu of [576, 1500, 1501, 4000]) {
      const all = fragments(frame, mtu)!;
      expect(all.length).toBeGreaterThan(1);
      for (const one of all) expect(one.length - 18).toBeLessThanOrEqual(mtu);
      const reassembler = new Reassembler();
      const whole = all.map((one) => reassembler.push("", one, 0)).at(-1)!;
      expect(toHex(whole)).toBe(toHex(frame));
    }
  },
);

test("a datagram that forbids it, one under a label, and an MTU without room, are not cut", () => {
  const forbidding = FRAMES.IPv4.slice();
  forbidding[18 + 6] = 0x40;
  expect(fragments(forbidding, 1500)).toBeUndefined();
  expect(fragments(FRAMES.IPv4, 24)).toBeUndefined();
  const labelled = new Uint8Array([
    ...FRAMES.IPv4.subarray(0, 18),
    0,
    0,
    0x71,
    64,
    ...FRAMES.IPv4.subarray(18),
  ]);
  labelled.set([0x88, 0x47], 16);
  expect(fragments(labelled, 1500)).toBeUndefined();
});

test.each(Object.entries(FRAMES))(
  "an %s datagram that was put together leaves in fragments again",
  async (_, frame) => {
    const bench = await TestBench.over(userspaceRig, 2);
    bench.bridge.setConfig({ flags: OFPC_FRAG.REASM });
    const eth_type = frame === FRAMES.IPv4 ? 0x0800 : 0x86dd;
    bench.flow({ eth_type, ip_proto: 17, udp_dst: 2 }, [output(2)]);
    const reassembler = new Reassembler();
    let whole: Uint8Array | undefined;
    for (const one of fragments(frame, 1400)!)
      for (const { port, frame } of await bench.forward("p1", one)) {
        expect(port).toBe("p2");
        expect(frame.length - 18).toBeLessThanOrEqual(1500);
        whole = reassembler.push("", frame, 0);
      }
    expect(toHex(whole!)).toBe(toHex(frame));
    expect(await bench.dpif.counters()).toMatchObject({ fragmented: 3, drop_oversize: 0 });
  },
);
