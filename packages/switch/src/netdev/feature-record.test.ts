import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FeatureRecord, type FoundFeature } from "./feature-record.js";

/** What is done to devices is tried in test/system/merged-segments.test.ts; here there are none of these names. */

const tx: FoundFeature = { device: "no-such-dev", ifindex: 3, feature: "tx", found: true };
const NO_PROCESS = 2 ** 22 + 1;

let dir: string;
let lines: string[];
let record: FeatureRecord;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-"));
  lines = [];
  const note = (text: string): void => void lines.push(text);
  record = new FeatureRecord(dir, { info: note, warn: note });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const path = (pid: number): string => join(dir, `ovs-vswitchd.${pid}.features`);
/** A file as this process would leave it, but for what is said here. */
async function leave(pid: number, change: object): Promise<string> {
  await record.keep([tx]);
  const file = JSON.parse(readFileSync(path(process.pid), "utf8")) as object;
  await record.keep([]);
  writeFileSync(path(pid), JSON.stringify({ ...file, pid, ...change }));
  return path(pid);
}

test("the file is there while there is something to put back, and says what came last", async () => {
  const gro: FoundFeature = { ...tx, feature: "gro", found: false };
  expect(await Promise.all([record.keep([tx]), record.keep([gro]), record.keep([tx, gro])])).toEqual([
    true,
    true,
    true,
  ]);
  expect(JSON.parse(readFileSync(path(process.pid), "utf8"))).toMatchObject({
    pid: process.pid,
    features: [tx, gro],
  });
  expect(readdirSync(dir)).toHaveLength(1);
  await record.putBack();
  expect(readdirSync(dir)).toEqual([]);
  expect(lines).toEqual([]);
});

test("where it cannot be written it says so once, and that it is not kept", async () => {
  rmSync(dir, { recursive: true });
  expect([await record.keep([tx]), await record.keep([tx])]).toEqual([false, false]);
  expect(lines).toEqual([expect.stringMatching(/ENOENT.*features.*left as it is/)]);
});

test("what a dead process left is taken, whether or not its devices are there", async () => {
  const left = await leave(NO_PROCESS, { started: "1" });
  record.recover();
  expect(existsSync(left)).toBe(false);
  expect(lines).toEqual([]);
});

test("a number that was given again is another process", async () => {
  const left = await leave(process.pid, { started: "1" });
  record.recover();
  expect(existsSync(left)).toBe(false);
});

test("what is of one that runs, or of another namespace, is left; what is of another boot is gone", async () => {
  const elsewhere = await leave(NO_PROCESS, { netns: "0" });
  const before = await leave(NO_PROCESS + 1, { boot: "another" });
  const running = await leave(process.pid, {});
  record.recover();
  expect([running, elsewhere, before].map(existsSync)).toEqual([true, true, false]);
  expect(lines).toEqual([]);
});

test.each([
  ["", /not JSON/],
  ['{"pid":1', /not JSON/],
  ["null", /no record/],
  ['{"pid":1,"started":"1","boot":"","netns":"","features":[{"device":"p1"}]}', /no record/],
])("a file that says %j costs one line", (text, line) => {
  writeFileSync(path(1), text);
  record.recover();
  expect(lines).toEqual([expect.stringMatching(line)]);
  expect(readdirSync(dir)).toEqual([]);
});

test("a device that cannot be one costs one line, too", async () => {
  await leave(NO_PROCESS, { features: [{ ...tx, device: "../x" }] });
  record.recover();
  expect(lines).toEqual([expect.stringMatching(/not a device's name; it is removed/)]);
});
