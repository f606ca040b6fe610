import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Controller, type PolicyApp, policy } from "@sluice/controller";
import { type Host, type LabFabric, labFabric, type ProbeOptions } from "@sluice/lab";
import { OFPG, OFPP } from "@sluice/openflow-codec";
import { createLog, VirtualClock } from "@sluice/runtime";
import { type Frame, parseFrame } from "@sluice/wire";
import { afterEach, beforeEach, expect, test } from "vitest";

/** Two of our switches, joined by port 1 of each; hosts h1 to h3 at ports 2 to 4 of the first, h4 and h5 at ports 2 and 3
 *  of the second. */
const SHAPE = { switches: 2, links: [[0, 1]], hosts: [0, 0, 0, 1, 1] } as const;
const PROBE: ProbeOptions = { count: 1, timeoutMs: 400 };
const FILE = {
  vlans: { office: { vid: 100 }, guests: { vid: 200 } },
  acls: {
    "no-udp": [{ match: "udp", allow: false }, { allow: true }],
  },
  dps: {
    s1: {
      dp_id: 1,
      interfaces: {
        1: { tagged_vlans: ["office", "guests"] },
        2: { native_vlan: "office" } as object,
        3: { native_vlan: "office" } as object,
        4: { native_vlan: "guests" } as object,
        5: { native_vlan: "office" },
      },
    },
    s2: {
      dp_id: 2,
      interfaces: {
        1: { tagged_vlans: ["office", "guests"] },
        p2: { native_vlan: "office" },
        p3: { native_vlan: "guests" },
      },
    },
  },
};
type File = typeof FILE;

let dir: string;
let file: string;
let clock: VirtualClock;
let fabric: LabFabric;
let controller: Controller;
let app: PolicyApp;
let log: string[];
/** Frames that came to h3. */
let shown: Frame[];

const write = (change: (file: File) => void): void => {
  const copy = structuredClone(FILE);
  change(copy);
  writeFileSync(file, JSON.stringify(copy));
};
async function connect(): Promise<void> {
  app = policy({ file, clock, watch: false });
  controller = new Controller({
    apps: [app],
    clock,
    log: createLog({ clock, console: (line) => log.push(line) }),
    probeIntervalMs: 0,
  });
  fabric.connect((socket, peer) => controller.accept(socket, peer));
  await clock.advanceAsync(100, 1);
}
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "sl-policy-"));
  file = join(dir, "net.json");
  clock = new VirtualClock();
  log = [];
  shown = [];
  fabric = await labFabric({
    clock,
    shape: SHAPE,
    latencyMs: 1,
    tap: (cable, { direction, frame }) => {
      if (cable === "h3" && direction === "b-to-a") shown.push(parseFrame(frame) as Frame);
    },
  });
  write(() => {});
  await connect();
});
afterEach(async () => {
  expect(log.filter((line) => /refused|failed|malformed/.test(line))).toEqual([]);
  await controller.stop();
  await fabric.destroy();
  rmSync(dir, { recursive: true });
});

async function run<T>(promise: Promise<T>): Promise<T> {
  let isDone = false;
  void promise.finally(() => {
    isDone = true;
  });
  for (let i = 0; !isDone && i < 100_000; i++) await clock.advanceAsync(1);
  return promise;
}
const reach = async (from: string, to: string): Promise<boolean> => {
  const host = fabric.network.host(from);
  host.flushNeighbors();
  return (await run(host.ping(fabric.network.host(to).ip, PROBE))).received === 1;
};
/** Pairs that reach each other. */
const reachable = async (): Promise<string> => {
  const pairs: string[] = [];
  const names = fabric.network.hosts.map(({ name }) => name);
  for (const from of names)
    for (const to of names) if (from < to && (await reach(from, to))) pairs.push(`${from}-${to}`);
  return pairs.join(" ");
};

test("hosts reach those of their VLAN, over the trunk too, and no others", async () => {
  expect(await reachable()).toBe("h1-h2 h1-h4 h2-h4 h3-h5");
});

test("a host that is known gets its packets at its port only", async () => {
  // The first finds the neighbour.
  expect(await reach("h1", "h4")).toBe(true);
  const before = fabric.network.host("h2").counters.received;
  await run(fabric.network.host("h1").ping(fabric.network.host("h4").ip, PROBE));
  expect(fabric.network.host("h2").counters.received).toBe(before);
});

test("a change of the file sends what is different, and what stays keeps its counters", async () => {
  await reachable();
  const { added, removed } = app.counters;
  write(() => {});
  app.reload?.();
  expect(app.counters).toMatchObject({ added, removed });

  const [h1, h2] = ["h1", "h2"].map((name) => fabric.network.host(name)) as [Host, Host];
  const udp = async () => (await run(h1.udpEcho(h2.ip, PROBE))).received;
  expect(await udp()).toBe(1);
  const before = { ...app.counters };
  write(({ dps }) => {
    dps.s1.interfaces[2] = { native_vlan: "office", acl_in: "no-udp" };
  });
  app.reload?.();
  await clock.advanceAsync(10, 1);
  // Two rules, and what stood for no list now stands for the end of one.
  expect(app.counters.added - before.added).toBe(3);
  expect(app.counters.removed).toBe(before.removed);
  expect(await udp()).toBe(0);
  expect(await reach("h1", "h2")).toBe(true);

  write(() => {});
  app.reload?.();
  await clock.advanceAsync(10, 1);
  expect(await udp()).toBe(1);
});

test("a port that changes its VLAN takes its hosts out of the old one at once", async () => {
  await reachable();
  write(({ dps }) => {
    dps.s1.interfaces[3] = { native_vlan: "guests" };
  });
  app.reload?.();
  await clock.advanceAsync(10, 1);
  expect(await reachable()).toBe("h1-h4 h2-h3 h2-h5 h3-h5");
});

test("a port that mirrors others shows what they send and receive, once", async () => {
  write(({ dps }) => {
    dps.s1.interfaces[4] = { mirror: [2] };
  });
  app.reload?.();
  await clock.advanceAsync(10, 1);
  expect(await reach("h1", "h4")).toBe(true);
  shown.length = 0;
  expect(await reach("h1", "h4")).toBe(true);
  const kinds = shown.map(({ payload }) => (payload instanceof Uint8Array ? "bytes" : payload.kind));
  expect(kinds).toEqual(["arp", "arp", "ipv4", "ipv4"]);
  expect(shown.every(({ vlans }) => vlans.length === 0)).toBe(true);
});

test("a file that is wrong is refused in one line, and the last good one stays", async () => {
  writeFileSync(file, '{"dps": {"s1": {"dp_id": 1, "interfaces": {"2": {"native_vlan": "office"}}}}}');
  expect(() => app.reload?.()).toThrow(
    `${file}: dps.s1.interfaces.2.native_vlan: "office" is not the name of a VLAN; there are none`,
  );
  expect(await reachable()).toBe("h1-h2 h1-h4 h2-h4 h3-h5");
});

test("a controller that starts anew finds its flows and the hosts, and sends nothing", async () => {
  await reachable();
  await controller.stop();
  await connect();
  expect(app.counters).toMatchObject({ added: 0, removed: 0 });
  expect(await reach("h1", "h4")).toBe(true);
  write(({ dps }) => {
    dps.s1.interfaces[2] = {};
  });
  app.reload?.();
  await clock.advanceAsync(10, 1);
  expect(app.counters.removed).toBeGreaterThan(0);
  expect(await reachable()).toBe("h2-h4 h3-h5");
});

test("a host that moves is found again, one that is silent is forgotten", async () => {
  expect(await reach("h1", "h4")).toBe(true);
  fabric.network.moveHost("h1", fabric.spare(0));
  expect(await reach("h1", "h4")).toBe(true);
  expect(await reach("h4", "h1")).toBe(true);
  const body = { type: "OFPMP_AGGREGATE", table_id: 4, out_port: OFPP.ANY, out_group: OFPG.ANY } as const;
  const known = async (): Promise<number> =>
    (await run(controller.datapaths.get(1n)!.request({ type: "OFPT_MULTIPART_REQUEST", body }))).body
      .flow_count;
  // Beside the flow for what is not known.
  expect(await known()).toBe(1 + 2);
  await clock.advanceAsync(400_000, 1000);
  expect(await known()).toBe(1);
  expect(await reach("h4", "h1")).toBe(true);
});
