import { type Clock, holdProcess } from "@sluice/runtime";
import { CliError } from "./io.js";

/** What a shell sees of the OVS tools when their --timeout runs out: ended by SIGALRM. */
const EXIT_TIMEOUT = 142;

/** `work`, or a CliError once `seconds` (as typed; undefined waits for ever) have passed. */
export async function withTimeout<T>(
  work: Promise<T>,
  seconds: string | undefined,
  clock: Clock,
): Promise<T> {
  if (seconds === undefined) return work;
  const limit = Number(seconds);
  if (!(limit > 0)) throw new CliError(`"${seconds}" is not a number of seconds (--timeout)`);
  let expire: (error: Error) => void;
  const late = new Promise<never>((_, reject) => {
    expire = reject;
  });
  const timer = clock.setTimeout(
    () => expire(new CliError(`not done after ${limit} s`, EXIT_TIMEOUT)),
    limit * 1000,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.cancel();
  }
}

/** Keeps the process alive until `work` is done: the clock's timers alone do not. */
export const keepAlive = async <T>(work: Promise<T>): Promise<T> => {
  const hold = holdProcess();
  try {
    return await work;
  } finally {
    hold.cancel();
  }
};
