import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunResult, run } from "../support/process.js";

const SCRIPTS = fileURLToPath(new URL("../../scripts/", import.meta.url));

/** An npm that takes a while, installs a compiler that fails on sources that say so, and notes that it ran. */
const NPM = `
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
rmSync("node_modules", { recursive: true, force: true });
mkdirSync("node_modules/typescript/bin", { recursive: true });
await new Promise((resolve) => setTimeout(resolve, 300));
writeFileSync("node_modules/typescript/bin/tsc", \`
const { appendFileSync, mkdirSync, readFileSync, writeFileSync } = require("node:fs");
appendFileSync("calls", "tsc ");
if (readFileSync("packages/a/src/index.ts", "utf8").includes("wrong")) { console.log("index.ts: it is wrong"); process.exit(2); }
mkdirSync("packages/a/dist", { recursive: true });
writeFileSync("packages/a/dist/index.js", "");
\`);
appendFileSync("calls", \`npm-\${process.argv[2]} \`);
`;

describe("scripts/prepare.mjs", () => {
  let tree: string;
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text);
  };
  const prepare = (...nodeOptions: string[]): Promise<RunResult> =>
    run([process.execPath, ...nodeOptions, join(tree, "scripts/prepare.mjs")], {
      env: { npm_execpath: join(tree, "npm.js") },
    });
  const calls = (): string => readFileSync(join(tree, "calls"), "utf8").trim();

  beforeEach(() => {
    tree = mkdtempSync(join(tmpdir(), "sluice-prepare-"));
    for (const script of ["prepare.mjs", "link-bundled.mjs"])
      cpSync(join(SCRIPTS, script), join(tree, "scripts", script));
    write("package.json", '{ "type": "module" }');
    write("package-lock.json", "1");
    write("npm.js", NPM);
    write("tsconfig.json", "{}");
    write("tsconfig.base.json", "{}");
    write("packages/a/tsconfig.json", "{}");
    write("packages/a/package.json", "{}");
    write("packages/a/src/index.ts", "");
  });
  afterEach(() => rmSync(tree, { recursive: true, force: true }));

  test("installs and builds a fresh clone, one line a step, and does nothing the second time", async () => {
    const first = await prepare();
    expect(first.code).toBe(0);
    expect(first.stderr).toMatch(/^prepare: installing .* [\d.]+ s\nprepare: building .* [\d.]+ s\n$/);
    expect(calls()).toBe("npm-ci tsc");
    const second = await prepare();
    expect(second).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(calls()).toBe("npm-ci tsc");
  });

  test("builds again when a source was added, installs again when the lock file changed", async () => {
    await prepare();
    write("packages/a/src/more.test.ts", "");
    await prepare();
    expect(calls(), "tests are not built").toBe("npm-ci tsc");
    write("packages/a/src/more.ts", "");
    await prepare();
    expect(calls()).toBe("npm-ci tsc tsc");
    write("package-lock.json", "2");
    await prepare();
    expect(calls()).toBe("npm-ci tsc tsc npm-ci tsc");
  });

  test("builds again when the build was cleaned", async () => {
    await prepare();
    rmSync(join(tree, "packages/a/dist"), { recursive: true });
    await prepare();
    expect(calls()).toBe("npm-ci tsc tsc");
  });

  test("a failure shows the output and one clear line, and is not taken for done", async () => {
    write("packages/a/src/index.ts", "wrong");
    const failed = await prepare();
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain("index.ts: it is wrong\n");
    expect(failed.stderr.trimEnd().split("\n").at(-1)).toBe(
      "prepare: tsc -b failed: exit code 2; its output is above",
    );
    write("packages/a/src/index.ts", "right");
    expect((await prepare()).code).toBe(0);
  });

  test("runs beside each other take turns, and the work is done once", async () => {
    const results = await Promise.all([prepare(), prepare(), prepare()]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(calls()).toBe("npm-ci tsc");
  });

  test("an older Node is told in one line", async () => {
    const old =
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.0' } })";
    const result = await prepare("--import", `data:text/javascript,${encodeURIComponent(old)}`);
    expect(result.code).toBe(1);
    expect(result.stderr).toBe("prepare: Node 20.19 or later is needed; this is 18.20.0\n");
  });
});
