import { expect, test } from "vitest";
import { parseTopology } from "./topology.js";

test("one switch has the names of a bridge that somebody made by hand", () => {
  const { switches, hosts, cables, hasLoops } = parseTopology("single,2");
  expect(switches).toEqual([{ name: "br0", datapathId: undefined, ports: ["p1", "p2"] }]);
  expect(hosts.map(({ port }) => port)).toEqual(["p1", "p2"]);
  expect({ cables, hasLoops }).toEqual({ cables: [], hasLoops: false });
});

test("several are s1, s2, … with mn's names of ports, links first", () => {
  const { switches, hosts, cables } = parseTopology("tree,2,3");
  expect(switches.map(({ name, ports }) => `${name}:${ports.length}`)).toEqual([
    "s1:3",
    "s2:4",
    "s3:4",
    "s4:4",
  ]);
  expect(switches[2]!.datapathId).toBe("0000000000000003");
  expect(cables[0]).toEqual({ a: { at: "s1", port: "s1-eth1" }, b: { at: "s2", port: "s2-eth1" } });
  expect(hosts).toHaveLength(9);
  expect(hosts[0]).toEqual({ at: "s2", port: "s2-eth2" });
});

test.each([
  ["linear,3", 3, 3, false],
  ["tree,3", 7, 8, false],
  ["ring,3", 3, 3, true],
  ["mesh,4", 4, 4, true],
  ["fattree,4", 20, 16, true],
])("%s", (text, switches, hosts, hasLoops) => {
  const plan = parseTopology(text);
  expect([plan.switches.length, plan.hosts.length, plan.hasLoops]).toEqual([switches, hosts, hasLoops]);
});

test.each([
  ["star,3", /"star" is no topology; there are single,HOSTS, linear,/],
  ["linear", /"" in linear,SWITCHES is not a number from 2 to 32/],
  ["linear,x", /"x" in linear,SWITCHES/],
  ["ring,3,4", /"ring,3,4" is not ring,SWITCHES/],
  ["tree,6,8", /more than 64 and 64/],
])("%s is refused in one line", (text, message) => {
  expect(() => parseTopology(text)).toThrow(message);
});
