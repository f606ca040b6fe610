import { describe, expect, test } from "vitest";
import { type ConfigRows, desiredSwitch } from "./desired.js";
import { config } from "./rows.testkit.js";

const bridge = (rows: ConfigRows, name = "br0") => desiredSwitch(rows).bridges.get(name)!;

describe("configuration rows", () => {
  test("a bridge has its local port, whether a row describes it or not", () => {
    const described = bridge(config({ br0: { ports: { br0: { type: "internal" } } } }));
    expect(described.ports.get("br0")).toMatchObject({ type: "internal", mac: described.mac, uuid: "i-br0" });
    expect(bridge(config({ br0: {} })).ports.get("br0")).toMatchObject({ type: "internal", uuid: undefined });
  });

  test("the datapath_id comes from other_config:datapath-id, else from hwaddr, else from the row's UUID", () => {
    const of = (other_config: Record<string, string>) => bridge(config({ br0: { other_config } })).datapathId;
    expect(of({ "datapath-id": "00000000000000ab" })).toBe(0xabn);
    expect(of({ "datapath-id": "0xab" })).toBe(0xabn);
    expect(of({ hwaddr: "02:00:00:00:00:07" })).toBe(0x020000000007n);
    expect(of({})).toBe(of({}));
    expect(of({}) >> 48n).toBe(0n);
  });

  test.each([
    [{ "datapath-id": "xyz" }, /datapath-id "xyz"/],
    [{ "datapath-id": "0000000000000000" }, /zero/],
    [{ hwaddr: "01:00:00:00:00:01" }, /not a unicast MAC/],
  ])("%j is complained of and passed over", (other_config, complaint) => {
    const state = desiredSwitch(config({ br0: { other_config } }));
    expect(state.bridges.has("br0")).toBe(true);
    expect(state.complaints.join()).toMatch(complaint);
  });

  test("a tag alone makes an access port; a trunk's tag is ignored", () => {
    const vlan = (port: { tag?: number; trunks?: number[]; vlan_mode?: "trunk" | "native-tagged" }) =>
      bridge(config({ br0: { ports: { p1: port } } })).ports.get("p1")!.vlan;
    expect(vlan({})).toMatchObject({ vlan_mode: "trunk", tag: 0, trunks: [] });
    expect(vlan({ tag: 5 })).toMatchObject({ vlan_mode: "access", tag: 5 });
    expect(vlan({ tag: 5, vlan_mode: "trunk", trunks: [1, 2] })).toMatchObject({ tag: 0, trunks: [1, 2] });
    expect(vlan({ tag: 5, vlan_mode: "native-tagged" })).toMatchObject({
      vlan_mode: "native-tagged",
      tag: 5,
    });
  });

  test.each([
    [{ type: "vxlan" }, /type "vxlan" is not supported/],
    [{ type: "patch" }, /requires valid 'peer'/],
    [{ type: "patch", options: { peer: "p1" } }, /must not be self/],
  ])("an interface %j becomes an error of that interface", (port, error) => {
    expect(bridge(config({ br0: { ports: { p1: port } } })).ports.get("p1")!.error).toMatch(error);
  });

  test("a name that no device can have is an error, not a path", () => {
    const port = bridge(config({ br0: { ports: { "../../etc": {} } } })).ports.get("../../etc")!;
    expect(port.error).toMatch(/cannot be a device's/);
    expect(desiredSwitch(config({ "a/b": {} })).bridges.size).toBe(0);
  });

  test("a QoS row gives rates in bits/s to the port and its queues", () => {
    const qos = (type: string, queues = {}) =>
      config({ br0: { ports: { p1: { qos: { type, other_config: { "max-rate": "1000000" }, queues } } } } });
    const queues = {
      0: { "min-rate": "1000", burst: "64000" },
      7: { "max-rate": "5000000000", priority: "1" },
    };
    expect(bridge(qos("linux-htb", queues)).ports.get("p1")!.qos).toEqual({
      type: "linux-htb",
      maxRate: 1_000_000,
      queues: [
        { queue_id: 0, minRate: 1000, burst: 64_000 },
        { queue_id: 7, maxRate: 5_000_000_000 },
      ],
    });
    expect(bridge(qos("linux-noop")).ports.get("p1")!.qos).toBeUndefined();
    const unknown = qos("linux-codel");
    expect(bridge(unknown).ports.get("p1")!.qos).toBeUndefined();
    expect(desiredSwitch(unknown).complaints.join()).toMatch(/QoS type "linux-codel" is not supported/);
  });

  test("what is asked for and not there is complained of, and kept for the row's status", () => {
    const state = desiredSwitch(
      config({
        br0: {
          more: { stp_enable: true, rstp_enable: false, netflow: "nf", mirrors: [] },
          ports: {
            p1: { interface: { cfm_mpid: 1, ingress_policing_rate: 0, bfd: new Map([["enable", "true"]]) } },
            p2: { interface: { bfd: new Map([["enable", "false"]]) } },
          },
        },
      }),
    );
    const { unsupported, unsupportedOfPorts, ports } = state.bridges.get("br0")!;
    expect(unsupported).toEqual(["netflow", "stp_enable"]);
    expect(ports.get("p1")!.unsupported).toEqual(["bfd:enable", "cfm_mpid"]);
    expect(ports.get("p2")!.unsupported).toEqual([]);
    expect([...unsupportedOfPorts.values()]).toEqual([[], []]);
    expect(state.complaints).toEqual([
      "bridge br0: interface p1: not supported, and without effect: bfd:enable, cfm_mpid",
      "bridge br0: not supported, and without effect: netflow, stp_enable",
    ]);
  });

  test("a controller's row has the defaults of the manual", () => {
    expect(bridge(config({ br0: { controllers: ["tcp:1.2.3.4"] } })).controllers).toEqual([
      {
        uuid: "c-tcp:1.2.3.4",
        target: "tcp:1.2.3.4",
        maxBackoffMs: 8000,
        probeIntervalMs: 5000,
        limits: { queueSize: 100, rate: 0, burst: 0 },
        isAsyncEnabled: true,
        tls: {},
        auxiliary: { reliable: 0, udp: 0 },
      },
    ]);
  });
});
