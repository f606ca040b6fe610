#!/usr/bin/env node
// Makes a fresh clone ready to run: checks Node, installs what package-lock.json says, builds what is not built.
// Needs nothing but Node and npm. A tree that is ready costs a few hundred `stat` calls.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { linkBundled } from "./link-bundled.mjs";

const LEAST_NODE = [20, 19];
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const packagesDir = join(root, "packages");
// Stamps live in node_modules, so that they vanish with what they speak of.
const installStamp = join(root, "node_modules", ".sluice", "installed");
const buildStamp = join(root, "node_modules", ".sluice", "built");

const steps = [
  { name: "installing dependencies (npm ci)", isDone: isInstalled, run: install },
  { name: "building (tsc -b)", isDone: isBuilt, run: build },
];

/** Brings the tree up to date. Throws a `PrepareError` of one line, after showing the output of what failed. */
export function prepare() {
  checkNode();
  if (steps.every((step) => step.isDone())) return;
  const unlock = lock();
  try {
    // Asked again: another run may have done it while this one waited.
    for (const step of steps) if (!step.isDone()) timed(step);
  } finally {
    unlock();
  }
}

export class PrepareError extends Error {}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])) return;
  throw new PrepareError(`Node ${LEAST_NODE.join(".")} or later is needed; this is ${process.versions.node}`);
}

function timed({ name, run }) {
  const start = performance.now();
  process.stderr.write(`prepare: ${name} ... `);
  try {
    run();
  } catch (error) {
    process.stderr.write("failed\n");
    throw error;
  }
  process.stderr.write(`${((performance.now() - start) / 1000).toFixed(1)} s\n`);
}

// What is installed is right when it was made from this lock file, for this platform.
function lockFingerprint() {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  return hash.update(`${process.platform} ${process.arch}`).digest("hex");
}

function isInstalled() {
  if (readText(installStamp) === lockFingerprint()) return true;
  // Installed by hand: npm leaves a lock of its own, newer than the one it was made from.
  const byNpm = mtimeOf(join(root, "node_modules", ".package-lock.json"));
  if (existsSync(installStamp) || byNpm <= mtimeOf(join(root, "package-lock.json"))) return false;
  writeStamp(installStamp, lockFingerprint());
  return true;
}

function install() {
  // Development dependencies are wanted also where NODE_ENV says production: the compiler is one.
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund"];
  const npm = process.env.npm_execpath;
  if (npm?.endsWith(".js")) runTool(process.execPath, [npm, ...args], "npm ci");
  else runTool(process.platform === "win32" ? "npm.cmd" : "npm", args, "npm ci");
  writeStamp(installStamp, lockFingerprint());
}

// What is built is right when no source was added, removed or touched since.
function sourceFingerprint() {
  const hash = createHash("sha256");
  const add = (path) => {
    const { mtimeMs, size } = statSync(path);
    hash.update(`${path} ${mtimeMs} ${size}\n`);
  };
  const addFolder = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) addFolder(path);
      else if (entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts")) add(path);
    }
  };
  add(join(root, "tsconfig.json"));
  add(join(root, "tsconfig.base.json"));
  for (const name of packageNames()) {
    add(join(packagesDir, name, "tsconfig.json"));
    addFolder(join(packagesDir, name, "src"));
  }
  return hash.digest("hex");
}

function isBuilt() {
  const isThere = packageNames().every((name) => existsSync(join(packagesDir, name, "dist", "index.js")));
  return isThere && readText(buildStamp) === sourceFingerprint();
}

function build() {
  const before = sourceFingerprint();
  runTool(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b"], "tsc -b");
  linkBundled();
  writeStamp(buildStamp, before);
}

const packageNames = () =>
  readdirSync(packagesDir).filter((name) => existsSync(join(packagesDir, name, "tsconfig.json")));

function runTool(command, args, name) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 1024 * 1024,
    shell: command.endsWith(".cmd"),
  });
  if (result.status === 0) return;
  process.stderr.write(`\n${result.stdout ?? ""}${result.stderr ?? ""}`);
  const how =
    result.error?.message ?? (result.signal ? `was ended by ${result.signal}` : `exit code ${result.status}`);
  throw new PrepareError(`${name} failed: ${how}; its output is above`);
}

// One run at a time changes the tree: the others wait for the file that names the one's process to go. It lies
// outside the tree, because `npm ci` begins by removing node_modules.
function lock() {
  const key = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const path = join(tmpdir(), `sluice-prepare-${process.getuid?.() ?? "user"}-${key}.lock`);
  let isTold = false;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw new PrepareError(`cannot lock ${path}: ${error.message}`);
    }
    const holder = readText(path);
    if (holder && !isAlive(Number(holder))) takeAway(path, holder);
    else {
      if (!isTold) process.stderr.write(`prepare: waiting for another run (process ${holder})\n`);
      isTold = true;
      pause(100);
    }
  }
}

// Removes the lock of a process that is gone, unless a third run has just replaced it by its own.
function takeAway(path, holder) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readText(aside) === holder) rmSync(aside);
    else renameSync(aside, path);
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== "ESRCH";
  }
}

const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

const mtimeOf = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function readText(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function writeStamp(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}

/** `prepare` for scripts: prints one line and ends the process when it fails. */
export function prepareOrExit() {
  try {
    prepare();
  } catch (error) {
    process.stderr.write(`prepare: ${error instanceof PrepareError ? error.message : error.stack}\n`);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) prepareOrExit();
