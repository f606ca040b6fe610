#!/usr/bin/env node
// Links the workspaces that a package bundles (bundleDependencies) into the package's own node_modules: `npm pack`
// takes them from there, and leaves out what it only finds linked above. So the package works taken on its own.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packagesDir = join(dirname(fileURLToPath(import.meta.url)), "..", "packages");

export function linkBundled() {
  const manifests = readdirSync(packagesDir)
    .map((name) => join(packagesDir, name))
    .filter((folder) => existsSync(join(folder, "package.json")))
    .map((folder) => ({ folder, manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) }));
  for (const { folder, manifest } of manifests) {
    for (const name of manifest.bundleDependencies ?? []) {
      const target = manifests.find((other) => other.manifest.name === name).folder;
      const link = join(folder, "node_modules", name);
      mkdirSync(dirname(link), { recursive: true });
      rmSync(link, { recursive: true, force: true });
      symlinkSync(target, link, "junction");
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) linkBundled();
