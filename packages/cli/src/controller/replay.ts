import {
  AppFiles,
  bundledApps,
  composeApps,
  type Difference,
  type RecordedMessage,
  replay,
  seedOf,
} from "@sluice/controller";
import type { LogRegistry } from "@sluice/runtime";
import { CliError, type Io, write } from "../io.js";
import { capturedMessages } from "../ofctl/decode.js";
import { resolveApps } from "./apps.js";
import type { Invocation } from "./options.js";

/** As ovs-ofctl's diff-flows: there are differences. */
const DIFFERENT = 2;
/** Lines shown of one switch. */
const MAX_SHOWN = 200;

/** `--replay FILE`: runs the apps against a capture and shows where their answers differ from the ones in it. Gives the exit
 *  code. */
export async function runReplay(
  path: string,
  invocation: Invocation,
  log: LogRegistry,
  io: Io,
): Promise<number> {
  const { entries } = await resolveApps(invocation, new AppFiles());
  const seed = readSeed(path);
  const { switches } = await replay(messagesOf(path, io), {
    log: log.module("controller"),
    makeApps: (clock) => {
      try {
        return composeApps(entries, { clock, log, known: bundledApps, ...(seed && { seed }) }).map(
          ({ app }) => app,
        );
      } catch (error) {
        throw new CliError((error as Error).message);
      }
    },
  });
  if (switches.length === 0) throw new CliError(`--replay: ${path}: no OpenFlow 1.3 switch connects in it`);
  for (const { id, events, same, differences } of switches) {
    const count = (sign: string): number => differences.filter((one) => one.sign === sign).length;
    await write(
      io.stdout,
      `switch ${id}: ${events} events; messages: ${same} the same, ${count("-")} only in the recording (-), ` +
        `${count("+")} only now (+)\n`,
    );
    for (const one of differences.slice(0, MAX_SHOWN)) await write(io.stdout, line(one));
    if (differences.length > MAX_SHOWN)
      await write(io.stdout, `  … and ${differences.length - MAX_SHOWN} more\n`);
  }
  return switches.every(({ differences }) => differences.length === 0) ? 0 : DIFFERENT;
}

function readSeed(path: string): Uint8Array | undefined {
  try {
    return seedOf(path);
  } catch {
    // Whatever is wrong with the file, reading its messages tells.
    return undefined;
  }
}

const line = ({ sign, atMs, text, cause }: Difference): string =>
  `${sign} ${(atMs / 1000).toFixed(3)} ${text}${cause === undefined ? "" : `   [after ${cause}]`}\n`;

async function* messagesOf(path: string, io: Io): AsyncGenerator<RecordedMessage> {
  try {
    yield* capturedMessages({ io }, path);
  } catch (error) {
    const { message } = error as Error;
    throw new CliError(`--replay: ${message.startsWith(path) ? "" : `${path}: `}${message}`);
  }
}
