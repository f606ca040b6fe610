import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { VirtualClock } from "./clock.js";
import { createLog } from "./log.js";

let lines: string[];
let clock: VirtualClock;
let dir: string;
beforeEach(() => {
  lines = [];
  clock = new VirtualClock(Date.UTC(2026, 0, 31, 10));
  dir = mkdtempSync(join(tmpdir(), "sl-log-"));
});
afterEach(() => rmSync(dir, { recursive: true }));
const registry = () => createLog({ clock, console: (line) => lines.push(line) });

test("a line has time, sequence number, module, level and text", () => {
  const log = registry().module("ofproto");
  log.info("started");
  log.dbg("not by default");
  expect(lines).toEqual(["2026-01-31T10:00:00.000Z|00001|ofproto|INFO|started\n"]);
});

test("levels change while running, per module and destination, for known and for later modules", () => {
  const logs = registry();
  const [a, b] = [logs.module("a"), logs.module("b")];
  logs.setSpec("a:console:dbg");
  a.dbg("1");
  b.dbg("2");
  logs.setSpec("ANY:off");
  a.emer("3");
  logs.module("c").emer("4");
  expect(lines.map((line) => line.split("|")[4])).toEqual(["1\n"]);
  expect(a.enabled("emer")).toBe(false);
  const before = logs.list();
  logs.setSpec("syslog:off");
  expect(logs.list()).toBe(before);
  expect(() => logs.setSpec("nonesuch:dbg")).toThrow('no destination, level, or module "nonesuch"');
});

test("vlog/set without a level means dbg, as in Open vSwitch", () => {
  const logs = registry();
  logs.module("a");
  logs.setSpec("a");
  expect(logs.list()).toContain("DBG");
});

test("text from outside can neither forge a line nor drive the terminal", () => {
  registry().module("m").warn("x\n2026|00002|m|EMER|forged\u001b[2J");
  expect(lines[0]).toContain("x\\n2026|00002|m|EMER|forged\\x1b[2J\n");
  expect(lines[0]!.split("\n")).toHaveLength(2);
});

test("a line that repeats, but for its numbers, is let through 60 times and then once a second, and counted", () => {
  const logs = registry();
  const log = logs.module("m");
  for (let i = 0; i < 100; i++) log.warn(`peer 10.0.0.${i}:${1000 + i} sent garbage`);
  expect(lines).toHaveLength(60);
  expect(logs.dropped).toBe(40);
  log.warn("another thing is heard all the same");
  expect(lines).toHaveLength(61);
  clock.advance(3000);
  log.warn("peer 10.0.0.9:9 sent garbage");
  expect(lines.slice(61).map((line) => line.split("|")[4])).toEqual([
    "dropped 40 like the next line in the last 3 s\n",
    "peer 10.0.0.9:9 sent garbage\n",
  ]);
});

test("a rotated file is opened again", () => {
  const logs = registry();
  const path = join(dir, "x.log");
  logs.openFile(path);
  const log = logs.module("m");
  log.info("one");
  renameSync(path, `${path}.1`);
  logs.reopenFile();
  log.info("two");
  expect(readFileSync(`${path}.1`, "utf8")).toMatch(/\|one\n$/);
  expect(readFileSync(path, "utf8")).toMatch(/\|two\n$/);
});

test("a pattern lays out the lines of one destination, with Open vSwitch's escapes", () => {
  const logs = registry();
  const path = join(dir, "x.log");
  logs.openFile(path);
  logs.setSpec("PATTERN:console:[%-6p|%6p|%06N|%Q|%c%T|%%] %m %D{%e %b %y, %T.#####}");
  logs.module("m").info("one\u001b");
  expect(lines).toEqual(["[INFO  |  INFO|000001|Q|m|%] one\\x1b 31 Jan 26, 10:00:00.00000\n"]);
  expect(readFileSync(path, "utf8")).toBe("2026-01-31T10:00:00.000Z|00001|m|INFO|one\\x1b\n");
  expect(logs.listPatterns().split("\n").slice(2)).toEqual([
    "CONSOLE  none                              [%-6p|%6p|%06N|%Q|%c%T|%%] %m %D{%e %b %y, %T.#####}",
    "FILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c|%p|%m",
    "",
  ]);
  expect(() => logs.setSpec("PATTERN:syslog:%m")).toThrow('unknown destination "syslog"');
});

test("a closed file takes no lines until it is opened again", () => {
  const logs = registry();
  expect(() => logs.reopenFile()).toThrow("Logging to file not configured");
  const path = join(dir, "x.log");
  logs.openFile(path);
  const log = logs.module("m");
  logs.closeFile();
  log.info("one");
  logs.reopenFile();
  log.info("two");
  expect(readFileSync(path, "utf8")).toMatch(/^[^\n]*\|two\n$/);
});

test("the limit on lines that repeat is lifted for a module, and set again", () => {
  const logs = registry();
  const [a, b] = [logs.module("a"), logs.module("b")];
  const count = (log: typeof a): number => {
    const before = lines.length;
    for (let i = 0; i < 100; i++) log.warn("again");
    return lines.length - before;
  };
  logs.limitRate(["a"], false);
  expect([count(a), count(b)]).toEqual([100, 60]);
  logs.limitRate([], true);
  expect([count(a), count(b)]).toEqual([60, 0]);
  expect(() => logs.limitRate(["none"], true)).toThrow("unknown module");
});
