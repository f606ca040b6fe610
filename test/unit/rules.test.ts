import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Rules of DESIGN that hold everywhere and can be seen in the text of a source file. */
const RULES: readonly { rule: string; pattern: RegExp; allowed: readonly string[] }[] = [
  {
    rule: "only the clock reads the time or sets a timer",
    pattern: /\bDate\.now\(|\bperformance\.now\(|(?<![.\w])set(?:Timeout|Interval)\((?!\w+: )/,
    allowed: ["runtime/src/clock.ts"],
  },
  { rule: "only the command line talks to the terminal", pattern: /\bconsole\./, allowed: [] },
  { rule: "there are no default exports", pattern: /^export default /m, allowed: [] },
  { rule: "nothing is left for later", pattern: /\b(?:TODO|FIXME|XXX)\b/, allowed: [] },
];

const packagesDir = fileURLToPath(new URL("../../packages/", import.meta.url));
const sources = readdirSync(packagesDir).flatMap((name) =>
  readdirSync(join(packagesDir, name, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.test\.ts$|testkit/.test(file))
    .map((file) => join(packagesDir, name, "src", file)),
);

test.each(RULES)("$rule", ({ pattern, allowed }) => {
  const wrong = sources
    .map((file) => relative(packagesDir, file))
    .filter((file) => !allowed.includes(file))
    .filter((file) => pattern.test(readFileSync(join(packagesDir, file), "utf8")));
  expect(wrong).toEqual([]);
});
