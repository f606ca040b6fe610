import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { selfSigned } from "../support/certificate.js";
import { scratchDir } from "../support/daemons.js";
import { check, Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith, findProgram } from "../support/requirements.js";

// OVSDB both ways: OVS's tools and daemons on our server, our tools on OVS's, files from one to the other. What each
// command prints is in ovsdb-tools.test.ts.

const programs = ["ovs-vsctl", "ovsdb-client", "ovsdb-tool", "ovsdb-server", "openssl"];
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const sluice = (...args: string[]): string[] => [process.execPath, SLUICE, ...args];

const PYTHON_IDL = `
import sys, time, ovs.db.idl, ovs.poller
helper = ovs.db.idl.SchemaHelper(sys.argv[2]); helper.register_all()
idl = ovs.db.idl.Idl(sys.argv[1], helper)
while not idl.has_ever_connected():
    idl.run(); p = ovs.poller.Poller(); idl.wait(p); p.timer_wait(100); p.block()
root = next(iter(idl.tables["Open_vSwitch"].rows.values()))
txn = ovs.db.idl.Transaction(idl)
bridge = txn.insert(idl.tables["Bridge"]); bridge.name = "brp"; bridge.other_config = {"a": "b"}
root.verify("bridges"); root.addvalue("bridges", bridge)
print(txn.commit_block())
bridge = next(b for b in idl.tables["Bridge"].rows.values() if b.name == "brp")
txn = ovs.db.idl.Transaction(idl)
bridge.setkey("other_config", "c", "d"); bridge.flood_vlans = [1, 2]
print(txn.commit_block(), ",".join("%s=%s" % kv for kv in sorted(bridge.other_config.items())), bridge.flood_vlans)
txn = ovs.db.idl.Transaction(idl)
root.delvalue("bridges", bridge); bridge.delete()
print(txn.commit_block(), len(idl.tables["Bridge"].rows))
`;

describeWith({ programs }, "OVSDB and its peers", () => {
  const dir = scratchDir();
  const file = (name: string): string => join(dir, name);
  const daemons: Daemon[] = [];
  let ours: string;
  let theirs: string;

  beforeAll(async () => {
    ours = `unix:${file("ours.sock")}`;
    theirs = `unix:${file("theirs.sock")}`;
    await check(["ovsdb-tool", "create", file("theirs.db"), SCHEMA]);
    daemons.push(
      new Daemon(
        sluice("ovsdb-server", file("ours.db"), `--remote=p${ours}`, `--unixctl=${file("ours.ctl")}`),
      ),
      new Daemon([
        findProgram("ovsdb-server")!,
        file("theirs.db"),
        `--remote=p${theirs}`,
        `--unixctl=${file("theirs.ctl")}`,
        "--no-self-confinement",
      ]),
    );
    for (const server of [ours, theirs])
      await check(sluice("vsctl", "--retry", "--timeout=15", `--db=${server}`, "--no-wait", "init"));
  });

  afterAll(async () => {
    for (const daemon of daemons) await daemon.stop();
    rmSync(dir, { recursive: true });
  });

  test("both servers have the same schema, and both clients show the same of both", async () => {
    for (const tool of [["ovsdb-client"], sluice("ovsdb-client")]) {
      for (const command of ["list-dbs", "get-schema", "get-schema-version"]) {
        const [a, b] = [await check([...tool, command, ours]), await check([...tool, command, theirs])];
        expect(a).toBe(b);
      }
    }
    await check([
      "ovs-vsctl",
      `--db=${theirs}`,
      "--no-wait",
      "add-br",
      "brd",
      "--",
      "set",
      "bridge",
      "brd",
      "other_config:a=b",
    ]);
    for (const format of ["table", "list", "csv", "json"]) {
      const args = [`--format=${format}`, "dump", theirs, "Open_vSwitch"];
      const trim = (text: string): string => text.replace(/ +\n/g, "\n");
      expect(trim(await check(sluice("ovsdb-client", ...args)))).toBe(
        trim(await check(["ovsdb-client", ...args])),
      );
    }
    await check(["ovs-vsctl", `--db=${theirs}`, "--no-wait", "del-br", "brd"]);
  });

  test("a file of ours is read by ovsdb-tool, one of theirs by us, and a backup of either is restored to the other", async () => {
    await check(["ovs-vsctl", `--db=${ours}`, "--no-wait", "add-br", "brf"]);
    expect(await check(["ovsdb-tool", "show-log", file("ours.db")])).toContain("add-br brf");
    const query = '["Open_vSwitch",{"op":"select","table":"Bridge","where":[],"columns":["name"]}]';
    expect(await check(["ovsdb-tool", "query", file("ours.db"), query])).toContain('"brf"');
    expect(await check(sluice("ovsdb-tool", "db-version", file("theirs.db")))).toBe("8.3.1\n");
    expect(await check(sluice("ovsdb-tool", "show-log", file("theirs.db")))).toBe(
      await check(["ovsdb-tool", "show-log", file("theirs.db")]),
    );
    const backup = await check(sluice("ovsdb-client", "backup", ours));
    await check(sluice("ovsdb-client", "restore", theirs), { input: backup });
    expect(await check(["ovs-vsctl", `--db=${theirs}`, "list-br"])).toBe("brf\n");
    const again = await check(["ovsdb-client", "backup", theirs]);
    await check(sluice("ovsdb-client", "restore", ours), { input: again });
    expect(await check(["ovs-vsctl", `--db=${ours}`, "list-br"])).toBe("brf\n");
    await check(["ovs-vsctl", `--db=${ours}`, "--no-wait", "del-br", "brf"]);
  });

  test("the Python IDL replicates, inserts, changes and deletes", async () => {
    const { code, stdout } = await run(["/usr/bin/python3", "-c", PYTHON_IDL, ours, SCHEMA]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "success\nsuccess a=b,c=d [1, 2]\nsuccess 0\n" });
  });

  test("TLS: both ends show certificates, and a client without one is refused", async () => {
    const { key, cert } = await selfSigned(dir, "known");
    const tls = [`--private-key=${key}`, `--certificate=${cert}`, `--ca-cert=${cert}`];
    const server = new Daemon(
      sluice("ovsdb-server", file("tls.db"), "--remote=pssl:0:127.0.0.1", "--unixctl=none", ...tls),
    );
    daemons.push(server);
    await server.prints(/listening on pssl:\d+/);
    const target = `ssl:127.0.0.1:${/listening on pssl:(\d+)/.exec(server.output)![1]}`;
    await check(["ovs-vsctl", ...tls, "--timeout=10", `--db=${target}`, "--no-wait", "add-br", "brt"]);
    expect(await check(sluice("vsctl", ...tls, "--timeout=10", `--db=${target}`, "list-br"))).toBe("brt\n");
    const other = await selfSigned(dir, "stranger");
    const stranger = [`--private-key=${other.key}`, `--certificate=${other.cert}`, `--ca-cert=${cert}`];
    expect(
      (await run(sluice("vsctl", ...stranger, "--timeout=10", `--db=${target}`, "list-br"))).code,
    ).not.toBe(0);
  });

  test("control commands say the same on both servers", async () => {
    const ask = async (server: string, ...command: string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await run(["ovs-appctl", "-t", file(`${server}.ctl`), ...command]);
      return { code, stdout, stderr: stderr.replace(/^ovs-appctl: .*ctl: /m, "") };
    };
    const same = [
      ["ovsdb-server/list-dbs"],
      ["ovsdb-server/get-db-storage-status", "Open_vSwitch"],
      ["ovsdb-server/get-db-storage-status", "nope"],
      ["ovsdb-server/sync-status"],
      ["ovsdb-server/compact"],
      ["ovsdb-server/compact", "nope"],
      ["ovsdb-server/remove-db", "nope"],
      ["ovsdb-server/remove-db", "_Server"],
      ["ovsdb-server/reconnect"],
      ["ovsdb-server/tlog-set", "Open_vSwitch:Bridge", "on"],
      ["ovsdb-server/tlog-set", "Open_vSwitch:Nope", "on"],
      ["ovsdb-server/tlog-set", "nope:Bridge", "on"],
      ["ovsdb-server/tlog-set", "Bridge", "on"],
      ["ovsdb-server/tlog-set", "Open_vSwitch:Bridge", "maybe"],
      ["ovsdb-server/tlog-set", "Open_vSwitch:Bridge"],
      ["ovsdb-server/tlog-list"],
      ["ovsdb-server/tlog-set", "Open_vSwitch:Bridge", "off"],
      ["ovsdb-server/tlog-list"],
    ];
    for (const command of same)
      expect([command, await ask("ours", ...command)]).toEqual([command, await ask("theirs", ...command)]);
    const count = /^(atoms:\d+ )?cells:\d+ monitors:\d+ n-weak-refs:\d+( sessions:\d+)?\n$/;
    for (const server of ["ours", "theirs"])
      expect(await ask(server, "memory/show")).toEqual({
        code: 0,
        stdout: expect.stringMatching(count),
        stderr: "",
      });
  });

  test("changes of a table are logged while somebody wants it, in the same words", async () => {
    const logged: string[][] = [];
    for (const [i, [target, server]] of [[ours, "ours"] as const, [theirs, "theirs"] as const].entries()) {
      const log = async (state: string): Promise<void> => {
        const set = ["ovsdb-server/tlog-set", "Open_vSwitch:Queue", state];
        await check(["ovs-appctl", "-t", file(`${server}.ctl`), ...set]);
      };
      const change = (...args: string[]): Promise<string> =>
        check(["ovs-vsctl", "--timeout=10", `--db=${target}`, "--no-wait", ...args]);
      await log("on");
      await change(
        "--id=@q",
        "create",
        "Queue",
        "dscp=3",
        "--",
        "create",
        "QoS",
        "type=linux-htb",
        "queues=1=@q",
      );
      await change(
        "set",
        "Queue",
        await change("--bare", "--columns=_uuid", "find", "Queue").then((id) => id.trim()),
        "external_ids:a=b c",
      );
      await change("--all", "destroy", "QoS");
      await change("--all", "destroy", "Queue");
      await log("off");
      await change(
        "--id=@q",
        "create",
        "Queue",
        "dscp=9",
        "--",
        "create",
        "QoS",
        "type=linux-htb",
        "queues=1=@q",
      );
      await change("--all", "destroy", "QoS", "--", "--all", "destroy", "Queue");
      const daemon = daemons[i]!;
      const lines = (): string[] =>
        [...daemon.output.matchAll(/table:Queue,(.*)$/gm)].map(([, line]) => line!);
      await until(() => lines().length >= 3, "three lines of the log");
      logged.push(
        lines().map((line) =>
          line
            .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "_")
            .split(",")
            .sort()
            .join(),
        ),
      );
    }
    expect(logged[0]).toEqual(logged[1]);
    expect(logged[0]).toEqual([
      "_uuid:_,_version:_,dscp:3,external_ids:{},op:inserted,other_config:{}",
      '_uuid:_,_version:_,dscp:3,external_ids:{a="b c"},op:updated,other_config:{}',
      '_uuid:_,_version:_,dscp:3,external_ids:{a="b c"},op:deleted,other_config:{}',
    ]);
  });

  test("a client is sent away by reconnect, and comes back", async () => {
    const { Idl, OpenVSwitch } = await import("@sluice/ovsdb");
    for (const [target, server] of [
      [ours, "ours"],
      [theirs, "theirs"],
    ] as const) {
      const idl = new Idl(OpenVSwitch, { connect: target, tables: { Bridge: ["name"] } }).start();
      try {
        await idl.synced();
        const away = new Promise((resolve) => idl.events.once("disconnected", resolve));
        await check(["ovs-appctl", "-t", file(`${server}.ctl`), "ovsdb-server/reconnect"]);
        await away;
        await idl.synced();
      } finally {
        idl.close();
      }
    }
  });

  test("a second server, a damaged file and a port in use are each refused in one line", async () => {
    const second = await run(sluice("ovsdb-server", file("ours.db"), "--unixctl=none"));
    expect(second).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^[^\n]*in use by another server[^\n]*\n$/),
    });
    const theirsToo = await run(sluice("ovsdb-server", file("theirs.db"), "--unixctl=none"));
    expect(theirsToo).toMatchObject({ code: 1, stderr: expect.stringMatching(/in use by another server/) });
    const oursToo = await run([
      findProgram("ovsdb-server")!,
      file("ours.db"),
      `--unixctl=${file("second.ctl")}`,
      "--no-self-confinement",
    ]);
    expect(oursToo).toMatchObject({ code: 1, stderr: expect.stringMatching(/failed to lock lockfile/) });
    expect((await run(["ovsdb-tool", "compact", file("ours.db")])).code).toBe(1);
    copyFileSync(SCHEMA, file("damaged.db"));
    const damaged = await run(sluice("ovsdb-server", file("damaged.db"), "--unixctl=none"));
    expect(damaged).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^[^\n]*not a database[^\n]*\n$/),
    });
    const taken = await run(sluice("ovsdb-server", file("other.db"), `--remote=p${ours}`, "--unixctl=none"));
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringMatching(/^[^\n]*already in use[^\n]*\n$/) });
  });
});

describeWith({ programs: ["ovsdb-tool"] }, "durability", () => {
  /** `npm run test:soak` has more of them. */
  const kills = Number(process.env.SLUICE_KILLS ?? 5);

  test(
    "after SIGKILL at random moments every acknowledged durable transaction is there, none half applied",
    async () => {
      const { OvsdbClient } = await import("@sluice/ovsdb");
      const dir = scratchDir();
      const db = join(dir, "conf.db");
      const target = `unix:${join(dir, "db.sock")}`;
      const acknowledged = new Set<string>();
      let count = 0;
      try {
        for (let round = 0; round < kills; round++) {
          const server = new Daemon(sluice("ovsdb-server", db, `--remote=p${target}`, "--unixctl=none"));
          await check(sluice("vsctl", "--retry", "--timeout=15", `--db=${target}`, "--no-wait", "init"));
          const enough = 20 + Math.floor(Math.random() * 300);
          let thisRound = 0;
          const load = async (): Promise<void> => {
            const client = await OvsdbClient.connect(target);
            try {
              for (;;) {
                const name = `t${count++}`;
                // Two rows that belong together, in two tables: both or neither.
                await client.transact("Open_vSwitch", [
                  { op: "insert", table: "QoS", row: { type: name } },
                  { op: "insert", table: "Queue", row: { external_ids: ["map", [["of", name]]] } },
                  { op: "commit", durable: true },
                ]);
                acknowledged.add(name);
                if (++thisRound === enough) server.signal("SIGKILL");
              }
            } catch {
              client.close();
            }
          };
          await Promise.all([load(), load(), load(), load()]);
        }
        const select = (table: string, column: string): unknown => ({
          op: "select",
          table,
          where: [],
          columns: [column],
        });
        const query = JSON.stringify([
          "Open_vSwitch",
          select("QoS", "type"),
          select("Queue", "external_ids"),
        ]);
        // The last record may be torn: our tool leaves it out, as the server does.
        const [qos, queues] = JSON.parse(await check(sluice("ovsdb-tool", "query", db, query))) as [
          { rows: { type: string }[] },
          { rows: { external_ids: [string, [string, string][]] }[] },
        ];
        const stored = new Set(qos.rows.map((row) => row.type));
        const partners = new Set(queues.rows.map((row) => row.external_ids[1][0]![1]));
        expect([...acknowledged].filter((name) => !stored.has(name))).toEqual([]);
        expect([...stored].sort()).toEqual([...partners].sort());
        expect(acknowledged.size).toBeGreaterThan(100);
      } finally {
        rmSync(dir, { recursive: true });
      }
    },
    60_000 + 10_000 * kills,
  );

  test("after SIGKILL at each step of a compaction the database is whole, for our server and ovsdb-tool", async () => {
    const { OvsdbClient } = await import("@sluice/ovsdb");
    const dir = scratchDir();
    const db = join(dir, "conf.db");
    const target = `unix:${join(dir, "db.sock")}`;
    const ctl = join(dir, "ctl");
    const preload = [
      "--import",
      fileURLToPath(new URL("../fixtures/kill-in-compaction.mjs", import.meta.url)),
    ];
    const expected: string[] = [];
    const stored = async (): Promise<string[]> => {
      const query = JSON.stringify([
        "Open_vSwitch",
        { op: "select", table: "QoS", where: [], columns: ["type"] },
      ]);
      const [text, theirs] = await Promise.all([
        check(sluice("ovsdb-tool", "query", db, query)),
        check(["ovsdb-tool", "query", db, query]),
      ]);
      const types = (json: string): string[] =>
        (JSON.parse(json) as [{ rows: { type: string }[] }])[0].rows.map((row) => row.type).sort();
      expect(types(theirs)).toEqual(types(text));
      return types(text);
    };
    // The new file's opening, its writing, its sync, the rename, the directory's sync, the old file's end.
    const points = ["openSync:0", "writeSync:0", "writeSync:3", "writeSync:5", "fsyncSync:0", "renameSync:0"];
    points.push("openSync:1", "fsyncSync:1", "closeSync:1");
    try {
      for (const point of points) {
        const argv = [SLUICE, "ovsdb-server", db, `--remote=p${target}`, `--unixctl=${ctl}`];
        const server = new Daemon([process.execPath, ...preload, ...argv], { env: { KILL_AT: point } });
        await check(sluice("vsctl", "--retry", "--timeout=15", `--db=${target}`, "--no-wait", "init"));
        const client = await OvsdbClient.connect(target);
        await client.transact("Open_vSwitch", [
          { op: "insert", table: "QoS", row: { type: point } },
          { op: "insert", table: "Queue", row: {} },
          { op: "commit", durable: true },
        ]);
        expected.push(point);
        const gone = new Promise((resolve) => client.events.once("close", resolve));
        const { code, stderr } = await run(sluice("appctl", "-t", ctl, "ovsdb-server/compact"));
        expect([point, code, stderr]).toEqual([point, 1, expect.stringContaining("closed")]);
        await gone;
        await server.stop();
        expect(await stored()).toEqual(expected.toSorted());
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  }, 120_000);
});
