import type { Dpif } from "../../dpif/dpif.js";
import { InlineDpif } from "./inline-dpif.js";
import type { UserspaceDpifOptions } from "./options.js";

/** The user-space datapath, datapath_type "netdev". */
export const createUserspaceDpif = (options: UserspaceDpifOptions): Dpif => new InlineDpif(options);

export type { DatapathLog, UserspaceDpifOptions } from "./options.js";
