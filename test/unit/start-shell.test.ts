import { expect, test } from "vitest";
import { run, SLUICE } from "../support/process.js";

const FREE_PORTS = ["--ovsdb-port=0", "--controller-port=0"];
const start = (args: readonly string[], input: string) =>
  run([process.execPath, SLUICE, "start", ...args, ...FREE_PORTS], { input, timeoutMs: 60_000 });

test("commands on a ring: a cable that is cut is gone around, a host's own is not; the tools work by the switches' names", async () => {
  const commands = [
    "h1 ping h2 1",
    "link s1 s2 down",
    "net",
    "h1 ping h2 5",
    "pingall",
    "link h3 s3 down",
    "h1 ping h3 1",
    "ofctl show s3",
    "trace s1 in_port=3,arp",
    "flwos s1",
    "link s1 s4 down",
    "h1 ping h9",
  ];
  const { code, stdout, stderr } = await start(["-i", "--topo=ring,3"], `${commands.join("\n")}\n`);
  expect(code).toBe(0);
  expect(stdout).toMatch(/switches +s1 to s3, 3 cables between them \(ring,3\)/);
  const [, answers] = stdout.split(/The flows in s1 now:/);
  expect(answers).toMatch(/^1 sent, 1 received/m);
  expect(answers).toMatch(/^ {2}s1 -- s2 \(down\)$/m);
  expect(answers!.match(/ping h\d -> h\d: 1 sent, 1 received/g)).toHaveLength(6);
  expect(answers).toMatch(/^1 sent, none received$/m);
  expect(answers).toMatch(/dpid:0000000000000003/);
  expect(answers).toMatch(/^bridge\("s1"\)$/m);
  expect(stderr.trimEnd().split("\n")).toEqual([
    `unknown command 'flwos' (did you mean flows?); "help" shows those that there are`,
    `there is no cable between "s1" and "s4" ("net" shows them)`,
    "there is no h9; there are h1, h2, h3",
  ]);
});

test("on a tree hosts reach each other over several learning switches; what crosses a cable can be watched", async () => {
  const { code, stdout } = await start(
    ["-i", "--topo=tree,2"],
    "watch s1 s2\nh1 ping h3 1\nunwatch\nh1 ping h2 1\nflows s1\n",
  );
  expect(code).toBe(0);
  const frames = stdout.match(/^\d+\.\d{3} s\d > s\d icmp,.*icmp_type=\d/gm)!;
  expect(frames.map((line) => line.replace(/^\S+ (s\d > s\d).*icmp_type=(\d)$/, "$1 $2"))).toEqual([
    "s2 > s1 8",
    "s1 > s2 0",
  ]);
});
