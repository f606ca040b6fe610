import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sluice } from "../../packages/cli/src/testing.js";
import { scratchDir } from "../support/daemons.js";
import { CLIENT_LINES, TOOL_LINES, TOOLS_SCHEMA, VSCTL_LINES } from "../support/ovsdb-tool-lines.js";
import { check, Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith, findProgram } from "../support/requirements.js";

// The same command lines by OVS's tools and by ours, on ovsdb-server and on ours: output and exit code.

const programs = ["ovs-vsctl", "ovsdb-client", "ovsdb-tool", "ovsdb-server"];
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

const strike = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID")
    .replace(/\b[0-9a-f]{8}\b/g, "HEX8")
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}/g, "DATE")
    .replace(/(compacted|converted) by .*"/, '$1 by TOOL"');

/** Characters in order: the same text with its lines, cells or members in another one is the same. */
const unordered = (text: string): string => [...text].sort().join("");

const words = (line: string): string[] => line.match(/[[{].*[\]}](?= |$)|(?:[^\s"]|"[^"]*")+/g) ?? [];

type Runner = (words: readonly string[]) => Promise<{ code: number | null; stdout: string; stderr: string }>;

/** What came of each line: `line => exit code` and the output. An error says why, in one line where it is ours. */
async function play(table: string, runner: Runner, isOurs: boolean): Promise<string[]> {
  const transcript: string[] = [];
  for (const text of table.trim().split("\n")) {
    const isUnordered = text.startsWith("~ ");
    const line = isUnordered ? text.slice(2) : text;
    const { code, stdout, stderr } = await runner(words(line));
    if (code !== 0 && isOurs && stderr) expect(stderr, line).toMatch(/^sluice [^\n]+\n$/);
    const shown = isUnordered ? unordered(strike(stdout)) : strike(stdout);
    transcript.push(`${line} => ${code}\n${shown}`);
  }
  return transcript;
}

describeWith({ programs }, "the OVSDB tools beside Open vSwitch's", () => {
  const dir = scratchDir();
  const file = (name: string): string => join(dir, name);
  const daemons: Daemon[] = [];
  const servers = { ours: `unix:${file("ours.sock")}`, theirs: `unix:${file("theirs.sock")}` };
  const T2 = structuredClone(TOOLS_SCHEMA) as {
    version: string;
    tables: { A: { columns: Record<string, object> } };
  };
  T2.version = "1.2.4";
  T2.tables.A.columns.more = { type: "integer" };
  delete T2.tables.A.columns.b;
  const T3 = structuredClone(T2);
  T3.tables.A.columns.i = { type: { key: { type: "integer", maxInteger: 5 } } };

  beforeAll(async () => {
    for (const [name, schema] of Object.entries({ T: TOOLS_SCHEMA, T2, T3 }))
      writeFileSync(file(`${name}.schema`), JSON.stringify(schema));
    await check(["ovsdb-tool", "create", file("theirs.db"), SCHEMA]);
    for (const name of ["ours", "theirs"])
      await check(["ovsdb-tool", "create", file(`${name}.t.db`), file("T.schema")]);
    const argv = (name: "ours" | "theirs"): string[] => [
      file(`${name}.db`),
      file(`${name}.t.db`),
      `--remote=p${servers[name]}`,
      `--unixctl=${file(`${name}.ctl`)}`,
    ];
    daemons.push(
      new Daemon([process.execPath, SLUICE, "ovsdb-server", ...argv("ours")]),
      new Daemon([findProgram("ovsdb-server")!, ...argv("theirs"), "--no-self-confinement"]),
    );
    for (const server of Object.values(servers)) {
      const isThere = async () => (await run(["ovsdb-client", "list-dbs", server])).code === 0;
      await until(isThere, `${server} to answer`);
      await check(["ovs-vsctl", `--db=${server}`, "--no-wait", "init"]);
    }
  });

  afterAll(async () => {
    for (const daemon of daemons) await daemon.stop();
    rmSync(dir, { recursive: true });
  });

  const theirTool =
    (...tool: string[]): Runner =>
    (argv) =>
      // ovsdb-tool leaves a lock file beside a database that there is not: not in the project's tree.
      run([...tool, ...argv], { cwd: dir });
  const ourTool =
    (...tool: string[]): Runner =>
    (argv) =>
      sluice([...tool, ...argv]);

  test("vsctl", async () => {
    const on = (server: string): string[] => [`--db=${server}`, "--no-wait"];
    const { ours, theirs } = servers;
    const reference = await play(VSCTL_LINES, theirTool("ovs-vsctl", ...on(theirs)), false);
    expect(await play(VSCTL_LINES, theirTool("ovs-vsctl", ...on(ours)), false)).toEqual(reference);
    expect(await play(VSCTL_LINES, ourTool("vsctl", ...on(ours)), true)).toEqual(reference);
    expect(await play(VSCTL_LINES, ourTool("vsctl", ...on(theirs)), true)).toEqual(reference);
  }, 120_000);

  test("ovsdb-client", async () => {
    const names = (server: string) => (word: string) =>
      word === "SRV" ? server : word === "OVS_SCHEMA" ? SCHEMA : word.endsWith(".schema") ? file(word) : word;
    const on =
      (runner: Runner, server: string): Runner =>
      (argv) =>
        runner(argv.map(names(server)));
    const { ours, theirs } = servers;
    const [their, our] = [theirTool("ovsdb-client"), ourTool("ovsdb-client")];
    const reference = await play(CLIENT_LINES, on(their, theirs), false);
    expect(await play(CLIENT_LINES, on(our, theirs), true)).toEqual(reference);
    expect(await play(CLIENT_LINES, on(their, ours), false)).toEqual(reference);
    expect(await play(CLIENT_LINES, on(our, ours), true)).toEqual(reference);
  }, 120_000);

  test("a server that connects out serves the client that waits for it", async () => {
    const target = file("out.sock");
    for (const ctl of ["ours.ctl", "theirs.ctl"]) {
      const waiting = run(["ovsdb-client", "list-dbs", `punix:${target}`]);
      await until(() => existsSync(target), "ovsdb-client to listen");
      await check(["ovs-appctl", "-t", file(ctl), "ovsdb-server/add-remote", `unix:${target}`]);
      const theirs = (await waiting).stdout;
      rmSync(target, { force: true });
      // The server tries again until our client is there.
      const ours = await sluice(["ovsdb-client", "-t", "20", "list-dbs", `punix:${target}`]);
      expect(ours).toEqual({ code: 0, stdout: theirs, stderr: "" });
      await check(["ovs-appctl", "-t", file(ctl), "ovsdb-server/remove-remote", `unix:${target}`]);
      rmSync(target, { force: true });
    }
  }, 60_000);

  test("ovsdb-tool", async () => {
    const on =
      (runner: Runner, prefix: string): Runner =>
      (argv) =>
        runner(
          argv.map((word) =>
            /^(DB\d?|OVS)$/.test(word)
              ? file(`${prefix}.${word}`)
              : /\.schema$/.test(word)
                ? file(word)
                : word,
          ),
        );
    const reference = await play(TOOL_LINES, on(theirTool("ovsdb-tool"), "a"), false);
    expect(await play(TOOL_LINES, on(ourTool("ovsdb-tool"), "b"), true)).toEqual(reference);
  });
});
