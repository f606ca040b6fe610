import { decode, formatMessage, OfDecodeError, toJson } from "@sluice/openflow-codec";
import { fromHex } from "@sluice/wire";
import { readCapture } from "../capture/capture-file.js";
import { type CapturedMessage, Conversations } from "../capture/conversation.js";
import { knownLinkType, segmentOf } from "../capture/segment.js";
import { CliError, write } from "../io.js";
import type { CommandTable, Context } from "./context.js";
import { openInput, readLines } from "./lines.js";
import { ended } from "./print.js";

/** A message has at most 65535 bytes; this leaves room for spaces and colons between them. */
const MAX_HEX_LINE = 1 << 19;

/** What one message's bytes become on the output: a JSON document on a line, or ovs-ofctl's text. */
function shown(bytes: Uint8Array, format: "json" | "text", about: Readonly<Record<string, string>>): string {
  try {
    const message = decode(bytes);
    if (format === "json") return `${JSON.stringify({ ...about, ...(toJson(message) as object) })}\n`;
    return `${heading(about)}${ended(formatMessage(message))}`;
  } catch (error) {
    if (!(error instanceof OfDecodeError)) throw error;
    const { error_type, error_code, path, offset, message } = error;
    return failure({ type: error_type, code: error_code, path, offset, message }, format, about);
  }
}

interface Failure {
  type: string;
  code: string;
  path: string;
  offset: number;
  message: string;
}

/** Of a line from which no bytes come. */
const unreadable = (message: string): Failure => ({
  type: "OFPET_BAD_REQUEST",
  code: "OFPBRC_BAD_LEN",
  path: "",
  offset: 0,
  message,
});

function failure(error: Failure, format: "json" | "text", about: Readonly<Record<string, string>>): string {
  if (format === "json") return `${JSON.stringify({ ...about, error })}\n`;
  const { type, code, path, offset, message } = error;
  return `${heading(about)}error: ${type} ${code} at ${path ? `${path}, ` : ""}offset ${offset}: ${message}\n`;
}

const heading = ({ time, src, dst }: Readonly<Record<string, string>>): string =>
  time === undefined ? "" : `${time} ${src} > ${dst}: `;

function formatOf({ options }: Context): "json" | "text" {
  const format = options.format ?? "json";
  if (format === "json" || format === "text") return format;
  throw new CliError(`--format ${format}: allowed are json and text`);
}

async function decodeHexLines(context: Context, file: string): Promise<void> {
  const format = formatOf(context);
  const { stdin, stdout } = context.io;
  for await (const { number, text } of readLines(await openInput(file, stdin), MAX_HEX_LINE)) {
    if (text === undefined) {
      await write(stdout, failure(unreadable(`line ${number} is longer than any message`), format, {}));
      continue;
    }
    const digits = text.replace(/#.*/, "").trim();
    if (digits === "") continue;
    await write(stdout, shownHex(digits, number, format));
  }
}

function shownHex(digits: string, line: number, format: "json" | "text"): string {
  let bytes: Uint8Array;
  try {
    bytes = fromHex(digits);
  } catch (error) {
    return failure(unreadable(`line ${line}: ${(error as RangeError).message}`), format, {});
  }
  return shown(bytes, format, {});
}

/** The OpenFlow messages of a capture file, as they are completed. Frames that are not understood are told of. */
export async function* capturedMessages(
  { io }: Pick<Context, "io">,
  file: string,
): AsyncGenerator<CapturedMessage> {
  const conversations = new Conversations();
  const strangeLinks = new Set<number>();
  let time = 0n;
  for await (const { linkType, data, time: frameTime } of readCapture(await openInput(file, io.stdin))) {
    time = frameTime;
    if (!knownLinkType(linkType) && strangeLinks.size < 16 && !strangeLinks.has(linkType)) {
      strangeLinks.add(linkType);
      io.stderr.write(`sluice ofctl: frames of link type ${linkType} are skipped: not understood\n`);
    }
    const segment = segmentOf(linkType, data);
    if (segment) yield* conversations.push(segment, time);
  }
  yield* conversations.end(time);
}

async function decodeCapture(context: Context, file: string): Promise<void> {
  const format = formatOf(context);
  for await (const { time, src, dst, bytes } of capturedMessages(context, file))
    await write(context.io.stdout, shown(bytes, format, { time: formatTime(time), src, dst }));
}

/** Nanoseconds since 1970 as ISO 8601 with as many digits as microseconds need, or nanoseconds. */
export function formatTime(time: bigint): string {
  const seconds = new Date(Number(time / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  const nanoseconds = String(time % 1_000_000_000n).padStart(9, "0");
  return `${seconds}.${nanoseconds.endsWith("000") ? nanoseconds.slice(0, 6) : nanoseconds}Z`;
}

export const decodeCommands: CommandTable = {
  decode: {
    usage: "[FILE]  (hex, a message a line; or --pcap FILE)",
    min: 0,
    max: 1,
    run: async (context, [file]) => {
      const { pcap } = context.options;
      if (pcap !== undefined && file !== undefined)
        throw new CliError("decode takes FILE or --pcap FILE, not both");
      await (pcap === undefined ? decodeHexLines(context, file ?? "-") : decodeCapture(context, pcap));
    },
  },
};
