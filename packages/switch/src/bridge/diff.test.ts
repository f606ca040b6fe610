import { OFPP } from "@sluice/openflow-codec";
import type { OvsRow } from "@sluice/ovsdb";
import { describe, expect, test } from "vitest";
import { type DesiredBridge, desiredSwitch } from "./desired.js";
import { diff, type RunningBridge, type Step } from "./diff.js";
import { config } from "./rows.testkit.js";

type Sketch = Parameters<typeof config>[0];

/** What runs once everything in the sketch was set up: ports have the number that they ask for, or that of their name. */
const run = (sketch: Sketch): Map<string, RunningBridge> =>
  new Map([...desiredSwitch(config(sketch)).bridges].map(([name, desired]) => [name, running(desired)]));

const running = (desired: DesiredBridge): RunningBridge => ({
  desired,
  ports: new Map(
    [...desired.ports].map(([name, port]) => [
      name,
      {
        desired: port,
        ofport: name === desired.name ? OFPP.LOCAL : (port.ofportRequest ?? Number(name.slice(1))),
      },
    ]),
  ),
});

const brief = (step: Step): string => {
  const bridge = typeof step.bridge === "string" ? step.bridge : step.bridge.name;
  if (step.op === "set") return `set ${bridge} ${step.setting}`;
  if (step.op === "removeBridge" || step.op === "addBridge") return `${step.op} ${bridge}`;
  if (step.op === "removePorts") return `${step.op} ${bridge} ${step.ports.join()}`;
  const port = typeof step.port === "string" ? step.port : step.port.name;
  const what = step.op === "updatePort" ? ` ${Object.keys(step.change).join()}` : "";
  return `${step.op} ${bridge} ${port}${what}`;
};

const steps = (from: Sketch, to: Sketch): string[] => diff(run(from), desiredSwitch(config(to))).map(brief);

describe("the difference between what runs and what is desired", () => {
  test("is empty when they are the same", () => {
    const sketch = { br0: { ports: { p1: { tag: 1 } }, controllers: ["tcp:1.2.3.4"] } };
    expect(steps(sketch, sketch)).toEqual([]);
  });

  test("sets a bridge up: itself, how it fails, its local port, its ports, its settings, controllers last", () => {
    expect(steps({}, { br0: { ports: { p1: {}, p2: {} } } })).toEqual([
      "addBridge br0",
      "set br0 failMode",
      "addPort br0 br0",
      "addPort br0 p1",
      "addPort br0 p2",
      "set br0 datapathId",
      "set br0 macTable",
      "set br0 floodVlans",
      "set br0 flowTables",
      "set br0 forwardBpdu",
      "set br0 controllers",
    ]);
  });

  test("ports that ask for a number come before those that take any, and those go by name", () => {
    const ports = { p10: {}, p2: {}, z: { ofport_request: 1 } };
    expect(steps({ br0: {} }, { br0: { ports } })).toEqual([
      "addPort br0 z",
      "addPort br0 p2",
      "addPort br0 p10",
    ]);
  });

  test("takes away before it adds", () => {
    expect(steps({ br0: { ports: { p1: {} } }, br1: {} }, { br0: { ports: { p2: {} } } })).toEqual([
      "removeBridge br1",
      "removePorts br0 p1",
      "addPort br0 p2",
    ]);
  });

  test("changes what can change in place, and replaces a port only where it must", () => {
    const of = (port: NonNullable<Sketch[string]["ports"]>[string]): Sketch => ({
      br0: { ports: { p1: port } },
    });
    expect(steps(of({}), of({ tag: 3 }))).toEqual(["updatePort br0 p1 vlan"]);
    expect(steps(of({}), of({ mtu_request: 9000 }))).toEqual(["updatePort br0 p1 mtu"]);
    expect(steps(of({}), of({ ofport_request: 9 }))).toEqual(["removePorts br0 p1", "addPort br0 p1"]);
    expect(steps(of({}), of({ type: "internal" }))).toEqual(["removePorts br0 p1", "addPort br0 p1"]);
    const patch = (peer: string) => of({ type: "patch", options: { peer } });
    expect(steps(patch("a"), patch("b"))).toEqual(["updatePort br0 p1 patchPeer"]);
    const asked = (options: Record<string, string>) => of({ type: "system", options });
    expect(steps(asked({}), asked({ n_rxq: "2" }))).toEqual([]);
    expect(steps(asked({}), asked({ "xdp-mode": "native" }))).toEqual([
      "removePorts br0 p1",
      "addPort br0 p1",
    ]);
  });

  test("a port that has the number it asks for stays; so does one that asks for none any more, or in vain", () => {
    const of = (p1: number | undefined, p2?: number): Sketch => ({
      br0: { ports: { p1: { ofport_request: p1 }, p2: { ofport_request: p2 } } },
    });
    expect(steps(of(undefined), of(1))).toEqual([]);
    expect(steps(of(7), of(undefined))).toEqual([]);
    expect(steps(of(undefined, 2), of(2, 2))).toEqual([]);
    expect(
      steps({ br0: { ports: { br0: {} } } }, { br0: { ports: { br0: { ofport_request: 5 } } } }),
    ).toEqual([]);
    // Who has a number without having asked for it makes room.
    expect(steps(of(undefined), of(2))).toEqual([
      "removePorts br0 p1,p2",
      "addPort br0 p1",
      "addPort br0 p2",
    ]);
    expect(steps(of(1, 2), of(2, 1))).toEqual(["removePorts br0 p1,p2", "addPort br0 p1", "addPort br0 p2"]);
  });

  test("what a port does not heed, and a row in the place of another, leave it in place", () => {
    const of = (row: Partial<OvsRow<"Interface">>): Sketch => ({
      br0: { ports: { p1: { interface: row } } },
    });
    const anything: Partial<OvsRow<"Interface">> = {
      external_ids: new Map([["iface-id", "x"]]),
      other_config: new Map([["y", "1"]]),
      options: new Map([["n_rxq", "2"]]),
      lldp: new Map([["enable", "true"]]),
      ingress_policing_rate: 1000,
      cfm_mpid: 1,
    };
    expect(steps(of({}), of(anything))).toEqual([]);
    expect(steps(of({ type: "" }), of({ type: "system" }))).toEqual([]);
    const before = run(of({}));
    const rows = config(of({}));
    const [row] = rows.interfaces.values();
    const next = desiredSwitch({
      ...rows,
      ports: new Map([["p-p1", { ...rows.ports.get("p-p1")!, interfaces: ["another"] }]]),
      interfaces: new Map([["another", row!]]),
    });
    expect(diff(before, next).map(brief)).toEqual(["updatePort br0 p1 "]);
  });

  test("a bridge that moves to another datapath is set up anew", () => {
    expect(steps({ br0: {} }, { br0: { datapath_type: "system" } }).slice(0, 2)).toEqual([
      "removeBridge br0",
      "addBridge br0",
    ]);
  });

  test("only the setting that changed is set", () => {
    expect(steps({ br0: {} }, { br0: { fail_mode: "secure" } })).toEqual(["set br0 failMode"]);
    expect(steps({ br0: {} }, { br0: { controllers: ["tcp:1.2.3.4"] } })).toEqual(["set br0 controllers"]);
  });

  test("a port that failed is tried again", () => {
    const { desired, ports } = run({ br0: { ports: { p1: {} } } }).get("br0")!;
    const failed = new Map([["br0", { desired, ports: new Map([["br0", ports.get("br0")!]]) }]]);
    expect(diff(failed, desiredSwitch(config({ br0: { ports: { p1: {} } } }))).map(brief)).toEqual([
      "addPort br0 p1",
    ]);
  });
});
