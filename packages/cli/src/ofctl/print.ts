import { formatMessage, type OfMessage, toJson } from "@sluice/openflow-codec";
import { write } from "../io.js";
import type { Context } from "./context.js";
import { shownNames } from "./names.js";
import type { MultipartBody, Vconn } from "./vconn.js";

/** Prints a message: as ovs-ofctl does, or with --json as one document on a line. Ports are shown by the names that
 *  `vconn`'s switch gives them where names are wanted. */
export async function print(context: Context, message: OfMessage, vconn?: Vconn): Promise<void> {
  if (context.options.json) return printJson(context, toJson(message));
  const names = vconn && (await shownNames(context, vconn));
  await write(context.io.stdout, ended(formatMessage(message, names)));
}

/** Asks, and prints the reply: as text part by part as it comes, with --json joined. */
export async function printMultipart(context: Context, vconn: Vconn, body: MultipartBody): Promise<void> {
  if (context.options.json) return print(context, await vconn.joined(body));
  // Asked before: the parts of a reply come with nothing between them.
  const names = await shownNames(context, vconn);
  for await (const part of vconn.multipart(body))
    await write(context.io.stdout, ended(formatMessage(part, names)));
}

export const printJson = (context: Context, document: unknown): Promise<void> =>
  write(context.io.stdout, `${JSON.stringify(document)}\n`);

/** Text that ends its last line. */
export const ended = (text: string): string => (text.endsWith("\n") ? text : `${text}\n`);
