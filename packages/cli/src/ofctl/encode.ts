import { EncodeError, encode, encodeMultipart, fromJson, type OfMessageInit } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import { write } from "../io.js";
import type { CommandTable } from "./context.js";
import { openInput, readLines } from "./lines.js";

/** The longest message in JSON: 65535 bytes of the smallest structures, written out. */
const MAX_JSON_LINE = 16 << 20;

/** One JSON document, as decode writes them, to lines of hex: one, but for a list that is too long for a message. Where
 *  and when it was captured is left aside. */
function encodeLine(text: string): string[] {
  const { time: _time, src: _src, dst: _dst, ...message } = JSON.parse(text) as Record<string, unknown>;
  return encoded(fromJson(message));
}

function encoded(message: OfMessageInit): string[] {
  try {
    return [toHex(encode(message))];
  } catch (error) {
    const isList = message.type === "OFPT_MULTIPART_REPLY" || message.type === "OFPT_MULTIPART_REQUEST";
    if (!(error instanceof EncodeError && error.path === "length" && isList)) throw error;
    return [...encodeMultipart(message)].map((part) => toHex(part));
  }
}

export const encodeCommands: CommandTable = {
  encode: {
    usage: "[FILE]  (JSON, a message a line, as decode writes it)",
    min: 0,
    max: 1,
    run: async ({ io }, [file = "-"]) => {
      for await (const { number, text } of readLines(await openInput(file, io.stdin), MAX_JSON_LINE)) {
        const document = text?.trim();
        if (document === "" || document?.startsWith("#")) continue;
        try {
          if (document === undefined) throw new RangeError(`longer than ${MAX_JSON_LINE} bytes`);
          for (const hex of encodeLine(document)) await write(io.stdout, `${hex}\n`);
        } catch (error) {
          const message = `line ${number}: ${(error as Error).message.split("\n")[0]}`;
          await write(io.stdout, `${JSON.stringify({ error: { message, line: number } })}\n`);
        }
      }
    },
  },
};
