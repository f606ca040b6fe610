import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** The layers: what each room may import from, beside itself and Node. DESIGN: "Dependencies point one way". */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  runtime: [],
  "openflow-codec": ["wire"],
  ovsdb: ["runtime"],
  switch: ["wire", "runtime", "openflow-codec", "ovsdb"],
  controller: ["wire", "runtime", "openflow-codec"],
  lab: ["wire", "runtime", "openflow-codec", "ovsdb", "switch"],
  cli: ["wire", "runtime", "openflow-codec", "ovsdb", "switch", "controller", "lab"],
};

/** Inside the switch. main.ts, vswitchd.ts and appctl wire the rooms together and may look into all. */
const SWITCH_ROOMS: Readonly<Record<string, readonly string[]>> = {
  flow: [],
  classifier: ["flow"],
  dpif: ["flow"],
  netdev: [],
  datapath: ["dpif", "flow", "netdev"],
  ofproto: ["classifier", "flow", "dpif"],
  connmgr: ["ofproto"],
  bridge: ["ofproto", "connmgr", "netdev", "dpif"],
  appctl: ["bridge", "connmgr", "ofproto", "classifier", "flow", "dpif"],
};

const packagesDir = fileURLToPath(new URL("../../packages/", import.meta.url));

function sources(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => join(dir, file));
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g,
    ),
  ].map((match) => (match[1] ?? match[2])!);
}

test.each(Object.keys(PACKAGES))("package %s imports only the packages below it", (name) => {
  const dir = join(packagesDir, name);
  const wrong = sources(join(dir, "src")).flatMap((file) =>
    importsOf(file)
      .map((target) => /^@sluice\/([^/]+)/.exec(target)?.[1])
      .filter((target) => target !== undefined && target !== name && !PACKAGES[name]!.includes(target))
      .map((target) => `${relative(packagesDir, file)} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("every package is in the table of layers", () => {
  expect(readdirSync(packagesDir).sort()).toEqual(Object.keys(PACKAGES).sort());
});

test.each(Object.keys(SWITCH_ROOMS))("switch/%s imports only the rooms below it", (room) => {
  const src = join(packagesDir, "switch", "src");
  const wrong = sources(join(src, room)).flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith("."))
      .map((target) => relative(src, join(file, "..", target)).split(sep))
      .filter((path) => path[0] !== room && !SWITCH_ROOMS[room]!.includes(path[0]!))
      .map((path) => `${relative(src, file)} imports ${path.join("/")}`),
  );
  expect(wrong).toEqual([]);
});
