import {
  decode,
  encode,
  type OfMessage,
  type OfMessageInit,
  type Port,
  parseFlow,
} from "@sluice/openflow-codec";
import { nullLog, VirtualClock } from "@sluice/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Topology } from "../apps/topology/model.js";
import { TableCopies } from "../copy/index.js";
import type { App, Switch } from "../framework/app.js";
import { asReceived } from "../tables/index.js";
import { FakeSwitch } from "../testing/fake-switch.js";
import { serveRest } from "./index.js";
import type { RestServer } from "./server.js";

const portOf = (port_no: number): Port => ({
  ...{ port_no, hw_addr: `02:00:00:00:00:0${port_no}`, name: `p${port_no}`, config: 0, state: 0 },
  ...{ curr: 0, advertised: 0, supported: 0, peer: 0, curr_speed: 0, max_speed: 0 },
});

/** Lists these flows, in ovs-ofctl's syntax. */
class ListingSwitch {
  readonly ports = new Map([1, 2, 3].map((port_no) => [port_no, portOf(port_no)]));
  asked = 0;

  constructor(
    readonly dpid: bigint,
    readonly flows: readonly string[],
  ) {}

  async request(message: OfMessageInit): Promise<OfMessage> {
    this.asked++;
    const type = (message as { body: { type: string } }).body.type;
    const entries = this.flows.map((text) => {
      const { table_id, priority, match, instructions } = parseFlow(text, "add");
      return { table_id: table_id === 0xff ? 0 : table_id, priority, match, instructions };
    });
    const body =
      type === "OFPMP_FLOW" ? { type: "OFPMP_FLOW", entries } : { type: "OFPMP_GROUP_DESC", entries: [] };
    return decode(encode({ type: "OFPT_MULTIPART_REPLY", body } as OfMessageInit));
  }
}

/** 1 port 2 - port 1 2 port 2 - port 1 3, and 4 by itself. */
const listing = [
  new ListingSwitch(1n, ["priority=9,ip,nw_dst=10.0.0.2,actions=goto_table:1", "table=1,actions=output:2"]),
  new ListingSwitch(2n, ["ip,nw_dst=10.0.0.2,actions=dec_ttl,output:2,output:3"]),
  new ListingSwitch(3n, ["actions=CONTROLLER"]),
  new ListingSwitch(4n, []),
];
const topology = new Topology();
let server: RestServer;
let base: string;
beforeAll(async () => {
  for (const { dpid, ports } of listing) topology.enterSwitch(dpid, ports.values());
  for (const [a, b] of [
    [1n, 2n],
    [2n, 3n],
  ] as const) {
    topology.seeLink({ dpid: a, port_no: 2 }, { dpid: b, port_no: 1 }, 0);
    topology.seeLink({ dpid: b, port_no: 1 }, { dpid: a, port_no: 2 }, 0);
  }
  const started = await serveRest({
    switches: new Map(listing.map((one) => [one.dpid, one as unknown as Switch])),
    apps: [{ name: "topology", events: {}, topology } as App],
    log: nullLog,
    port: 0,
  });
  server = started.server;
  base = `http://${started.address}/v1/trace`;
});
afterAll(() => server.close());

const ask = async (query: Record<string, string>) => {
  const response = await fetch(`${base}?${new URLSearchParams(query)}`);
  return { status: response.status, body: JSON.parse(await response.text()) };
};
const S1 = "0000000000000001";

test("a packet is followed from switch to switch and table to table, through the tables of those on its way", async () => {
  const { body } = await ask({ dpid: S1, in_port: "1", flow: "tcp,nw_dst=10.0.0.2,tp_dst=80" });
  expect(body).toMatchObject({
    delivered: [{ dpid: "0000000000000002", port_no: 3 }],
    drops: [],
    packet_ins: [{ dpid: "0000000000000003", port_no: 1, table_id: 0, reason: "OFPR_ACTION" }],
    unknown: [],
    path: {
      ...{ dpid: S1, in_port: 1 },
      tables: [
        { table_id: 0, flow: "table=0,priority=9,ip,nw_dst=10.0.0.2 actions=goto_table:1" },
        { table_id: 1 },
      ],
      outputs: [
        {
          port_no: 2,
          to: { dpid: "0000000000000002", port_no: 1 },
          hop: { dpid: "0000000000000002", outputs: [{ port_no: 2, hop: { dpid: "0000000000000003" } }, {}] },
        },
      ],
    },
  });
  expect(listing.map(({ asked }) => asked)).toEqual([3, 3, 3, 0]);
});

test("where it is dropped, the reason is told", async () => {
  const { body } = await ask({ dpid: S1, in_port: "1", flow: "arp" });
  expect(body).toMatchObject({
    delivered: [],
    drops: [{ dpid: S1, port_no: 1, reason: "table 0: no flow takes it" }],
    path: { tables: [{ table_id: 0, flow: null }] },
  });
});

test("a frame is a packet, too", async () => {
  const frame = `ffffffffffff0200000000010800${"45000014000000004000".padEnd(40, "0")}`;
  const { body } = await ask({ dpid: "0000000000000003", in_port: "2", frame });
  expect(body.packet_ins).toHaveLength(1);
});

test.each([
  [{ in_port: "1", flow: "ip" }, 400, "dpid"],
  [{ dpid: "0000000000000009", in_port: "1", flow: "ip" }, 404, "dpid"],
  [{ dpid: S1, flow: "ip" }, 400, "in_port"],
  [{ dpid: S1, in_port: "9", flow: "ip" }, 400, "in_port"],
  [{ dpid: S1, in_port: "1" }, 400, "flow"],
  [{ dpid: S1, in_port: "1", flow: "nonsense=1" }, 400, "flow"],
  [{ dpid: S1, in_port: "1", frame: "abc" }, 400, "frame"],
  [{ dpid: S1, in_port: "1", frame: "abcd" }, 400, "frame"],
] as const)("%j is refused", async (query, status, field) => {
  expect(await ask(query)).toMatchObject({ status, body: { field } });
});

test("from the controller's copy: checked by the counts of flows and of packets, put right where it is wrong; or fresh", async () => {
  const dp = new FakeSwitch([], { dpid: 7n });
  const flow = (text: string) => parseFlow(text, "add") as OfMessageInit;
  dp.send(flow("ip,nw_dst=10.0.0.2,actions=output:2"));
  const switches = new Map<bigint, Switch>([[7n, dp]]);
  const copies = new TableCopies({ switches, clock: new VirtualClock(86_400_000) });
  const started = await serveRest({ switches, copies, apps: [], log: nullLog, port: 0 });
  const get = async (path: string): Promise<string> =>
    (await fetch(`http://${started.address}${path}`)).text();
  const traced = async (more = "") =>
    JSON.parse(
      await get(
        `/v1/trace?dpid=0000000000000007&in_port=1&flow=${encodeURIComponent("ip,nw_dst=10.0.0.2")}${more}`,
      ),
    );
  const lists = (): number =>
    dp.sent.filter(
      (one) => one.type === "OFPT_MULTIPART_REQUEST" && one.body.type === "OFPMP_FLOW" && !one.body.match,
    ).length;
  try {
    const checked = { missing: 0, surplus: 0, changed: 0, groups: 0, checked: "1970-01-02T00:00:00.000Z" };
    expect((await traced()).path).toMatchObject({
      copy: checked,
      tables: [{ table_id: 0, packets: 0 }],
      outputs: [{ port_no: 2 }],
    });
    // What the controller sends is in the copy without a list.
    dp.send(flow("priority=40000,ip,nw_dst=10.0.0.2,actions=output:3"));
    expect((await traced()).path).toMatchObject({ copy: checked, outputs: [{ port_no: 3 }] });
    expect(lists()).toBe(1);

    // Another controller's flow is found by the number of flows, its change of one by asking after that one.
    dp.tables.apply(asReceived(flow("priority=50000,ip,nw_dst=10.0.0.2,actions=output:4")));
    expect((await traced()).path).toMatchObject({ copy: { missing: 1 }, outputs: [{ port_no: 4 }] });
    dp.tables.apply(asReceived(flow("priority=50000,ip,nw_dst=10.0.0.2,actions=output:2")));
    expect((await traced()).path).toMatchObject({ copy: { changed: 1 }, outputs: [{ port_no: 2 }] });
    expect(lists()).toBe(3);

    const fresh = await traced("&fresh=true");
    expect(fresh.path.outputs).toMatchObject([{ port_no: 2 }]);
    expect(fresh.path).not.toHaveProperty("copy");
    expect(lists()).toBe(4);
    expect(await traced("&fresh=1")).toMatchObject({ field: "fresh" });

    const metrics = await get("/metrics");
    expect(metrics).toContain('sluice_controller_copy_differences_total{kind="missing"} 1\n');
    expect(metrics).toContain('sluice_controller_copy_differences_total{kind="changed"} 1\n');
    expect(metrics).toContain('sluice_controller_copy_flows{dpid="0000000000000007"} 3\n');
    expect(metrics).toContain("sluice_controller_copy_checks_total 3\n");
  } finally {
    await started.server.close();
    copies.stop();
  }
});
