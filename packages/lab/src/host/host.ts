import type { Clock } from "@sluice/runtime";
import {
  ARP_REQUEST,
  type Arp,
  arp,
  encodeFrame,
  ethernet,
  type Frame,
  type IpPayload,
  type Ipv4,
  ipv4,
  isMulticastMac,
  parseFrame,
} from "@sluice/wire";
import type { Deliver, Socket } from "../link.js";
import { NeighborTable } from "./neighbors.js";
import { icmpProbe, type ProbeKind, type ProbeOptions, type ProbeResult, Prober, udpProbe } from "./probe.js";
import { type HostAddress, respond } from "./respond.js";

export interface HostOptions extends HostAddress {
  name: string;
  clock: Clock;
}

/** A simulated host: answers ARP, ICMP echo and UDP echo, and asks them of others. Frames in by `receive`,
 *  frames out by the `plug`; time only from the clock. */
export class Host implements Socket {
  readonly name: string;
  readonly mac: string;
  readonly ip: string;
  /** `ignored`: for somebody else, or nothing that this host speaks; `bad`: unreadable or a wrong checksum;
   *  `unplugged`: sent without a cable. */
  readonly counters = { received: 0, sent: 0, ignored: 0, bad: 0, unplugged: 0 };
  readonly #neighbors: NeighborTable;
  readonly #prober: Prober;
  #send: Deliver | undefined;

  constructor(options: HostOptions) {
    const { name, mac, ip, clock } = options;
    this.name = name;
    this.mac = mac;
    this.ip = ip;
    this.#neighbors = new NeighborTable({
      clock,
      ask: (target) => this.#ask(target),
      flush: (target, waiting) => {
        for (const payload of waiting) this.send(target, payload);
      },
    });
    this.#prober = new Prober({ clock, send: (dst, payload) => this.send(dst, payload) });
  }

  /** Sends ICMP echo requests and waits for the answers. Resolves when each has one or is given up. */
  ping(ip: string, options?: ProbeOptions): Promise<ProbeResult> {
    return this.#prober.run(icmpProbe, ip, options);
  }

  /** The same with datagrams to the UDP echo port. */
  udpEcho(ip: string, options?: ProbeOptions): Promise<ProbeResult> {
    return this.#prober.run(udpProbe, ip, options);
  }

  /** The same with probes of another kind. */
  probe(kind: ProbeKind, ip: string, options?: ProbeOptions): Promise<ProbeResult> {
    return this.#prober.run(kind, ip, options);
  }

  /** Sends an IPv4 packet, after ARP where the address is not known yet. */
  send(dst: string, payload: IpPayload): void {
    const mac = this.#neighbors.lookup(dst);
    if (mac) this.#transmit(ethernet({ src: this.mac, dst: mac }, ipv4({ src: this.ip, dst }, payload)));
    else this.#neighbors.wait(dst, payload);
  }

  /** Sends any bytes. */
  sendFrame(frame: Uint8Array): void {
    this.#transmit(frame);
  }

  /** Forgets the neighbours, as `ip neigh flush` does. */
  flushNeighbors(): void {
    this.#neighbors.clear();
  }

  plug(send: Deliver | undefined): void {
    this.#send = send;
  }

  receive(bytes: Uint8Array): void {
    this.counters.received++;
    const frame = parseFrame(bytes);
    if (frame.kind === "malformed") this.counters.bad++;
    else if (frame.vlans.length > 0 || (frame.dst !== this.mac && !isMulticastMac(frame.dst)))
      this.counters.ignored++;
    else this.#accept(frame);
  }

  #accept(frame: Frame): void {
    const { payload } = frame;
    if (payload instanceof Uint8Array) this.counters.ignored++;
    else if (payload.kind === "arp") this.#learn(payload);
    else if (payload.kind === "malformed" || !isSound(payload)) {
      this.counters.bad++;
      return;
    } else if (payload.kind !== "ipv4" || payload.dst !== this.ip) this.counters.ignored++;
    else this.#prober.receive(payload);
    const answer = respond(this, frame);
    if (answer) this.#transmit(encodeFrame(answer));
  }

  #learn({ spa, sha, tpa }: Arp): void {
    if (tpa === this.ip && spa !== this.ip) this.#neighbors.learn(spa, sha);
  }

  #ask(tpa: string): void {
    const request = arp({ op: ARP_REQUEST, sha: this.mac, spa: this.ip, tpa });
    this.#transmit(ethernet({ src: this.mac }, request));
  }

  #transmit(frame: Uint8Array): void {
    if (!this.#send) {
      this.counters.unplugged++;
      return;
    }
    this.counters.sent++;
    this.#send(frame);
  }
}

/** Whether the checksums are right, as a host's stack wants before it looks further. */
function isSound(packet: Exclude<Frame["payload"], Uint8Array>): boolean {
  if (packet.kind !== "ipv4") return true;
  const { payload } = packet as Ipv4;
  if (packet.checksum !== undefined || packet.total_length !== undefined) return false;
  if (payload instanceof Uint8Array) return true;
  if (payload.kind === "malformed") return false;
  return payload.checksum === undefined || (payload.kind === "udp" && payload.checksum === 0);
}
