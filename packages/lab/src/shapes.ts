/** How switches and hosts are joined: numbers of switches, from 0. */
export interface Shape {
  readonly switches: number;
  readonly links: readonly (readonly [a: number, b: number])[];
  /** The switch of each host. */
  readonly hosts: readonly number[];
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** One switch with all hosts. */
export const single = (hosts: number): Shape => ({
  switches: 1,
  links: [],
  hosts: range(hosts).map(() => 0),
});

/** One switch after the other, a host at each. */
export const line = (n: number): Shape => ({
  switches: n,
  links: range(n - 1).map((i) => [i, i + 1] as const),
  hosts: range(n),
});

/** A line whose ends are joined. */
export const ring = (n: number): Shape => ({ ...line(n), links: [...line(n).links, [n - 1, 0]] });

/** Every switch joined to every other, a host at each. */
export const mesh = (n: number): Shape => ({
  switches: n,
  links: range(n).flatMap((a) => range(a).map((b) => [b, a] as const)),
  hosts: range(n),
});

/** A tree `depth` switches high, each with `fanout` children: switches, and hosts at the lowest. Numbered from the root, each
 *  child with all that is below it before the next. */
export function tree(depth: number, fanout: number): Shape {
  const links: [number, number][] = [];
  const hosts: number[] = [];
  let switches = 0;
  const grow = (level: number): number => {
    const node = switches++;
    for (let i = 0; i < fanout; i++) {
      if (level === depth) hosts.push(node);
      else links.push([node, grow(level + 1)]);
    }
    return node;
  };
  grow(1);
  return { switches, links, hosts };
}

/** The three-layer fat tree of k-port switches (M. Al-Fares et al., 2008): (k/2)² core switches, then k pods, each of
 *  k/2 aggregation and k/2 edge switches, and k/2 hosts at each of the latter. */
export function fatTree(k: number): Shape {
  const half = k / 2;
  const cores = half * half;
  const aggregation = (pod: number, i: number): number => cores + pod * k + i;
  const edge = (pod: number, i: number): number => cores + pod * k + half + i;
  const inPods = <T>(make: (pod: number, i: number, j: number) => T): T[] =>
    range(k).flatMap((pod) => range(half).flatMap((i) => range(half).map((j) => make(pod, i, j))));
  return {
    switches: cores + k * k,
    links: [
      ...inPods((pod, i, j) => [i * half + j, aggregation(pod, i)] as const),
      ...inPods((pod, i, j) => [aggregation(pod, i), edge(pod, j)] as const),
    ],
    hosts: inPods((pod, i) => edge(pod, i)),
  };
}
