import { readFileSync } from "node:fs";
import { ethernet } from "@sluice/wire";
import { expect, test } from "vitest";
import { tinySwitch } from "../example/tiny-switch.js";
import { FakeSwitch } from "./testing/fake-switch.js";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

test("the README shows the example as it is, in under 30 lines", () => {
  const example = read("../example/tiny-switch.ts");
  expect(read("../README.md")).toContain(`\`\`\`ts\n${example}\`\`\``);
  expect(example.split("\n").length).toBeLessThan(30);
});

test("the README's learning switch learns", () => {
  const [A, B] = ["00:00:00:00:00:0a", "00:00:00:00:00:0b"];
  const frame = (src: string, dst: string) => ethernet({ src, dst }, new Uint8Array(46));
  const sw = new FakeSwitch([tinySwitch()]);
  expect(sw.receive(1, frame(A, B))).toEqual([2, 3, 4]);
  expect(sw.receive(2, frame(B, A))).toEqual([1]);
  expect(sw.receive(1, frame(A, B))).toEqual([2]);
  expect(sw.receive(1, frame(A, B))).toEqual([2]);
  expect(sw.packetIns).toBe(3);
});
