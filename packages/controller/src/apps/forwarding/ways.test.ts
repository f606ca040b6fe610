import type { MessageInitOf, OfMessageInit } from "@sluice/openflow-codec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Forest, NO_FOREST, spanningForest } from "./forest.js";
import { type Edge, Graph, makeEdge } from "./graph.js";
import { Ways } from "./ways.js";

/** Switches that carry out what they are sent late, each at its own pace, and cables that come and go meanwhile: at every step
 *  packets are followed from every switch, by every way that they may take. */
const NODES = 7;
const HOSTS = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
/** Of the port of a host; ports of cables are below. */
const HOST_PORT = 100;
/** Ports from here on are of the second cable between two switches. */
const TWIN = 50;

type Step =
  | { do: "toggle"; a: number; b: number; twin: boolean; isSilent: boolean }
  | { do: "put" | "lead"; host: number; node: number }
  | { do: "remove"; host: number }
  | { do: "settle" }
  | { do: "work"; node: number; count: number };

const node = fc.nat(NODES - 1);
const host = fc.nat(HOSTS.length - 1);
const toggle = fc.record({
  do: fc.constant("toggle" as const),
  a: node,
  b: node,
  twin: fc.boolean(),
  isSilent: fc.boolean(),
});
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: toggle },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("put" as const, "lead" as const, "lead" as const),
      host,
      node,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), host }) },
  { weight: 3, arbitrary: fc.constant({ do: "settle" as const }) },
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant("work" as const), node, count: fc.integer({ min: 1, max: 4 }) }),
  },
);

/** What a switch has carried out, and what is still on its way to it. */
class SlowSwitch {
  readonly flows = new Map<string, { port: number } | { group: number }>();
  readonly groups = new Map<number, { isSelect: boolean; ports: number[] }>();
  readonly queue: (OfMessageInit | (() => void))[] = [];

  work(): void {
    const next = this.queue.shift();
    if (typeof next === "function") next();
    else if (next?.type === "OFPT_FLOW_MOD") this.#flow(next);
    else if (next?.type === "OFPT_GROUP_MOD") this.#group(next);
  }

  #flow({ command, match, instructions }: MessageInitOf<"OFPT_FLOW_MOD">): void {
    const mac = match!.eth_dst as string;
    if (command === "OFPFC_DELETE_STRICT") {
      this.flows.delete(mac);
      return;
    }
    const [one] = instructions!;
    const [action] = one!.type === "OFPIT_APPLY_ACTIONS" ? one!.actions! : [];
    if (action?.type === "OFPAT_OUTPUT") this.flows.set(mac, { port: action.port });
    else if (action?.type === "OFPAT_GROUP") {
      expect(this.groups.has(action.group_id)).toBe(true);
      this.flows.set(mac, { group: action.group_id });
    }
  }

  #group({ command, group_id, group_type, buckets = [] }: MessageInitOf<"OFPT_GROUP_MOD">): void {
    expect(command === "OFPGC_MODIFY").toBe(command !== "OFPGC_DELETE" && this.groups.has(group_id!));
    this.groups.delete(group_id!);
    if (command === "OFPGC_DELETE") return;
    const ports = buckets.flatMap(({ actions = [] }) =>
      actions.flatMap((action) => (action.type === "OFPAT_OUTPUT" ? [action.port] : [])),
    );
    this.groups.set(group_id!, { isSelect: group_type === "OFPGT_SELECT", ports });
  }
}

class Net {
  readonly switches = Array.from({ length: NODES }, () => new SlowSwitch());
  readonly graph = new Graph();
  /** Cables that carry packets: those in the graph, and those whose probes only are lost. */
  readonly carrying = new Map<string, Edge>();
  readonly ways = new Ways({
    graph: this.graph,
    groupOf: (at) => 1000 + at,
    send: (at, message) => this.switches[at]!.queue.push(message),
    confirm: (at, then) => this.switches[at]!.queue.push(then),
    isThere: () => true,
    isHeld: () => false,
    mayCarry: (edge) => this.carrying.get(keyOf(edge)) === edge,
  });
  #forest: Forest = NO_FOREST;

  isCarrying(a: number, b: number, twin: boolean): boolean {
    return this.carrying.has(keyOf(cable(a, b, twin)));
  }

  toggle(a: number, b: number, twin: boolean, isSilent: boolean): void {
    const edge = cable(a, b, twin);
    const key = keyOf(edge);
    const known = this.carrying.get(key);
    if (known && this.graph.has(known)) {
      if (!isSilent) this.carrying.delete(key);
      this.ways.removeEdge(known);
    } else {
      this.carrying.set(key, edge);
      this.ways.addEdge(edge);
    }
    this.#forest = spanningForest(this.graph, this.#forest);
  }

  /** Follows a packet for a host along every way, from a switch. Throws where it comes by a switch twice. */
  follow(mac: string, at: number, by: Edge | undefined, visited: readonly number[]): "lost" | "there" {
    if (visited.includes(at)) throw new Error(`comes by ${at} again: ${[...visited, at].join(" > ")}`);
    const { flows, groups } = this.switches[at]!;
    const flow = flows.get(mac);
    let ports: number[];
    if (flow === undefined) {
      const isFlooded = by === undefined || this.#isTree(at, by);
      ports = isFlooded
        ? this.graph.hops(at).flatMap(({ port, edge }) => (this.#isTree(at, edge) ? [port] : []))
        : [];
    } else if ("port" in flow) return flow.port === HOST_PORT ? "there" : "lost";
    else {
      const group = groups.get(flow.group);
      const live = group?.ports.filter((port) => this.#out(at, port)) ?? [];
      ports = group?.isSelect ? live : live.slice(0, 1);
    }
    let outcome: "lost" | "there" = ports.length > 0 ? "there" : "lost";
    for (const port of ports) {
      const edge = this.#out(at, port);
      const isGone = edge === undefined || edge === by;
      const next = isGone
        ? "lost"
        : this.follow(mac, edge.a === at && edge.aPort === port ? edge.b : edge.a, edge, [...visited, at]);
      if (next === "lost") outcome = "lost";
    }
    return outcome;
  }

  #isTree(at: number, { a, aPort, b, bPort }: Edge): boolean {
    return this.#forest.ports.has(`${a}:${aPort}`) && this.#forest.ports.has(`${b}:${bPort}`) && at >= 0;
  }
  #out(at: number, port: number): Edge | undefined {
    for (const edge of this.carrying.values())
      if ((edge.a === at && edge.aPort === port) || (edge.b === at && edge.bPort === port)) return edge;
    return undefined;
  }

  checkAll(): void {
    for (const mac of HOSTS) for (let at = 0; at < NODES; at++) this.follow(mac, at, undefined, []);
  }

  /** Until nothing is on its way any more. */
  finish(): void {
    this.ways.settle();
    for (let busy = true; busy; ) {
      busy = false;
      for (const one of this.switches) {
        if (one.queue.length === 0) continue;
        busy = true;
        one.work();
        this.checkAll();
      }
    }
  }
}

/** The ports of a switch are in no order of what they lead to. */
const portTo = (there: number, here: number): number => (3 * there + 5 * here) % NODES;
const cable = (a: number, b: number, isTwin: boolean): Edge => {
  const offset = isTwin ? TWIN : 0;
  return makeEdge(a, portTo(b, a) + offset, b, portTo(a, b) + offset, true);
};
const keyOf = ({ a, aPort, b, bPort }: Edge): string => `${a}:${aPort}-${b}:${bPort}`;

function play(net: Net, step: Step): void {
  switch (step.do) {
    case "toggle":
      if (step.a !== step.b) net.toggle(step.a, step.b, step.twin, step.isSilent);
      break;
    case "put":
      net.ways.put(HOSTS[step.host]!, step.node, HOST_PORT);
      break;
    case "lead":
      net.ways.lead(HOSTS[step.host]!, step.node);
      break;
    case "remove":
      net.ways.remove(HOSTS[step.host]!);
      break;
    case "settle":
      net.ways.settle();
      break;
    case "work":
      for (let i = 0; i < step.count; i++) net.switches[step.node]!.work();
  }
}

test("no packet comes by a switch twice, whatever part of the changes has arrived where; in the end all ways lead to the host", () => {
  fc.assert(
    fc.property(
      fc.array(toggle, { minLength: 6, maxLength: 20 }),
      fc.array(anyStep, { maxLength: 120 }),
      (cables, steps) => {
        const net = new Net();
        for (const one of cables) play(net, { ...one, isSilent: false });
        net.ways.put(HOSTS[0]!, 0, HOST_PORT);
        for (let at = 1; at < NODES; at++) net.ways.lead(HOSTS[0]!, at);
        net.finish();
        for (const step of steps) {
          play(net, step);
          net.checkAll();
        }
        net.finish();
        expect(net.ways.counters.forced).toBe(0);
        for (const mac of HOSTS) {
          const known = net.ways.host(mac);
          for (let at = 0; at < NODES; at++) {
            const flow = net.switches[at]!.flows.get(mac);
            if (known === undefined) expect(flow).toBeUndefined();
            else if (flow !== undefined && "group" in flow) {
              expect(flow.group).toBe(1000 + known.node);
              const isReachable = connected(net.graph, at).has(known.node);
              expect(net.follow(mac, at, undefined, [])).toBe(isReachable ? "there" : "lost");
            }
          }
        }
      },
    ),
    { numRuns: 300, seed: 1 },
  );
});

const connected = (graph: Graph, from: number): Set<number> => {
  const reached = new Set([from]);
  for (const at of reached) for (const { to } of graph.hops(at)) reached.add(to);
  return reached;
};

test("cables that are cut, several at once, make no loop, by spares that switches take or by what is half told", () => {
  fc.assert(
    fc.property(
      fc.array(toggle, { minLength: 12, maxLength: 24 }),
      fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      fc.array(node, { maxLength: 60 }),
      (cables, cuts, order) => {
        const net = new Net();
        for (const { a, b, twin } of cables)
          if (a !== b && !net.isCarrying(a, b, twin)) net.toggle(a, b, twin, false);
        net.ways.put(HOSTS[0]!, 0, HOST_PORT);
        for (let at = 1; at < NODES; at++) net.ways.lead(HOSTS[0]!, at);
        net.finish();
        for (const cut of cuts) {
          const left = [...net.carrying.values()];
          const { a, b, aPort } = left[cut % Math.max(left.length, 1)] ?? { a: 0, b: 0, aPort: 0 };
          if (a !== b) net.toggle(a, b, aPort >= TWIN, false);
          net.checkAll();
        }
        net.ways.settle();
        for (const at of order) {
          net.switches[at]!.work();
          net.checkAll();
        }
        net.finish();
        expect(net.ways.counters.forced).toBe(0);
      },
    ),
    { numRuns: 400, seed: 1 },
  );
});

test("a cable that comes loses no packet: who knows the way has one at every step", () => {
  fc.assert(
    fc.property(
      fc.array(toggle, { minLength: 6, maxLength: 20 }),
      fc.array(node, { minLength: 1, maxLength: 4 }),
      fc.array(toggle, { minLength: 1, maxLength: 4 }),
      fc.array(node, { maxLength: 200 }),
      (cables, leads, more, order) => {
        const net = new Net();
        for (const one of cables) play(net, { ...one, isSilent: false });
        net.ways.put(HOSTS[0]!, 0, HOST_PORT);
        for (const at of leads) net.ways.lead(HOSTS[0]!, at);
        net.finish();
        const had = leads.filter((at) => net.follow(HOSTS[0]!, at, undefined, []) === "there");
        for (const { a, b, twin } of more)
          if (a !== b && !net.isCarrying(a, b, twin)) net.toggle(a, b, twin, false);
        net.ways.settle();
        for (const at of order) {
          net.switches[at]!.work();
          for (const from of had) expect(net.follow(HOSTS[0]!, from, undefined, [])).toBe("there");
        }
        net.finish();
        for (const from of had) expect(net.follow(HOSTS[0]!, from, undefined, [])).toBe("there");
      },
    ),
    { numRuns: 400, seed: 1 },
  );
});

test("a switch that lost its only way has another as soon as it and the neighbour that it takes are told", () => {
  // 0 - 1 - 3 and 0 - 2 - 3: the switch 3 sends by both, the switch 1 by its own cable only.
  const net = new Net();
  for (const [a, b] of [
    [0, 1],
    [1, 3],
    [0, 2],
    [2, 3],
  ] as const)
    net.toggle(a, b, false, false);
  net.ways.put(HOSTS[0]!, 0, HOST_PORT);
  for (const at of [1, 2, 3]) net.ways.lead(HOSTS[0]!, at);
  net.finish();
  net.toggle(0, 1, false, false);
  expect(net.follow(HOSTS[0]!, 1, undefined, [])).toBe("lost");
  net.ways.mend();
  // Neither has confirmed anything yet.
  for (const at of [3, 1]) {
    expect(net.switches[at]!.queue.filter((one) => typeof one !== "function")).toHaveLength(1);
    net.switches[at]!.work();
    net.checkAll();
  }
  expect(net.follow(HOSTS[0]!, 1, undefined, [])).toBe("there");
  net.finish();
  expect(net.follow(HOSTS[0]!, 1, undefined, [])).toBe("there");
});
