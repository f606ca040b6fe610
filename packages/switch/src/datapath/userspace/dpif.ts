import type { Dpif } from "../../dpif/dpif.js";
import { InlineDpif } from "./inline-dpif.js";
import type { UserspaceDpifOptions } from "./options.js";
import { WorkerDpif } from "./worker/worker-dpif.js";

/** The user-space datapath, datapath_type "netdev". Throws an Error of one line where it cannot run: a worker needs
 *  Linux and koffi. */
export const createUserspaceDpif = (options: UserspaceDpifOptions): Dpif =>
  options.host === "inline" ? new InlineDpif(options) : new WorkerDpif(options);

export type { DatapathLog, UserspaceDpifOptions } from "./options.js";
