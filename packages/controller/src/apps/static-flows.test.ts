import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ethernet } from "@sluice/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeSwitch } from "../testing/fake-switch.js";
import { staticFlows } from "./static-flows.js";

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-flows-"));
  file = join(dir, "flows");
});
afterEach(() => rmSync(dir, { recursive: true }));

const frame = ethernet({ src: "02:00:00:00:00:0a" }, new Uint8Array(46));

test("flows of files and of the settings are on each switch, and follow the file at a reload", () => {
  writeFileSync(file, "# a comment\n\nin_port=1 actions=2   # here, too\nin_port=2,actions=1\n");
  const app = staticFlows({ files: [file], flows: ["in_port=3,actions=4"] });
  const sw = new FakeSwitch([app]);
  expect([1, 2, 3, 4].map((port) => sw.receive(port, frame))).toEqual([[2], [1], [4], []]);
  const before = sw.sent.length;
  writeFileSync(file, "in_port=1 actions=2\nin_port=4,actions=1\n");
  app.reload?.();
  expect([1, 2, 3, 4].map((port) => sw.receive(port, frame))).toEqual([[2], [], [4], [1]]);
  expect(sw.sent.length - before).toBe(2);
  sw.setApps([]);
  expect(sw.flows).toEqual([]);
});

test("what is wrong is told with its place, and a reload leaves things as they are", () => {
  expect(() => staticFlows({ files: [join(dir, "none")] })).toThrow(/none: no such file$/);
  expect(() => staticFlows({ flows: ["actions=2", "in_port=1 actions=nonesuch"] })).toThrow(/^flows\[1\]: /);
  writeFileSync(file, "in_port=1 actions=2\n");
  const app = staticFlows({ files: [file] });
  const sw = new FakeSwitch([app]);
  writeFileSync(file, "in_port=1 actions=2\nin_port=x actions=2\n");
  expect(() => app.reload?.()).toThrow(/flows:2: /);
  expect(sw.receive(1, frame)).toEqual([2]);
});
