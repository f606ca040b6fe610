import { type Clock, realClock } from "@sluice/runtime";

/** The real clock for simulations: no delay is the next turn of the event loop, where a timer would take a
 *  whole millisecond. */
export const promptClock: Clock = {
  ...realClock,
  setTimeout: (callback, delayMs) => {
    if (delayMs > 0) return realClock.setTimeout(callback, delayMs);
    // Not unref'ed: that would let the event loop sleep over it.
    const handle = setImmediate(callback);
    return { cancel: () => clearImmediate(handle) };
  },
};
