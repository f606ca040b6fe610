// Hot path: `learn` and `lookup` run for each packet-in.
/** Where a host was last seen. */
interface Entry {
  port: number;
  seenAt: number;
}

/** `port`: where the address was before, when it moved. */
export type Learned = { kind: "known" } | { kind: "new" } | { kind: "moved"; port: number };

const KNOWN: Learned = { kind: "known" };
const NEW: Learned = { kind: "new" };

export interface MacTableOptions {
  /** Entries at most; with one more, the one longest known is forgotten. 8192 unless given. */
  size?: number | undefined;
  /** Milliseconds after which an address not seen again is forgotten. 300 s unless given. */
  ageMs?: number | undefined;
}

/** The addresses of one switch's hosts, apart for each VLAN. Time is the caller's, in ms. */
export class MacTable {
  readonly #size: number;
  readonly #ageMs: number;
  readonly #vlans = new Map<number, Map<number, Entry>>();
  #count = 0;
  #evicted = 0;

  constructor(options: MacTableOptions = {}) {
    this.#size = options.size ?? 8192;
    this.#ageMs = options.ageMs ?? 300_000;
  }

  get count(): number {
    return this.#count;
  }

  /** Addresses forgotten because the table was full. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Notes that `address` was seen at `port`. */
  learn(vlan: number, address: number, port: number, now: number): Learned {
    let hosts = this.#vlans.get(vlan);
    if (hosts === undefined) {
      hosts = new Map();
      this.#vlans.set(vlan, hosts);
    }
    const entry = hosts.get(address);
    if (entry === undefined) {
      if (this.#count >= this.#size) this.#evict();
      hosts.set(address, { port, seenAt: now });
      this.#count++;
      return NEW;
    }
    entry.seenAt = now;
    if (entry.port === port) return KNOWN;
    const before = entry.port;
    entry.port = port;
    return { kind: "moved", port: before };
  }

  /** The port of `address`, undefined when it is not known (any more). */
  lookup(vlan: number, address: number, now: number): number | undefined {
    const hosts = this.#vlans.get(vlan);
    const entry = hosts?.get(address);
    if (entry === undefined) return undefined;
    if (now - entry.seenAt <= this.#ageMs) return entry.port;
    this.#remove(vlan, address);
    return undefined;
  }

  /** What is known, those of a VLAN together, without a VLAN (-1) last. */
  *entries(now: number): Generator<[vlan: number, address: number, port: number]> {
    for (const [vlan, hosts] of [...this.#vlans].sort(([a], [b]) => b - a)) {
      for (const [address, { port, seenAt }] of hosts)
        if (now - seenAt <= this.#ageMs) yield [vlan, address, port];
    }
  }

  /** Forgets everything seen at `port`. */
  flushPort(port: number): void {
    for (const [vlan, hosts] of this.#vlans) {
      for (const [address, entry] of hosts) if (entry.port === port) this.#remove(vlan, address);
    }
  }

  #remove(vlan: number, address: number): void {
    const hosts = this.#vlans.get(vlan);
    if (hosts?.delete(address)) this.#count--;
    if (hosts?.size === 0) this.#vlans.delete(vlan);
  }

  /** Makes room in the fullest VLAN, so that one that is flooded with addresses pushes out its own. */
  #evict(): void {
    let fullest: [vlan: number, hosts: Map<number, Entry>] | undefined;
    for (const candidate of this.#vlans) {
      if (fullest === undefined || candidate[1].size > fullest[1].size) fullest = candidate;
    }
    if (fullest === undefined) return;
    this.#evicted++;
    for (const address of fullest[1].keys()) {
      this.#remove(fullest[0], address);
      return;
    }
  }
}
