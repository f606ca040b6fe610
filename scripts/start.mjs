#!/usr/bin/env node
// `npm start`: readies the tree, then is `sluice start` with the same arguments, in this very process, so that
// signals reach it and its exit code is npm's.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepareOrExit } from "./prepare.mjs";

prepareOrExit();
const sluice = join(dirname(fileURLToPath(import.meta.url)), "..", "packages", "cli", "bin", "sluice.js");
process.argv = [process.argv[0], sluice, "start", ...process.argv.slice(2)];
await import(sluice);
