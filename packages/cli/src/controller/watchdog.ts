import { url as inspectorUrl } from "node:inspector";
import { Worker } from "node:worker_threads";
import { type Log, realClock } from "@sluice/runtime";

/** What the thread that watches is given. */
export interface WatchdogData {
  /** The watched thread counts `[0]` up as long as it gets on; `[1]` is not 0 while somebody debugs it. */
  readonly beats: Int32Array;
  readonly logFile: string | undefined;
  readonly isJson: boolean;
}

const BEAT_MS = 500;

/** Watches from another thread that this one gets on: with a handler of an app that never returns, nothing here could say
 *  any more which one it is. Gives what ends that. */
export function startWatchdog(log: Log, options: Pick<WatchdogData, "logFile" | "isJson">): () => void {
  const beats = new Int32Array(new SharedArrayBuffer(8));
  const beat = (): void => {
    Atomics.store(beats, 1, inspectorUrl() === undefined ? 0 : 1);
    Atomics.add(beats, 0, 1);
  };
  beat();
  const timer = realClock.setInterval(beat, BEAT_MS);
  const workerData: WatchdogData = { beats, ...options };
  const worker = new Worker(new URL("./watchdog-thread.js", import.meta.url), {
    ...{ workerData, execArgv: [] },
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
  });
  worker.unref();
  // The controller works without it.
  worker.on("error", ({ message }) =>
    log.warn(`nobody watches for apps that hang: ${message.split("\n")[0]}`),
  );
  return () => {
    timer.cancel();
    void worker.terminate();
  };
}
