import type { Clock } from "@sluice/runtime";
import type { Io } from "../io.js";
import type { Options } from "../options.js";
import { tlsFiles } from "../tls.js";
import type { OPTIONS } from "./options.js";
import { Vconn, type VconnOptions, type Xids } from "./vconn.js";

export type OfctlOptions = Options<typeof OPTIONS>;

/** What an ofctl command works with. */
export interface Context {
  readonly io: Io;
  readonly options: OfctlOptions;
  /** --sort and --rsort in their order: the field, and whether it descends. */
  readonly sort: readonly { field: string; descending: boolean }[];
  readonly clock: Clock;
  readonly xids: Xids;
}

export interface OfctlCommand {
  /** Its arguments, as --help shows them. */
  readonly usage: string;
  readonly min: number;
  readonly max: number;
  /** Changes the switch: refused under --read-only. */
  readonly writes?: true;
  /** Gives the exit code where it is not 0. */
  run(context: Context, args: readonly string[]): Promise<number> | Promise<void>;
}
export type CommandTable = Readonly<Record<string, OfctlCommand>>;

/** Connects to SWITCH, does `work`, and closes again. */
export async function withSwitch<T>(
  context: Context,
  name: string,
  work: (vconn: Vconn) => Promise<T>,
  suffix?: "mgmt" | "snoop",
): Promise<T> {
  const vconn = await Vconn.open(name, vconnOptions(context), suffix);
  try {
    return await work(vconn);
  } finally {
    vconn.close();
  }
}

const vconnOptions = ({ io, options, xids }: Context): VconnOptions => ({
  env: io.env,
  xids,
  ...tlsFiles(options),
});
