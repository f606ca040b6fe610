import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run, SLUICE, until } from "../support/process.js";

/** Not one that has ended and that nobody has asked after. */
const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));

/** The daemons as scripts written for Open vSwitch start and stop them. */
describe("--detach", () => {
  const rundir = mkdtempSync(join(tmpdir(), "sluice-detach-"));
  const db = `unix:${rundir}/db.sock`;
  const sluice = (...args: string[]) => run([SLUICE, ...args], { env: { SLUICE_RUNDIR: rundir } });
  const file = (name: string): string => join(rundir, name);
  const pid = (name: string): number => Number(readFileSync(file(`${name}.pid`), "utf8"));
  const server = (...args: string[]) => sluice("ovsdb-server", file("conf.db"), "--detach", ...args);

  const stop = async (name: string): Promise<void> => {
    if (!existsSync(file(`${name}.pid`))) return;
    process.kill(pid(name));
    await until(() => !existsSync(file(`${name}.pid`)), `${name} to end`);
  };

  beforeAll(async () => {
    const started = await server(`--remote=p${db}`, "--pidfile", `--log-file=${file("db.log")}`);
    expect(started).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  afterAll(async () => {
    for (const name of ["sluice-controller", "ovs-vswitchd", "ovsdb-server"]) await stop(name);
    rmSync(rundir, { recursive: true });
  });

  test("ovsdb-server serves when the command returns, in a process of its own", async () => {
    expect(await sluice("ovsdb-client", "list-dbs", db)).toMatchObject({ code: 0 });
    const stat = readFileSync(`/proc/${pid("ovsdb-server")}/stat`, "utf8");
    // pid (comm) state ppid pgrp session …: the leader of its session.
    expect(Number(stat.replace(/.*\) /s, "").split(" ")[3])).toBe(pid("ovsdb-server"));
  });

  test("what keeps it from serving is told, and is the exit code", async () => {
    expect(await server("--remote=punix:/no/such/directory/db.sock")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^sluice ovsdb-server: .*conf.db: is in use by another server \(pid \d+\)\n$/,
      ),
    });
    const other = await sluice("ovsdb-server", "--detach", file("no/such.db"));
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/^sluice ovsdb-server: .*such\.db.*\n$/);
  });

  test("vswitchd has done what the database says when the command returns; its log is in the file", async () => {
    expect(await sluice("vsctl", "--no-wait", "add-br", "br0")).toMatchObject({ code: 0 });
    const started = await sluice("vswitchd", db, "--detach", "--pidfile", "--log-file", "--dummy-fallback");
    expect(started.code).toBe(0);
    expect(await sluice("ofctl", "show", "br0")).toMatchObject({ code: 0 });
    await sluice("vsctl", "add-br", "br1");
    expect(readFileSync(file("ovs-vswitchd.log"), "utf8")).toMatch(/bridge br1: added interface br1/);
    expect((await sluice("appctl", "vlog/list")).stdout).toMatch(/^bridge +OFF +INFO$/m);
  });

  test("--monitor starts a daemon anew that is killed, and not one that is stopped", async () => {
    const socket = `unix:${file("m.sock")}`;
    const log = file("m.log");
    const args = [
      file("m.db"),
      `--remote=p${socket}`,
      `--pidfile=${file("monitored.pid")}`,
      `--log-file=${log}`,
    ];
    expect(await sluice("ovsdb-server", "--detach", "--monitor", ...args)).toMatchObject({ code: 0 });
    const first = pid("monitored");
    const parent = Number(readFileSync(`/proc/${first}/stat`, "latin1").replace(/.*\) /s, "").split(" ")[1]);
    process.kill(first, "SIGKILL");
    await until(() => pid("monitored") !== first, "another process");
    expect(await sluice("ovsdb-client", "list-dbs", socket)).toMatchObject({ code: 0 });
    const told = /daemon\|WARN\|started anew: the process before ended \(SIGKILL\)/;
    await until(() => told.test(readFileSync(log, "utf8")), "the log to tell of it");
    await stop("monitored");
    await until(() => !isAlive(parent), "the monitor to end");
  });

  test("examples/service/restart-vswitchd.sh keeps groups, meters and flows", async () => {
    const changes = [
      ["add-meter", "meter=3 kbps burst bands=type=drop rate=1000 burst_size=200"],
      ["add-meter", "meter=4 pktps bands=type=drop rate=9 type=dscp_remark rate=5 prec_level=1"],
      ["add-group", "group_id=4,type=select,bucket=weight:2,actions=output:1,bucket=actions=output:2"],
      ["add-flow", "table=2,cookie=0x5,priority=7,ip,nw_dst=10.0.0.2,actions=meter:3,group:4"],
      ["add-flow", "priority=1,hard_timeout=3000,actions=NORMAL"],
    ];
    for (const [command, what] of changes)
      expect(await sluice("ofctl", command!, "br0", what!)).toMatchObject({ code: 0, stderr: "" });
    const tables = () =>
      Promise.all(
        ["dump-meters", "dump-groups", "dump-flows"].map((what) =>
          sluice("ofctl", "--no-stats", what, "br0"),
        ),
      );
    const [before, running] = [await tables(), pid("ovs-vswitchd")];
    const script = new URL("../../examples/service/restart-vswitchd.sh", import.meta.url).pathname;
    const env = { SLUICE_RUNDIR: rundir, SLUICE };
    const restarted = await run([script, "--dummy-fallback"], { env, timeoutMs: 60_000 });
    expect(restarted.code, restarted.stderr).toBe(0);
    expect(pid("ovs-vswitchd")).not.toBe(running);
    expect(await tables()).toEqual(before);
    expect(before[2]!.stdout).toContain("actions=meter:3,group:4");
    expect((await sluice("vsctl", "get", "Open_vSwitch", ".", "other_config")).stdout).toBe("{}\n");
  });

  test("controller", async () => {
    const started = await sluice("controller", "--detach", "--pidfile", `punix:${file("c.sock")}`);
    expect(started).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(existsSync(file("c.sock"))).toBe(true);
  });

  test("a bug that ends a daemon is in its log, with where it is", async () => {
    const app = file("bug.mjs");
    const faulty = "setTimeout(function late() { throw new Error('oh no'); }, 0);";
    writeFileSync(app, `export default () => { ${faulty} return { name: "bug", events: {} }; };`);
    const log = file("bug.log");
    const ended = await sluice("controller", `punix:${file("b.sock")}`, "--app", app, "--log-file", log);
    expect(ended.code).toBe(1);
    expect(readFileSync(log, "utf8")).toMatch(/\|daemon\|EMER\|Error: oh no.*at .*late .*bug\.mjs/);
  });
});
