import { parentPort, workerData } from "node:worker_threads";
import type { WorkerData } from "./messages.js";
import { WorkerLoop } from "./worker-loop.js";

/** Entry of the datapath's thread. It ends when it is told to; an exception is reported by the thread's "error". */
new WorkerLoop(parentPort!, workerData as WorkerData).run();
