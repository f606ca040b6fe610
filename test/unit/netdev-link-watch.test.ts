import { fromHex } from "@sluice/wire";
import { expect, test } from "vitest";
import { collectLinks } from "../../packages/switch/src/netdev/link-watch.js";
import {
  Packet,
  readVnetHeader,
  VNET_HDR_SIZE,
  writeVnetHeader,
} from "../../packages/switch/src/netdev/packet.js";

/** An rtnetlink message with a struct ifinfomsg for device 7, and one attribute (IFLA_MTU 1500). */
const link = (type: string) =>
  `28000000 ${type} 0000 00000000 00000000  00 00 0100 07000000 43100100 00000000  08000400 dc050000`;
const bytes = (text: string) => new DataView(fromHex(text.replaceAll(" ", "")).buffer);

test("new and deleted links are collected, other messages passed over", () => {
  const changed = new Set<number>();
  collectLinks(
    bytes(
      link("1000") +
        link("1800").replace("07000000", "09000000") +
        link("1100").replace("07000000", "08000000"),
    ),
    changed,
  );
  expect([...changed]).toEqual([7, 8]);
});

test("every proper prefix of the news, and a length that lies, end the reading quietly", () => {
  const whole = link("1000").replaceAll(" ", "");
  for (let size = 0; size < whole.length / 2; size++) {
    const changed = new Set<number>();
    collectLinks(bytes(whole.slice(0, size * 2)), changed);
    expect(changed.size).toBe(0);
  }
  const changed = new Set<number>();
  collectLinks(bytes(whole.replace("28000000", "00000000")), changed);
  collectLinks(bytes(whole.replace("28000000", "ffffffff")), changed);
  expect(changed.size).toBe(0);
});

test("a virtio_net_hdr comes back as it was read, and its offsets follow a header pushed in front", () => {
  const packet = new Packet();
  packet.reset(128, 128 + 1000);
  // Flags 1, TCPV4, hdr_len 54, gso_size 1448, csum_start 34, csum_offset 16: little endian.
  const header = fromHex("01013600a80522001000");
  packet.buffer.set(header, 128 - VNET_HDR_SIZE);
  packet.buffer[128 + 34 + 12] = 5 << 4; // TCP's data offset
  readVnetHeader(packet);
  expect(packet).toMatchObject({ gsoType: 1, gsoSize: 1448, csumStart: 162, csumOffset: 16, hdrEnd: 182 });
  writeVnetHeader(packet);
  expect(packet.buffer.subarray(118, 128)).toEqual(header);
  packet.start -= 4;
  writeVnetHeader(packet);
  expect(packet.buffer.subarray(114, 124)).toEqual(fromHex("01013a00a80526001000"));
});

test("a checksum that would lie outside the frame is not asked for", () => {
  const packet = new Packet();
  for (const header of ["01000000000022001000", "0100000000000500ff00", "0100000000000000ffff"]) {
    packet.reset(128, 128 + 50);
    packet.buffer.set(fromHex(header), 128 - VNET_HDR_SIZE);
    readVnetHeader(packet);
    expect(packet.csumStart).toBe(0);
  }
});
