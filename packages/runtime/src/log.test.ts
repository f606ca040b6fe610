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
    "40 lines dropped in the last 3 s, the last: peer 10.0.0.99:1099 sent garbage\n",
    "peer 10.0.0.9:9 sent garbage\n",
  ]);
});

test("what was dropped is told of by itself, too, when nothing like it comes any more", () => {
  const logs = registry();
  const log = logs.module("m");
  for (let i = 0; i < 61; i++) log.warn(`peer ${i}`);
  clock.advance(9_999);
  expect(lines).toHaveLength(60);
  clock.advance(1);
  expect(lines.slice(60).map((line) => line.split("|").slice(2).join("|"))).toEqual([
    "m|WARN|1 line dropped in the last 10 s, the last: peer 60\n",
  ]);
  for (let i = 0; i < 61; i++) log.warn(`peer ${i}`);
  logs.reportDropped();
  expect(lines.at(-1)).toContain("51 lines dropped in the last 1 s, the last: peer 60");
  clock.advance(60_000);
  expect(lines).toHaveLength(61 + 10 + 1);
});

test("a flood of lines about one peer drops none about another; all together have a limit", () => {
  const log = registry().module("m");
  for (let i = 0; i < 1000; i++) log.warn(`10.0.0.1:${i} sent garbage`, "10.0.0.1");
  expect(lines).toHaveLength(60);
  log.warn("10.0.0.2:1 sent garbage", "10.0.0.2");
  expect(lines).toHaveLength(61);
  for (let i = 3; i <= 1000; i++) log.warn(`10.0.${i >> 8}.${i & 255}:1 sent garbage`, String(i));
  expect(lines).toHaveLength(60 * 16);
  clock.advance(10_000);
  const told = lines.slice(60 * 16).map((line) => line.split("|")[4]);
  expect(told).toEqual([
    "940 lines dropped in the last 10 s, the last: 10.0.0.1:999 sent garbage\n",
    "99 lines dropped in the last 10 s, the last: 10.0.3.232:1 sent garbage\n",
  ]);
});

test("what is forgotten since there are too many kinds of lines is told of before", () => {
  const log = registry().module("m");
  for (let i = 0; i < 61; i++) log.warn("again");
  for (let i = 0; i < 1024; i++) log.dbg("not written");
  const word = (i: number): string =>
    String.fromCharCode(103 + (i % 20), 103 + (Math.floor(i / 20) % 20), 103 + Math.floor(i / 400));
  for (let i = 0; i < 1024; i++) log.warn(word(i));
  expect(lines.filter((line) => line.includes("1 line dropped"))).toHaveLength(1);
  expect(lines).toHaveLength(60 + 1024 + 1);
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
