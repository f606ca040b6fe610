import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon, type RunResult, run, SLUICE } from "../support/process.js";

const start = (...args: string[]): Promise<RunResult> =>
  run([process.execPath, SLUICE, "start", ...args], { timeoutMs: 30_000 });
const FREE_PORTS = ["--ovsdb-port=0", "--controller-port=0"];

describe("sluice start", () => {
  let rundir: string;
  beforeAll(() => {
    rundir = mkdtempSync(join(tmpdir(), "sl-"));
  });
  afterAll(() => rmSync(rundir, { recursive: true, force: true }));

  test("--once: every host pings every other through the learning switch, and the sockets are removed", async () => {
    const { code, stdout, stderr } = await start("--once", "--hosts=3", ...FREE_PORTS, `--rundir=${rundir}`);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    for (const pair of ["h1 -> h2", "h1 -> h3", "h2 -> h1", "h2 -> h3", "h3 -> h1", "h3 -> h2"]) {
      expect(stdout).toContain(`ping ${pair}: 3 sent, 3 received`);
    }
    expect(stdout).toMatch(/^ ?cookie=.* priority=1,.*dl_dst=00:00:00:00:00:01.* actions=output:"?p?1"?$/m);
    expect(stdout).toMatch(/priority=0 actions=CONTROLLER:65535$/m);
    expect(readdirSync(rundir)).toEqual([]);
  });

  test("stays up until SIGTERM, then stops cleanly with exit code 0; what it prints to point tools at is there", async () => {
    const daemon = new Daemon([process.execPath, SLUICE, "start", "--hosts=2", ...FREE_PORTS]);
    try {
      await daemon.prints(/The flows in br0 now/);
      const dir = /unix:(\/\S+)\/db\.sock/.exec(daemon.output)![1]!;
      expect(readdirSync(dir).sort()).toEqual(expect.arrayContaining(["br0.mgmt", "br0.snoop", "db.sock"]));
      const mgmt = /ofctl dump-flows (unix:\S+)/.exec(daemon.output)![1]!;
      const flows = await run([process.execPath, SLUICE, "ofctl", "dump-flows", mgmt]);
      expect(flows.stdout).toContain("priority=0 actions=CONTROLLER:65535");
      expect(await daemon.stop("SIGTERM")).toBe(0);
      expect(daemon.output).toMatch(/\nstopping\n$/);
      expect(existsSync(dir)).toBe(false);
    } finally {
      daemon.kill();
    }
  });

  test.each([
    ["--ovsdb-port", "--controller-port=0"],
    ["--controller-port", "--ovsdb-port=0"],
  ])("a port in use gives one line that names it and %s, and exit code 1", async (option, other) => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    const { port } = blocker.address() as { port: number };
    try {
      const { code, stdout, stderr } = await start(`${option}=${port}`, other);
      expect(stderr).toBe(
        `sluice start: cannot listen on port ${port} of 127.0.0.1: already in use by another program; ${option} chooses another\n`,
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    } finally {
      blocker.close();
    }
  });

  test.each([
    [["--hosts=1"], '--hosts: "1" is not a number from 2 to 32'],
    [["--ovsdb-port=70000"], '--ovsdb-port: "70000" is not a number from 0 to 65535'],
    [
      ["--controller=ptcp:6653"],
      "--controller ptcp:6653: a target to connect to is needed, such as tcp:127.0.0.1:6653",
    ],
    [
      ["--controller=tcp:h:1", "--controller-port=1"],
      "--controller-port is of our controller, which --controller leaves out",
    ],
    [["--nonsense"], "unknown option --nonsense (try --help)"],
    [["now"], 'unexpected argument "now" (try --help)'],
  ])("%j is refused in one line", async (args, line) => {
    expect(await start(...args)).toEqual({ code: 1, stdout: "", stderr: `sluice start: ${line}\n` });
  });

  test("--help tells the options", async () => {
    const { code, stdout } = await start("--help");
    expect(code).toBe(0);
    for (const option of [
      "--controller",
      "--controller-port",
      "--ovsdb-port",
      "--rundir",
      "--hosts",
      "--once",
    ]) {
      expect(stdout).toContain(option);
    }
  });
});
