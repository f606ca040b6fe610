import { fatTree, line, mesh, ring, type Shape, single, tree } from "@sluice/lab";
import { CliError } from "../io.js";

/** The network that `sluice start` runs, by names. */
export interface Plan {
  /** As it was asked for. */
  readonly topology: string;
  readonly switches: readonly PlannedSwitch[];
  readonly cables: readonly { readonly a: Place; readonly b: Place }[];
  /** Where h1, h2, … are. */
  readonly hosts: readonly Place[];
  /** There is more than one way between some two switches. */
  readonly hasLoops: boolean;
}

export interface PlannedSwitch {
  readonly name: string;
  /** 16 hexadecimal digits; undefined: its own. */
  readonly datapathId: string | undefined;
  /** Names of the ports 1, 2, … */
  readonly ports: readonly string[];
}

/** A port of a switch. */
export interface Place {
  readonly at: string;
  readonly port: string;
}

const MOST_SWITCHES = 64;
const MOST_HOSTS = 64;

interface Kind {
  readonly usage: string;
  /** Least and most of each number; the last ones may have a usual value. */
  readonly numbers: readonly { least: number; most: number; usual?: number }[];
  readonly shape: (...numbers: number[]) => Shape;
}

const count = (least: number, most: number, usual?: number) => ({
  least,
  most,
  ...(usual === undefined ? {} : { usual }),
});

/** mn's names, where it has one. */
const KINDS: Readonly<Record<string, Kind>> = {
  single: { usage: "single,HOSTS", numbers: [count(2, 32)], shape: (n) => single(n!) },
  linear: { usage: "linear,SWITCHES", numbers: [count(2, 32)], shape: (n) => line(n!) },
  tree: {
    usage: "tree,DEPTH[,FANOUT]",
    numbers: [count(1, 6), count(2, 8, 2)],
    shape: (depth, fanout) => tree(depth!, fanout!),
  },
  ring: { usage: "ring,SWITCHES", numbers: [count(3, 32)], shape: (n) => ring(n!) },
  mesh: { usage: "mesh,SWITCHES", numbers: [count(3, 10)], shape: (n) => mesh(n!) },
  fattree: { usage: "fattree,PORTS", numbers: [count(4, 6)], shape: (k) => evenFatTree(k!) },
};

function evenFatTree(k: number): Shape {
  if (k % 2 !== 0) throw new CliError(`--topo: ${k} in fattree,PORTS is not even`);
  return fatTree(k);
}

export const TOPOLOGY_USAGE = Object.values(KINDS)
  .map(({ usage }) => usage)
  .join(", ");

/** Reads `--topo`. Throws CliError. */
export function parseTopology(text: string): Plan {
  const [name = "", ...words] = text.split(",");
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name]! : undefined;
  if (kind === undefined) throw new CliError(`--topo: "${name}" is no topology; there are ${TOPOLOGY_USAGE}`);
  if (words.length > kind.numbers.length) throw new CliError(`--topo: "${text}" is not ${kind.usage}`);
  const numbers = kind.numbers.map(({ least, most, usual }, index) => {
    const word = words[index] ?? (usual === undefined ? "" : String(usual));
    const value = /^\d{1,5}$/.test(word) ? Number(word) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new CliError(`--topo: "${word}" in ${kind.usage} is not a number from ${least} to ${most}`);
  });
  const shape = kind.shape(...numbers);
  if (shape.switches > MOST_SWITCHES || shape.hosts.length > MOST_HOSTS) {
    const size = `${shape.switches} switches and ${shape.hosts.length} hosts`;
    throw new CliError(`--topo: ${text} is ${size}, more than ${MOST_SWITCHES} and ${MOST_HOSTS}`);
  }
  return planOf(text, shape);
}

/** Names for all of a shape: br0 and p1, p2, … where there is one switch, else s1 and s1-eth1, … A switch's links have the
 *  first ports, its hosts the next. */
function planOf(topology: string, shape: Shape): Plan {
  const isSingle = shape.switches === 1;
  const ports: string[][] = Array.from({ length: shape.switches }, () => []);
  const nameOf = (node: number): string => (isSingle ? "br0" : `s${node + 1}`);
  const place = (node: number): Place => {
    const number = ports[node]!.length + 1;
    const port = isSingle ? `p${number}` : `${nameOf(node)}-eth${number}`;
    ports[node]!.push(port);
    return { at: nameOf(node), port };
  };
  const cables = shape.links.map(([a, b]) => ({ a: place(a), b: place(b) }));
  const hosts = shape.hosts.map(place);
  return {
    topology,
    switches: ports.map((names, node) => ({
      name: nameOf(node),
      datapathId: isSingle ? undefined : (node + 1).toString(16).padStart(16, "0"),
      ports: names,
    })),
    cables,
    hosts,
    hasLoops: shape.links.length >= shape.switches,
  };
}
