import type { Libc } from "../../../netdev/libc.js";

/** How nice the datapath's thread is to others. */
const NICE = -10;
const PRIO_PROCESS = 0;

/** Has this thread, and no other, run before others where it may: with more threads than cores it else waits for the
 *  end of their turn, 3 to 20 ms, with packets in its hands. Without the privilege it competes as others do. */
export const comeFirst = (libc: Libc): void => void libc.setpriority(PRIO_PROCESS, 0, NICE);
