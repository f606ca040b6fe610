import { expect, test } from "vitest";
import {
  GSO_ECN,
  GSO_TCPV4,
  GSO_UDP_L4,
  HEADROOM,
  Packet,
  readVnetHeader,
  VNET_HDR_SIZE,
  writeVnetHeader,
} from "./packet.js";

const L4 = 34;

/** A super-frame of two segments as a device hands it over, with what it says of the headers' length. */
function received(gsoType: number, csumOffset: number, hdrLen: number): Packet {
  const packet = new Packet();
  packet.reset(HEADROOM, HEADROOM + 2054);
  // A TCP header of 20 bytes; UDP has nothing there.
  packet.buffer[HEADROOM + L4 + 12] = 0x50;
  const header = new DataView(packet.buffer.buffer, HEADROOM - VNET_HDR_SIZE);
  header.setUint8(0, 1);
  header.setUint8(1, gsoType);
  header.setUint16(2, hdrLen, true);
  header.setUint16(4, 1000, true);
  header.setUint16(6, L4, true);
  header.setUint16(8, csumOffset, true);
  readVnetHeader(packet);
  return packet;
}

test.each([
  ["TCP", GSO_TCPV4, 16, 54],
  ["TCP with ECN", GSO_TCPV4 | GSO_ECN, 16, 54],
  ["UDP", GSO_UDP_L4, 6, 42],
] as const)(
  "a super-frame's headers (%s) end where they do, whatever hdr_len says",
  (_, gsoType, csumOffset, size) => {
    // All of it is what is said of a frame that lies in one piece.
    for (const hdrLen of [2054, size, 14]) {
      const packet = received(gsoType, csumOffset, hdrLen);
      expect(packet.hdrEnd - packet.start).toBe(size);
      writeVnetHeader(packet);
      const header = new DataView(packet.buffer.buffer, HEADROOM - VNET_HDR_SIZE);
      expect([header.getUint8(1), header.getUint16(2, true)]).toEqual([gsoType, size]);
    }
  },
);
