import type { Deliver, Socket } from "./link.js";

/** A switch that speaks no OpenFlow: it repeats every frame to all its other ports, as one that knows no address yet, and
 *  keeps those to itself that bridges do not forward (01:80:c2:00:00:00 to :0f, IEEE 802.1D §7.12.6). */
export function plainSwitch(ports: number): Socket[] {
  const out: (Deliver | undefined)[] = [];
  return Array.from({ length: ports }, (_, port) => ({
    plug: (send) => {
      out[port] = send;
    },
    receive: (frame) => {
      if (isLinkLocal(frame)) return;
      for (const [other, send] of out.entries()) if (other !== port) send?.(frame);
    },
  }));
}

const LINK_LOCAL = [0x01, 0x80, 0xc2, 0x00, 0x00];
const isLinkLocal = (frame: Uint8Array): boolean =>
  LINK_LOCAL.every((byte, i) => frame[i] === byte) && frame[5]! <= 0x0f;
