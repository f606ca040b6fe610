#!/usr/bin/env node
// `npm start`: readies the tree, then is `sluice start` with the same arguments, in this very process, so that
// signals reach it and its exit code is npm's.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepareOrExit } from "./prepare.mjs";

prepareOrExit();
const sluice = join(dirname(fileURLToPath(import.meta.url)), "..", "packages", "cli", "bin", "sluice.js");
stopWithoutParent();
process.argv = [process.argv[0], sluice, "start", ...process.argv.slice(2)];
await import(sluice);

// A SIGTERM for npm ends npm and its shell, which does not hand the signal on: their going is the request to stop.
function stopWithoutParent() {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, "SIGTERM");
  }, 500).unref();
}
