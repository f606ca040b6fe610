import { VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { N_BUFFERS, PacketBuffers } from "./packet-buffers.js";

const packet = (n: number): Uint8Array => new Uint8Array([n & 0xff]);

test("a buffered packet is taken once: again is OFPBRC_BUFFER_EMPTY, a stranger OFPBRC_BUFFER_UNKNOWN", () => {
  const buffers = new PacketBuffers(new VirtualClock());
  const id = buffers.store(packet(1), 3)!;
  expect(buffers.take(id)).toEqual({ packet: packet(1), in_port: 3 });
  expect(buffers.take(id)).toBe("OFPBRC_BUFFER_EMPTY");
  expect(buffers.take(id + 1)).toBe("OFPBRC_BUFFER_UNKNOWN");
  expect(buffers.take(0xfffffffe)).toBe("OFPBRC_BUFFER_UNKNOWN");
});

test("when all are in use no packet is overwritten until the controller had its time", () => {
  const clock = new VirtualClock();
  const buffers = new PacketBuffers(clock);
  const ids = Array.from({ length: N_BUFFERS }, (_, n) => buffers.store(packet(n), 1)!);
  expect(new Set(ids).size).toBe(N_BUFFERS);
  expect(buffers.store(packet(0), 1)).toBeUndefined();
  expect(buffers.counters.full).toBe(1);
  clock.advance(5_000);
  const later = buffers.store(packet(9), 2)!;
  expect(later).not.toBe(ids[0]);
  expect(buffers.take(ids[0]!)).toBe("OFPBRC_BUFFER_UNKNOWN");
  expect(buffers.take(later)).toEqual({ packet: packet(9), in_port: 2 });
});
