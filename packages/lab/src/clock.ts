import { type Clock, realClock } from "@sluice/runtime";

/** The real clock for simulations: no delay is the next turn of the event loop, where a timer would take a
 *  whole millisecond. */
export const promptClock: Clock = {
  ...realClock,
  setTimeout: (callback, delayMs) => {
    if (delayMs > 0) return realClock.setTimeout(callback, delayMs);
    const handle = setImmediate(callback).unref();
    return { cancel: () => clearImmediate(handle) };
  },
};
