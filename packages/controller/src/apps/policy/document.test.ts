import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parsePolicy } from "./document.js";

const GOOD = `
vlans:
  office: { vid: 100 }
  guests: { vid: 200, acl_in: careful }
acls:
  careful:
    - { match: "tcp,tp_dst=23", allow: false }
    - { match: "icmp", mirror: "3", allow: true }
    - { allow: true }
dps:
  sw1:
    dp_id: 0x1
    interfaces:
      1: { native_vlan: office, acl_in: careful }
      eth2: { tagged_vlans: [office, guests] }
      3: { mirror: [1, eth2] }
`;

test("a file of YAML, and the same as JSON", () => {
  const policy = parsePolicy(GOOD, "net.yaml");
  const sw = policy.switches.get(1n)!;
  expect(
    sw.ports.map(({ name, native, tagged }) => [name, native?.vid, tagged.map(({ vid }) => vid)]),
  ).toEqual([
    ["1", 100, []],
    ["3", undefined, []],
    ["eth2", undefined, [100, 200]],
  ]);
  expect(sw.ports[0]!.acl).toHaveLength(3);
  expect(sw.ports[0]!.acl![0]).toMatchObject({ match: { ip_proto: 6, tcp_dst: 23 }, isAllowed: false });
  const json = JSON.stringify({ dps: { sw1: { dp_id: "0000000000000001", interfaces: { "1": {} } } } });
  expect(parsePolicy(json, "net.json").switches.get(1n)?.name).toBe("sw1");
});

/** A change of the good file, and what is said of it. */
const WRONG: [from: string, to: string, message: string][] = [
  ["vid: 100", "vid: 5000", "net.yaml: vlans.office.vid: 5000 is not a number from 1 to 4094"],
  ["vid: 100", "vid: 200", "net.yaml: vlans.guests.vid: 200 is the vid of office, too"],
  [
    "vid: 100",
    "vdi: 100",
    "net.yaml: vlans.office.vdi: is not known here; there are vid, acl_in, description",
  ],
  [
    "native_vlan: office",
    "native_vlan: offce",
    'net.yaml: dps.sw1.interfaces.1.native_vlan: "offce" is not the name of a VLAN; there are office, guests',
  ],
  [
    "[office, guests]",
    "[office, 7]",
    "net.yaml: dps.sw1.interfaces.eth2.tagged_vlans[1]: 7 is not the name of a VLAN; there are office, guests",
  ],
  [
    "acl_in: careful }\n      eth2",
    "acl_in: none }\n      eth2",
    'net.yaml: dps.sw1.interfaces.1.acl_in: "none" is not the name of an access list; there are careful',
  ],
  [
    "tp_dst=23",
    "tp_dst=x",
    'net.yaml: acls.careful[0].match: "tcp,tp_dst=x" is not a match as ovs-ofctl has it: ',
  ],
  ['"icmp"', '"in_port=1"', 'net.yaml: acls.careful[1].match: "in_port=1" may not match on in_port'],
  ["allow: false", "allow: no", 'net.yaml: acls.careful[0].allow: "no" is not true or false'],
  [
    "[1, eth2]",
    "[1, 9]",
    "net.yaml: dps.sw1.interfaces.3.mirror[1]: 9 is not the name of an interface of this switch; there are 1, 3, eth2",
  ],
  ["[1, eth2]", "3", "net.yaml: dps.sw1.interfaces.3.mirror: 3 is this interface itself"],
  [
    "mirror: [1, eth2]",
    "mirror: 1, native_vlan: office",
    "net.yaml: dps.sw1.interfaces.3.mirror: 1 cannot be: ",
  ],
  [
    'mirror: "3"',
    "mirror: 8",
    'net.yaml: acls.careful[1].mirror: "8" is not an interface of sw1, where it is used',
  ],
  ["dp_id: 0x1", "dp_id: one", 'net.yaml: dps.sw1.dp_id: "one" is not a datapath id'],
  ["dps:", "dps: [", "net.yaml: line "],
  ["dps:", "dp:", "net.yaml: dp: is not known here; there are vlans, acls, dps"],
];

test.each(WRONG)("%j as %j is refused with path and value", (from, to, message) => {
  const text = GOOD.replace(from, to);
  expect(text).not.toBe(GOOD);
  let said = "";
  try {
    parsePolicy(text, "net.yaml");
  } catch (error) {
    said = (error as Error).message;
  }
  expect(said.slice(0, message.length)).toBe(message);
  expect(said).not.toContain("\n");
});

test.each([
  ["", "net.yaml: null is not an object"],
  ["[1]", "net.yaml: [1] is not an object"],
  ["dps: {}\ndps: {}", "net.yaml: line 2, column 1: Map keys must be unique"],
  [
    `a: &a [x,x]\nb: &b [${"*a,".repeat(9)}]\nc: &c [${"*b,".repeat(9)}]\nd: [${"*c,".repeat(9)}]`,
    "net.yaml: Excessive alias count",
  ],
])("%j is refused in one line", (text, message) => {
  expect(() => parsePolicy(text, "net.yaml")).toThrow(message);
});

test("the file in the README is one", () => {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const { switches } = parsePolicy(/```yaml\n(.*?)```/s.exec(readme)![1]!, "README");
  expect(switches.get(1n)?.ports).toHaveLength(4);
});
