import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { Io } from "./io.js";
import { main } from "./main.js";

/** Runs a command line as bin/sluice.js does, and gives all that came of it. */
export async function sluice(argv: readonly string[], input = "", env: Io["env"] = {}) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const out = text(stdout);
  const err = text(stderr);
  const code = await main(argv, { stdin: Readable.from([Buffer.from(input)]), stdout, stderr, env });
  stdout.end();
  stderr.end();
  return { code, stdout: await out, stderr: await err };
}
