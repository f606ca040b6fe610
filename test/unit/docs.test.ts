import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { run } from "../support/process.js";

const root = fileURLToPath(new URL("../../", import.meta.url));

test.each(["README.md", "docs/architecture.md"])("every path that %s names exists", (document) => {
  const text = readFileSync(root + document, "utf8");
  const named = [...text.matchAll(/`((?:packages|test|docs|bench|scripts|examples)\/[\w./-]+)`/g)].map(
    (m) => m[1]!,
  );
  const linked = [...text.matchAll(/\]\(((?!https?:)[^)#]+)\)/g)].map((m) => {
    const path = m[1]!;
    return document.startsWith("docs/") ? `docs/${path}` : path;
  });
  const missing = [...named, ...linked].filter((path) => !existsSync(root + path));
  expect(missing).toEqual([]);
});

test("the program in the lab's README does what it says, and ends", async () => {
  const [, program] = /```js\n(.*?)```/s.exec(readFileSync(`${root}packages/lab/README.md`, "utf8"))!;
  const ran = await run([process.execPath, "--input-type=module", "-e", program!], { cwd: root });
  expect(ran).toEqual({ code: 0, stdout: `${/\/\/ (\d.*)/.exec(program!)![1]}\n`, stderr: "" });
});
