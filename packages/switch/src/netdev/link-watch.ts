import { deviceError, EAGAIN, EINTR, type Libc } from "./libc.js";

/** Tells when network devices change, by rtnetlink (rtnetlink(7)): which, not what; that is asked of the device. */

const AF_NETLINK = 16;
const SOCK_RAW = 3 | 0x800 | 0x80000;
const NETLINK_ROUTE = 0;
const RTMGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const NLMSG_HEADER = 16;
const IFINFO_INDEX = 4;
const BUFFER_SIZE = 64 << 10;

export class LinkWatch {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #buffer = new ArrayBuffer(BUFFER_SIZE);
  readonly #address: number;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.fd = libc.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    // struct sockaddr_nl: family, pad, pid, groups.
    const address = new DataView(new ArrayBuffer(12));
    address.setUint16(0, AF_NETLINK, true);
    address.setUint32(8, RTMGRP_LINK, true);
    if (this.fd < 0 || libc.bind(this.fd, new Uint8Array(address.buffer), 12) < 0) {
      throw deviceError("rtnetlink", "cannot be opened", libc.errno(), "network access");
    }
    this.#address = libc.addressOf(this.#buffer);
  }

  /** Reads what has come. Gives the numbers of the devices that changed; undefined: some may have been missed, so
   *  look at all. */
  read(): Set<number> | undefined {
    const changed = new Set<number>();
    for (;;) {
      const size = this.#libc.read(this.fd, this.#address, BUFFER_SIZE);
      if (size < 0) {
        // ENOBUFS: more came than the socket could hold.
        const errno = this.#libc.errno();
        return errno === EAGAIN || errno === EINTR ? changed : undefined;
      }
      collectLinks(new DataView(this.#buffer, 0, size), changed);
    }
  }

  close(): void {
    this.#libc.close(this.fd);
  }
}

/** Adds the device numbers of RTM_NEWLINK and RTM_DELLINK messages (struct nlmsghdr, struct ifinfomsg). */
export function collectLinks(messages: DataView, changed: Set<number>): void {
  let at = 0;
  while (messages.byteLength - at >= NLMSG_HEADER) {
    const length = messages.getUint32(at, true);
    if (length < NLMSG_HEADER || length > messages.byteLength - at) return;
    const type = messages.getUint16(at + 4, true);
    const index = at + NLMSG_HEADER + IFINFO_INDEX;
    if ((type === RTM_NEWLINK || type === RTM_DELLINK) && index + 4 <= at + length) {
      changed.add(messages.getInt32(index, true));
    }
    at += (length + 3) & ~3;
  }
}
