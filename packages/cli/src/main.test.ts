import { expect, test } from "vitest";
import { sluice } from "./testing.js";
import { version } from "./version.js";

test("the version and the help are told", async () => {
  expect(await sluice(["--version"])).toEqual({ code: 0, stdout: `sluice ${version()}\n`, stderr: "" });
  expect((await sluice(["--help"])).stdout).toMatch(/^ {2}ofctl +\S/m);
});

test.each([
  "vsctl",
  "ofctl",
  "appctl",
  "dpctl",
  "ovsdb-client",
  "ovsdb-tool",
  "ovsdb-server",
  "vswitchd",
  "controller",
])("%s tells its version, and takes the -v of scripts written for Open vSwitch", async (command) => {
  const { code, stdout } = await sluice([command, "-vconsole:off", "-vsyslog:err", "--version"]);
  expect(code).toBe(0);
  expect(stdout.split("\n")[0]).toBe(`sluice ${command} ${version()}`);
});

test.each([
  [[], "sluice: no command given; the commands are start, "],
  [["nope"], "sluice: unknown command nope; the commands are "],
  [["--nope"], "sluice: unknown option --nope; "],
  [["ovs-vsctl"], "sluice: unknown command ovs-vsctl (did you mean vsctl?); the commands are "],
  [["ofctl", "dump-flwos"], "sluice ofctl: unknown command 'dump-flwos' (did you mean dump-flows?)"],
  [["vsctl", "add-brr"], "sluice vsctl: unknown command 'add-brr' (did you mean add-br?); use --help"],
  [["vsctl", "--tmeout=1"], "sluice vsctl: unrecognized option '--tmeout' (did you mean --timeout?)"],
  [["ofctl", "--timeot=1"], "sluice ofctl: unknown option --timeot (did you mean --timeout?)"],
  [["ofctl"], "sluice ofctl: no COMMAND given"],
  [["ofctl", "nope"], "sluice ofctl: unknown command 'nope'"],
  [["ofctl", "--nope"], "sluice ofctl: unknown option --nope"],
  [["ofctl", "show"], "sluice ofctl: 'show' command requires at least 1 arguments"],
  [["ofctl", "show", "a", "b"], "sluice ofctl: 'show' command takes at most 1 arguments"],
  [
    ["ofctl", "-O", "OpenFlow10", "show", "a"],
    "sluice ofctl: OpenFlow10: not spoken; sluice speaks OpenFlow13",
  ],
  [["ofctl", "show", "a"], "sluice ofctl: a is not a bridge or a socket (no /nowhere/a.mgmt)"],
  [["ofctl", "-t", "x", "decode"], 'sluice ofctl: "x" is not a number of seconds'],
  [
    ["ofctl", "--read-only", "del-flows", "a"],
    "sluice ofctl: 'del-flows' command does not work in read only mode",
  ],
  [["appctl"], "sluice appctl: no COMMAND given"],
  [["appctl", "version"], "sluice appctl: /nowhere/ovs-vswitchd.pid: no such pid file"],
  [["dpctl", "show"], "sluice appctl: /nowhere/ovs-vswitchd.pid: no such pid file"],
])("%j fails with one line and exit code 1", async (argv, line) => {
  const result = await sluice(argv as string[], "", { SLUICE_RUNDIR: "/nowhere" });
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr.replace("sluice dpctl", "sluice appctl")).toContain(line);
  expect(result.stderr.split("\n")).toHaveLength(2);
});
