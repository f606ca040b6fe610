// Transactions on our OVSDB server and on ovsdb-server, in turn, per second of the server's CPU time: that is the
// figure that does not depend on who else uses the machine. Needs ovsdb-server and ovsdb-tool for the comparison.
import { spawnSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuSeconds, daemon, until } from "./lib/shell.mjs";

export const title =
  "OVSDB transactions and monitor updates per second of the server's CPU; opening a large file";

const SLUICE = fileURLToPath(new URL("../packages/cli/bin/sluice.js", import.meta.url));
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const DATABASE = "Open_vSwitch";

const servers = [
  {
    name: "sluice",
    argv: (db, sock, dir) => [
      process.execPath,
      SLUICE,
      "ovsdb-server",
      db,
      `--remote=punix:${sock}`,
      `--unixctl=${dir}/ours.ctl`,
    ],
  },
  {
    name: "ovsdb-server",
    prepare: (db) => spawnSync("ovsdb-tool", ["create", db, SCHEMA]),
    argv: (db, sock, dir) => [
      "ovsdb-server",
      db,
      `--remote=punix:${sock}`,
      `--unixctl=${dir}/theirs.ctl`,
      "--no-self-confinement",
      "-vconsole:off",
    ],
  },
];

/** A connection that keeps `depth` requests in flight, and counts what comes back. */
class Load {
  #socket;
  #depth = 0;
  #isString = false;
  #isEscaped = false;
  answers = 0;
  onAnswer = () => {};

  constructor(sock) {
    this.#socket = connect(sock);
    this.#socket.on("data", (chunk) => this.#count(chunk));
    this.#socket.on("error", () => {});
  }

  send(method, params) {
    this.#socket.write(JSON.stringify({ method, params, id: 1 }));
  }

  /** Messages end where their outermost brace closes; what is in them does not matter here. */
  #count(chunk) {
    for (const byte of chunk) {
      if (this.#isString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === 0x5c) this.#isEscaped = true;
        else if (byte === 0x22) this.#isString = false;
      } else if (byte === 0x22) this.#isString = true;
      else if (byte === 0x7b) this.#depth++;
      else if (byte === 0x7d && --this.#depth === 0) {
        this.answers++;
        this.onAnswer();
      }
    }
  }

  ask(method, params) {
    return new Promise((resolve) => {
      this.onAnswer = resolve;
      this.send(method, params);
    });
  }

  end() {
    this.onAnswer = () => {};
    this.#socket.destroy();
  }
}

const qos = randomUUID();
let names = 0;
const kinds = {
  insert: () => [{ op: "insert", table: "Queue", row: { dscp: names++ % 64 } }],
  mutate: (where) => [{ op: "mutate", table: "Open_vSwitch", where, mutations: [["next_cfg", "+=", 1]] }],
  "select by uuid": (where) => [{ op: "select", table: "Open_vSwitch", where, columns: ["next_cfg"] }],
  "select by index": () => [
    { op: "select", table: "Bridge", where: [["name", "==", "br0"]], columns: ["datapath_type"] },
  ],
  "durable insert": () => [
    { op: "insert", table: "Queue", row: { dscp: names++ % 64 } },
    { op: "commit", durable: true },
  ],
};

export async function run(ctx) {
  const dir = mkdtempSync(join(tmpdir(), "sl-bench-"));
  ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }));
  const present = servers.filter(
    ({ name }) => name === "sluice" || spawnSync("ovsdb-server", ["--version"]).error === undefined,
  );
  const started = [];
  for (const [i, server] of present.entries()) {
    const [db, sock] = [join(dir, `${i}.db`), join(dir, `${i}.sock`)];
    server.prepare?.(db);
    const process = daemon(server.argv(db, sock, dir));
    ctx.cleanup(() => process.stop());
    await until(() => spawnSync("test", ["-S", sock]).status === 0, `${server.name} to listen`);
    const root = randomUUID();
    const setup = new Load(sock);
    await setup.ask("transact", [
      DATABASE,
      { op: "insert", table: "Bridge", row: { name: "br0" }, "uuid-name": "br" },
      { op: "insert", table: "Open_vSwitch", uuid: root, row: { bridges: ["named-uuid", "br"] } },
      { op: "insert", table: "QoS", uuid: qos, row: {} },
    ]);
    setup.end();
    started.push({ ...server, sock, pid: process.pid, where: [["_uuid", "==", ["uuid", root]]] });
  }
  for (const kind of Object.keys(kinds))
    for (const connections of [1, 10])
      ctx.row(
        await compare(ctx, started, `${kind}, ${connections} conn.`, "per CPU-s", (server) =>
          transactions(server, kinds[kind], connections, ctx.seconds),
        ),
      );
  ctx.row(
    await compare(ctx, started, "updates to 100 monitors", "per CPU-s", (server) =>
      updates(server, ctx.seconds),
    ),
  );
  const large = join(dir, "large.db");
  if (present.length === 2) {
    writeLargeFile(large);
    const opened = (figure) => async (server) => (await open(server, large, dir))[figure];
    const less = "(less is better)";
    ctx.row(await compare(ctx, present, `opening ${ROWS} rows ${less}`, "ms", opened("milliseconds")));
    ctx.row(await compare(ctx, present, `memory with ${ROWS} rows ${less}`, "MB", opened("megabytes")));
  }
}

async function compare(ctx, started, what, unit, measure) {
  const samples = new Map(started.map(({ name }) => [name, []]));
  for (let round = 0; round < ctx.rounds; round++)
    for (const server of started) samples.get(server.name).push(await measure(server));
  const row = { what, unit };
  for (const [name, values] of samples) row[name] = ctx.figure(ctx.median(values));
  if (started.length === 2)
    row.ratio = ctx.figure(ctx.median(samples.get("sluice")) / ctx.median(samples.get("ovsdb-server")));
  return row;
}

const ROWS = 100_000;

/** A database file of 100,000 rows, each of a transaction of its own. */
function writeLargeFile(path) {
  const record = (json) => {
    const body = `${JSON.stringify(json)}\n`;
    return `OVSDB JSON ${Buffer.byteLength(body)} ${createHash("sha1").update(body).digest("hex")}\n${body}`;
  };
  const records = [record(JSON.parse(readFileSync(SCHEMA, "utf8")))];
  for (let i = 0; i < ROWS; i++) {
    const external_ids = ["map", [["iface-id", `port-${i}`]]];
    const other_config = ["map", [["max-rate", String(1000 * i)]]];
    const row = { dscp: i % 64, external_ids, other_config };
    records.push(record({ Queue: { [randomUUID()]: row }, _date: 1, _comment: "bench", _is_diff: true }));
  }
  writeFileSync(path, records.join(""));
}

/** Milliseconds until a server that is started on the file answers, and its resident memory then. */
async function open(server, file, dir) {
  const [db, sock] = [join(dir, "open.db"), join(dir, "open.sock")];
  copyFileSync(file, db);
  rmSync(sock, { force: true });
  const start = performance.now();
  const process = daemon(server.argv(db, sock, mkdtempSync(join(dir, "open-"))));
  try {
    const isThere = () => spawnSync("test", ["-S", sock]).status === 0;
    while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 5));
    const load = new Load(sock);
    await load.ask("transact", [DATABASE, { op: "select", table: "Bridge", where: [] }]);
    const milliseconds = performance.now() - start;
    load.end();
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process.pid}/status`, "utf8"));
    return { milliseconds, megabytes: kilobytes / 1024 };
  } finally {
    await process.stop();
  }
}

const DEPTH = 20;

async function transactions({ sock, pid, where }, operations, connections, seconds) {
  const loads = Array.from({ length: connections }, () => new Load(sock));
  const more = (load) => load.send("transact", [DATABASE, ...operations(where)]);
  for (const load of loads) {
    load.onAnswer = () => more(load);
    for (let i = 0; i < DEPTH; i++) more(load);
  }
  const rate = await perCpuSecond(pid, loads, seconds);
  for (const load of loads) load.end();
  return rate;
}

async function updates({ sock, pid, where }, seconds) {
  const monitors = [];
  // One after the other: ovsdb-server's socket refuses more than 64 at a time.
  while (monitors.length < 100) {
    const load = new Load(sock);
    monitors.push(load);
    await load.ask("monitor", [DATABASE, "m", { Open_vSwitch: { columns: ["next_cfg"] } }]);
  }
  for (const load of monitors) load.onAnswer = () => {};
  const writer = new Load(sock);
  const more = () => writer.send("transact", [DATABASE, ...kinds.mutate(where)]);
  // One at a time: the updates of each are delivered before the next is made.
  writer.onAnswer = more;
  more();
  const rate = await perCpuSecond(pid, monitors, seconds);
  for (const load of [writer, ...monitors]) load.end();
  return rate;
}

async function perCpuSecond(pid, loads, seconds) {
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const count = () => loads.reduce((sum, load) => sum + load.answers, 0);
  await wait(300);
  const [answersBefore, cpuBefore] = [count(), cpuSeconds(pid)];
  await wait(seconds * 1000);
  return (count() - answersBefore) / (cpuSeconds(pid) - cpuBefore);
}
