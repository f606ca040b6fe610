import type { Libc } from "../../netdev/libc.js";

/** How nice the datapath's thread is to others. */
const NICE = -10;
/** ns for which it runs at a time before another may, where there is one: who asks for less than the usual 1 to 3 ms is
 *  run the sooner (EEVDF, from Linux 6.12 on; before that it means nothing). */
const SLICE_NS = 100_000;
/** struct sched_attr: size, policy (SCHED_OTHER), flags, nice, priority, then runtime, deadline, period. */
const ATTR_WORDS = 12;
const NICE_WORD = 4;
const RUNTIME_WORD = 6;

/** Has this thread run before others where it may: with more threads than cores it else waits for the end of their
 *  turn, 3 to 20 ms, with packets in its hands. */
export function comeFirst(libc: Libc): void {
  const attr = new Int32Array(new ArrayBuffer(4 * ATTR_WORDS));
  attr[0] = attr.byteLength;
  attr[RUNTIME_WORD] = SLICE_NS;
  for (const nice of [NICE, 0]) {
    attr[NICE_WORD] = nice;
    if (libc.schedSetattr(0, libc.addressOf(attr.buffer)) === 0) return;
  }
}
