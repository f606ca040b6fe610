#!/usr/bin/env node
// npm run bench [-- NAME… [--rounds=N] [--seconds=N] [--write]]
// Runs bench/NAME.bench.mjs (all of them without a name) and prints a table of each. With --write, the section of
// each in bench/RESULTS.md is replaced by what was measured. README.md says what a bench file exports.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { machineFacts } from "./lib/machine.mjs";
import { figure, median } from "./lib/stats.mjs";
import { table } from "./lib/table.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const resultsPath = join(here, "RESULTS.md");
const SUFFIX = ".bench.mjs";

const { values: options, positionals: wanted } = parseArguments();
const all = readdirSync(here)
  .filter((file) => file.endsWith(SUFFIX))
  .map((file) => basename(file, SUFFIX))
  .sort();
for (const name of wanted) {
  if (!all.includes(name)) fail(`no bench ${JSON.stringify(name)}: there are ${all.join(", ")}`);
}

class Skipped extends Error {}

const cleanups = [];
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => cleanUp().finally(() => process.exit(1)));
}

const facts = machineFacts();
process.stdout.write(`${facts}\n`);
let failures = 0;
for (const name of wanted.length > 0 ? wanted : all) await runOne(name);
process.exit(failures === 0 ? 0 : 1);

async function runOne(name) {
  const rows = [];
  const context = {
    rounds: Number(options.rounds),
    seconds: Number(options.seconds),
    row: (row) => rows.push(row),
    log: (text) => process.stderr.write(`  ${text}\n`),
    cleanup: (undo) => cleanups.push(undo),
    skip: (reason) => {
      throw new Skipped(reason);
    },
    median,
    figure,
  };
  try {
    const { title = name, run } = await import(pathToFileURL(join(here, name + SUFFIX)));
    process.stdout.write(`\n## ${name}: ${title}\n\n`);
    rows.push(...((await run(context)) ?? []));
    process.stdout.write(table(rows));
    if (options.write) writeSection(name, title, rows);
  } catch (error) {
    if (error instanceof Skipped) process.stdout.write(`skipped: ${error.message}\n`);
    else {
      failures++;
      process.stderr.write(`${name} failed: ${error.stack}\n`);
    }
  } finally {
    await cleanUp();
  }
}

async function cleanUp() {
  for (const undo of cleanups.splice(0).reverse()) {
    try {
      await undo();
    } catch (error) {
      process.stderr.write(`cleaning up: ${error.message}\n`);
    }
  }
}

/** A section runs from its heading to the next heading of its level or the end. */
function writeSection(name, title, rows) {
  const before = existsSync(resultsPath) ? readFileSync(resultsPath, "utf8") : "# Results\n";
  const command = `npm run bench -- ${name} --rounds=${options.rounds} --seconds=${options.seconds}`;
  const day = new Date().toISOString().slice(0, 10);
  const section = `## ${name}: ${title}\n\n\`${command}\`, ${day}, ${facts}.\n\n${table(rows)}\n`;
  const at = before.indexOf(`## ${name}: `);
  if (at < 0) writeFileSync(resultsPath, `${before.trimEnd()}\n\n${section}`);
  else {
    const next = before.indexOf("\n## ", at + 1);
    writeFileSync(resultsPath, before.slice(0, at) + section + (next < 0 ? "" : before.slice(next + 1)));
  }
}

function parseArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: "string", default: "3" },
        seconds: { type: "string", default: "3" },
        write: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return fail(error.message);
  }
}

function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(1);
}
