// Hot path.
/** What a learning switch looks at in a frame. */
export interface FrameHead {
  /** Addresses as 48-bit numbers. */
  readonly dst: number;
  readonly src: number;
  /** 0 to 4095; -1 where there is no tag. */
  readonly vlan: number;
  /** Of the payload, behind the tag. */
  readonly ethType: number;
}

const ETH_VLAN = 0x8100;
const ETH_QINQ = 0x88a8;
const ETH_LLDP = 0x88cc;
const MULTICAST = 2 ** 40;
/** 01:80:c2:00:00:00 to :0f, which IEEE 802.1D bridges do not forward. */
const RESERVED = 0x0180c2000000;

const mac = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 8) | bytes[at + 1]!) * 0x1_0000_0000 +
  (((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>> 0);

/** The head of an Ethernet frame; undefined when the frame is too short to have one. */
export function readFrameHead(frame: Uint8Array): FrameHead | undefined {
  if (frame.length < 14) return undefined;
  const dst = mac(frame, 0);
  const src = mac(frame, 6);
  const ethType = (frame[12]! << 8) | frame[13]!;
  const isTagged = (ethType === ETH_VLAN || ethType === ETH_QINQ) && frame.length >= 18;
  if (!isTagged) return { dst, src, vlan: -1, ethType };
  return { dst, src, vlan: ((frame[14]! & 0x0f) << 8) | frame[15]!, ethType: (frame[16]! << 8) | frame[17]! };
}

export const isMulticast = (address: number): boolean => Math.floor(address / MULTICAST) % 2 === 1;

/** Frames between neighbours only: LLDP, spanning tree and their like. */
export const isLinkLocal = (head: FrameHead): boolean =>
  head.ethType === ETH_LLDP || (head.dst >= RESERVED && head.dst <= RESERVED + 0x0f);
