import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "../support/process.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = `
import { decode, encode, formatMessage, type MessageInitOf, parseFlow } from "@sluice/openflow-codec";
import { oxmRows } from "@sluice/openflow-codec/schema";

const flow: MessageInitOf<"OFPT_FLOW_MOD"> = parseFlow("priority=5,ip,nw_dst=10.0.0.0/8,actions=NORMAL");
console.log(formatMessage(decode(encode(flow))), typeof oxmRows);
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-pack-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("npm pack makes a package that works in a folder of its own, types too", async () => {
  const packed = await run(["npm", "pack", "--json", "--pack-destination", folder], {
    cwd: join(root, "packages/openflow-codec"),
  });
  expect(packed.code, packed.stderr).toBe(0);
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  const home = join(folder, "node_modules/@sluice/openflow-codec");
  mkdirSync(home, { recursive: true });
  const untar = await run(["tar", "xzf", join(folder, filename), "--strip-components=1", "-C", home]);
  expect(untar.code, untar.stderr).toBe(0);
  // What npm would fetch: the one dependency that is not ours.
  cpSync(join(root, "node_modules/binary-parser"), join(folder, "node_modules/binary-parser"), {
    recursive: true,
  });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "main.ts"), PROGRAM);
  const options = ["--strict", "--target", "es2023", "--module", "nodenext"];
  const compiled = await run(
    [process.execPath, join(root, "node_modules/typescript/bin/tsc"), ...options, "main.ts"],
    {
      cwd: folder,
    },
  );
  expect(compiled.stdout + compiled.stderr).toBe("");
  const ran = await run([process.execPath, "main.js"], { cwd: folder });
  expect(ran).toEqual({
    code: 0,
    stdout: "OFPT_FLOW_MOD (OF1.3) (xid=0x0): ADD priority=5,ip,nw_dst=10.0.0.0/8 actions=NORMAL function\n",
    stderr: "",
  });
});
