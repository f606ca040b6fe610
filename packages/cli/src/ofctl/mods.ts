import type { OfMessageInit, PortNames } from "@sluice/openflow-codec";
import { type Sendable, sendAll, sendBundle } from "./bundle.js";
import { type Context, type OfctlCommand, withSwitch } from "./context.js";
import { parsedLines } from "./flow-spec.js";
import { acceptedNames } from "./names.js";
import type { Vconn } from "./vconn.js";

/** Sends changes: one after the other, or with --bundle all or none. */
export function change(context: Context, vconn: Vconn, items: Iterable<Sendable>): Promise<void> {
  return context.options.bundle ? sendBundle(vconn, items) : sendAll(vconn, items);
}

/** A command that sends the changes which `parse` makes of its argument, or of the lines of a file ("-" is standard
 *  input). */
export function mods<C>(
  usage: string,
  argument: "line" | "file",
  commandOf: (context: Context) => C,
  parse: (text: string, command: C, names: PortNames | undefined) => OfMessageInit,
): OfctlCommand {
  return {
    usage,
    min: 2,
    max: 2,
    writes: true,
    run: (context, [name, spec]) =>
      withSwitch(context, name!, async (vconn) => {
        const names = await acceptedNames(context, vconn);
        const command = commandOf(context);
        const read = (text: string): OfMessageInit => parse(text, command, names);
        const isFile = argument === "file" || spec === "-";
        const items = isFile ? await parsedLines(context, spec!, read) : [{ message: read(spec!) }];
        await change(context, vconn, items);
      }),
  };
}
