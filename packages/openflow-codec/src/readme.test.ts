import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as codec from "./index.js";
import * as schema from "./schema/index.js";

/** The README's examples run, and the values that their comments tell of are right. */

const readme = readFileSync(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8");
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((found) => found[1]!);

test("there are three examples", () => expect(examples).toHaveLength(3));

test.each(examples)("example %#", (example) => {
  const names = Object.keys({ ...codec, ...schema });
  const checks: [unknown, unknown][] = [];
  const source = example
    .replace(/^import .*$/gm, "")
    .replace(
      /^(.*); \/\/ (.*)$/gm,
      (_, expression: string, value: string) => `check(${expression}, (${value}));`,
    );
  new Function(...names, "check", `{${source}}`)(
    ...Object.values({ ...codec, ...schema }),
    (a: unknown, b: unknown) => checks.push([a, b]),
  );
  expect(checks.length).toBeGreaterThan(0);
  for (const [value, wanted] of checks) expect(value).toEqual(wanted);
});
