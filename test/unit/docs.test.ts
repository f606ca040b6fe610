import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

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
