import { writeSync } from "node:fs";
import { type Debugger, Session } from "node:inspector/promises";
import { workerData } from "node:worker_threads";
import { createLog, holdProcess, realClock } from "@sluice/runtime";
import type { WatchdogData } from "./watchdog.js";

/** The thread that watches the main one. When that stands still, it is stopped for a moment, as a debugger would, to see
 *  where it is; so it costs nothing while all is well. */

const LOOK_MS = 1000;
/** Looks without a beat between them until it is told of, and until it is told of again. */
const [SILENT, AGAIN] = [5, 60];
/** A thread that is in no JavaScript, but in a call of the system, cannot be stopped. */
const STOP_MS = 2000;

const { beats, logFile, isJson } = workerData as WatchdogData;
const toStderr = (line: string): void => {
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads it; there may be a file.
  }
};
const format = isJson ? (await import("./json-lines.js")).jsonLines() : undefined;
const logs = createLog({ console: toStderr, ...(format !== undefined && { format }) });
if (logFile !== undefined) logs.openFile(logFile);
const log = logs.module("watchdog");

// The thread is to stay; that it runs keeps no process from ending.
holdProcess();
let last = -1;
let silent = 0;
realClock.setInterval(() => {
  const now = Atomics.load(beats, 0);
  silent = now === last ? silent + 1 : 0;
  last = now;
  if (silent % AGAIN !== SILENT || Atomics.load(beats, 1) !== 0) return;
  whereItIs()
    .then((where) => {
      if (Atomics.load(beats, 0) === last) log.err(`nothing is answered for ${silent} s: ${where}`);
    })
    .catch((error: Error) => log.err(`nothing is answered for ${silent} s: ${error.message}`));
}, LOOK_MS);

/** A function that is being run, and the file that it is in. */
type Frame = Debugger.CallFrame;

/** What the main thread does now, in words. */
async function whereItIs(): Promise<string> {
  const session = new Session();
  session.connectToMainThread();
  const urls = new Map<string, string>();
  session.on("Debugger.scriptParsed", ({ params: { scriptId, url } }) => urls.set(scriptId, url));
  try {
    const stopped = new Promise<Frame[] | undefined>((resolve) => {
      session.once("Debugger.paused", ({ params: { callFrames } }) =>
        resolve(callFrames.map((frame) => ({ ...frame, url: urls.get(frame.location.scriptId) ?? "" }))),
      );
      realClock.setTimeout(() => resolve(undefined), STOP_MS);
    });
    await session.post("Debugger.enable");
    await session.post("Debugger.pause");
    const frames = await stopped;
    if (frames === undefined) return "the program is in a call of the system";
    const place = placeOf(frames);
    const app = await appOf(session, frames);
    return app === undefined ? `the program is at ${place}` : `${app}, at ${place}`;
  } finally {
    // It goes on; if it was not stopped, it was going on.
    await session.post("Debugger.resume").catch(() => {});
    session.disconnect();
  }
}

/** The innermost function that is not Node's own. */
function placeOf(frames: readonly Frame[]): string {
  const frame = frames.find(({ url }) => !url.startsWith("node:")) ?? frames[0];
  if (frame === undefined) return "a place unknown";
  const { functionName, url, location } = frame;
  const file = url.replace(/^file:\/\//, "").replace(/\?version=[^:]*$/, "");
  const place = `${file}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
  return functionName === "" ? place : `${functionName} (${place})`;
}

/** Which app's handler is being run, from what the dispatcher (see `Dispatcher`, `#run`) knows. */
async function appOf(session: Session, frames: readonly Frame[]): Promise<string | undefined> {
  const run = frames.find(
    ({ functionName, url }) => functionName === "#run" && url.endsWith("/framework/dispatch.js"),
  );
  if (run === undefined) return undefined;
  const { result } = await session.post("Debugger.evaluateOnCallFrame", {
    callFrameId: run.callFrameId,
    expression: "'app ' + steps[i].app.name + ' is in ' + name + ' of switch ' + dp.id",
  });
  return typeof result.value === "string" ? result.value : undefined;
}
