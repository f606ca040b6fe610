import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { scratchDir } from "../support/daemons.js";
import { check, Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith, findProgram } from "../support/requirements.js";

// Active-backup pairs of ovsdb-server and ours, either of them in either part.

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const programs = ["ovs-vsctl", "ovs-appctl", "ovsdb-tool", "ovsdb-server"];

/** What both servers answer alike, in the order in which it is asked of a backup of ACTIVE. */
const COMMANDS = `
sync-status
get-active-ovsdb-server
get-sync-exclude-tables
set-sync-exclude-tables Open_vSwitch:QoS
get-sync-exclude-tables
set-active-ovsdb-server-probe-interval zz
set-active-ovsdb-server-probe-interval 10000
set-active-ovsdb-server
disconnect-active-ovsdb-server
sync-status
get-active-ovsdb-server
set-active-ovsdb-server unix:/nowhere
connect-active-ovsdb-server
sync-status
set-active-ovsdb-server ACTIVE
get-active-ovsdb-server
`;

describeWith({ programs }, "active-backup pairs with ovsdb-server", () => {
  const dir = scratchDir();
  const file = (name: string): string => join(dir, name);
  const daemons: Daemon[] = [];
  const ctl = (name: string, ...args: string[]) => run(["ovs-appctl", "-t", file(`${name}.ctl`), ...args]);
  const vsctl = (name: string, ...args: string[]): Promise<string> =>
    check(["ovs-vsctl", `--db=unix:${file(`${name}.sock`)}`, "--no-wait", "--timeout=15", ...args]);
  const theirs = [findProgram("ovsdb-server") ?? "", "--no-self-confinement"];
  const ours = [process.execPath, SLUICE, "ovsdb-server"];

  const start = async (name: string, argv: readonly string[], ...options: string[]): Promise<void> => {
    await check(["ovsdb-tool", "create", file(`${name}.db`), SCHEMA]);
    const where = [`--remote=punix:${file(`${name}.sock`)}`, `--unixctl=${file(`${name}.ctl`)}`];
    daemons.push(new Daemon([...argv, file(`${name}.db`), ...where, ...options]));
    const isThere = async () => (await run(["ovs-appctl", "-t", file(`${name}.ctl`), "version"])).code === 0;
    await until(isThere, `${name} to answer`);
  };

  beforeAll(async () => {
    await start("active.theirs", theirs);
    await start("active.ours", ours);
    await start("backup.ours", ours, `--sync-from=unix:${file("active.theirs.sock")}`);
    await start("backup.theirs", theirs, `--sync-from=unix:${file("active.ours.sock")}`);
  });
  afterAll(async () => {
    for (const daemon of daemons) await daemon.stop();
    rmSync(dir, { recursive: true });
  });

  const pairs = [
    { active: "active.theirs", backup: "backup.ours" },
    { active: "active.ours", backup: "backup.theirs" },
  ];

  test.each(pairs)("$backup follows $active and takes over from it", async ({ active, backup }) => {
    await vsctl(active, "add-br", "br0", "--", "add-port", "br0", "p0");
    await until(async () => (await vsctl(backup, "list-br")) === "br0\n", "the bridge to be replicated");
    expect(await vsctl(backup, "list-ports", "br0")).toBe("p0\n");
    await vsctl(active, "set", "bridge", "br0", "datapath_type=netdev");
    await until(
      async () => (await vsctl(backup, "get", "bridge", "br0", "datapath_type")) === "netdev\n",
      "the change to be replicated",
    );
    const refused = await run([
      "ovs-vsctl",
      `--db=unix:${file(`${backup}.sock`)}`,
      "--no-wait",
      "del-br",
      "br0",
    ]);
    expect(refused.code).not.toBe(0);
  });

  test("the control commands of a backup are ovsdb-server's", async () => {
    const transcript = async (name: string, active: string): Promise<string> => {
      let text = "";
      for (const line of COMMANDS.trim().split("\n")) {
        const [command, ...args] = line.replace("ACTIVE", active).split(" ");
        const { code, stdout, stderr } = await ctl(name, `ovsdb-server/${command}`, ...args);
        text += `${line} => ${code}\n${stdout}${stderr}`
          .replaceAll(active, "ACTIVE")
          .replaceAll(name, "NAME");
      }
      return text;
    };
    const [toOurs, toTheirs] = ["active.ours", "active.theirs"].map((name) => `unix:${file(`${name}.sock`)}`);
    expect(await transcript("backup.ours", toTheirs!)).toBe(await transcript("backup.theirs", toOurs!));
  });

  test("a server that was given none has nothing to connect to", async () => {
    const ask = (name: string) => ctl(name, "ovsdb-server/connect-active-ovsdb-server");
    expect(await ask("active.ours")).toEqual(await ask("active.theirs"));
  });

  test("what a backup has taken over it keeps, and changes", async () => {
    for (const { backup } of pairs) {
      await check(["ovs-appctl", "-t", file(`${backup}.ctl`), "ovsdb-server/disconnect-active-ovsdb-server"]);
      await vsctl(backup, "add-br", "br1");
      expect(await vsctl(backup, "list-br")).toBe("br0\nbr1\n");
    }
  });
});
