import type { OfMessageInit } from "@sluice/openflow-codec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Fabric, type FabricLink, type PortState } from "./fabric.js";
import type { PortRole } from "./flows.js";
import type { Found } from "./takeover.js";

/** Switch n has a port to switch m that is numbered m + 1, and a host's. */
const NODES = 5;
const HOST_PORT = 100;
const portTo = (node: number): number => node + 1;
const dpidOf = (at: number): bigint => BigInt(at + 1);

const PAIRS = Array.from({ length: NODES }, (_, a) => a).flatMap((a) =>
  Array.from({ length: NODES }, (_, b) => [a, b] as const).filter(([, b]) => a < b),
);

/** The order in which a run of the controller comes to know all there is, and after which steps it brings that to the switches. */
const arrival = fc.record({
  pairs: fc.shuffledSubarray(PAIRS, { minLength: PAIRS.length }),
  switches: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: NODES }),
  flushes: fc.infiniteStream(fc.boolean()),
});
type Arrival = typeof arrival extends fc.Arbitrary<infer T> ? T : never;

class Run {
  readonly sent: OfMessageInit[] = [];
  readonly #nodes = new Map<number, number>();
  readonly #found: ReadonlyMap<number, Found>;
  readonly #fabric = new Fabric({
    send: (_node, message) => this.sent.push(message),
    confirm: () => {},
    hostIdleSecs: 300,
    forget: () => {},
  });

  constructor(found: ReadonlyMap<number, Found> = new Map()) {
    this.#found = found;
  }

  arrive({ pairs, switches, flushes }: Arrival, cables: ReadonlySet<string>): void {
    for (const at of switches) {
      const node = this.#fabric.nodeFor(dpidOf(at));
      this.#nodes.set(at, node);
      this.#fabric.addSite(node, this.#found.get(at));
      for (const port of portsOf(at, cables)) {
        const state = this.#found.size > 0 ? this.#fabric.firstState(node, port) : "up";
        this.#fabric.setPort(node, port, state satisfies PortState);
      }
      this.#flush();
    }
    for (const [a, b] of pairs) {
      if (!cables.has(`${a}-${b}`)) continue;
      for (const link of this.#directions(a, b)) {
        this.#fabric.addLink(link);
        if (this.#fabric.isUsed(link))
          for (const { node, port } of [link.src, link.dst]) this.#fabric.setPort(node, port, "up");
        if (flushes.next().value) this.#flush();
      }
    }
    this.#flush();
  }

  /** As another run of the controller finds them. */
  found(cables: ReadonlySet<string>): Map<number, Found> {
    return new Map(
      [...this.#nodes].map(([at, node]) => {
        const roles = new Map<number, PortRole>(
          portsOf(at, cables).map((port) => [port, this.#fabric.role(node, port)]),
        );
        return [at, { roles, senders: [], hosts: new Map(), groups: new Map() }];
      }),
    );
  }

  #directions(a: number, b: number): FabricLink[] {
    const ends = [
      { node: this.#nodes.get(a)!, port: portTo(b) },
      { node: this.#nodes.get(b)!, port: portTo(a) },
    ] as const;
    return [
      { src: ends[0], dst: ends[1], isDirect: true },
      { src: ends[1], dst: ends[0], isDirect: true },
    ];
  }

  /** As the app does it: the switches are made what they should be as soon as all links that they had are seen. */
  #flush(): void {
    if (this.#nodes.size === NODES && this.#fabric.isTakingOver && this.#fabric.isWhole)
      expect(this.#fabric.takeOver()).toEqual({ switches: NODES, missing: 0 });
    this.#fabric.flush();
  }
}

const portsOf = (at: number, cables: ReadonlySet<string>): number[] => [
  HOST_PORT,
  ...PAIRS.filter(([a, b]) => cables.has(`${a}-${b}`)).flatMap(([a, b]) =>
    a === at ? [portTo(b)] : b === at ? [portTo(a)] : [],
  ),
];

test("another run of the controller finds all as it should be, in whatever order it comes to know it", () => {
  const topology = fc.subarray(
    PAIRS.map(([a, b]) => `${a}-${b}`),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(topology, arrival, arrival, (cables, first, second) => {
      const known = new Set(cables);
      const before = new Run();
      before.arrive(first, known);
      const after = new Run(before.found(known));
      after.arrive(second, known);
      expect(after.sent).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
