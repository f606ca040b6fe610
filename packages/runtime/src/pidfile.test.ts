import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readPidfile, writePidfile } from "./pidfile.js";
import { runDir } from "./rundir.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-pid-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

test("holds the process id and goes when removed", () => {
  const path = join(dir, "x.pid");
  const remove = writePidfile(path);
  expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
  remove();
  expect(existsSync(path)).toBe(false);
});

test("a dead or unrelated process's file is replaced", () => {
  const path = join(dir, "x.pid");
  for (const stale of ["1\n", "999999999\n", "garbage"]) {
    writeFileSync(path, stale);
    writePidfile(path);
    expect(readPidfile(path)).toBe(process.pid);
  }
});

test("$SLUICE_RUNDIR comes before $OVS_RUNDIR", () => {
  expect(runDir({ SLUICE_RUNDIR: "/a", OVS_RUNDIR: "/b" })).toBe("/a");
  expect(runDir({ OVS_RUNDIR: "/b" })).toBe("/b");
});
