import { createLog, VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { jsonLines } from "./json-lines.js";

test("lines are pino's, with levels by module as the registry has them; nothing from outside drives a terminal", () => {
  const lines: string[] = [];
  const clock = new VirtualClock(1000);
  const logs = createLog({ clock, console: (line) => lines.push(line), format: jsonLines() });
  const [a, b] = [logs.module("a"), logs.module("b")];
  logs.setSpec("a:console:dbg");
  a.dbg("one");
  b.dbg("not asked for");
  clock.advance(5);
  b.emer("two\n\u001b[2J\u009b2J %s");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 20, time: 1000, module: "a", seq: 1, msg: "one", pid: process.pid },
    { level: 60, time: 1005, module: "b", seq: 2, msg: "two\n\u001b[2J\u009b2J %s" },
  ]);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  expect(lines.join("")).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});
