import { once } from "node:events";
import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { CliError } from "../io.js";

/** A line without its end; `text` is undefined for one that was longer than allowed. */
export interface Line {
  number: number;
  text: string | undefined;
}

/** The lines of a stream as they come. What a line has beyond `maxSize` bytes is dropped, so that a stream without
 *  line ends does not fill the memory. */
export async function* readLines(
  stream: AsyncIterable<Uint8Array | string>,
  maxSize: number,
): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let size = 0;
  let number = 1;
  const take = (): Line => {
    const text = size > maxSize ? undefined : Buffer.concat(parts).toString("utf8").replace(/\r$/, "");
    parts = [];
    size = 0;
    return { number: number++, text };
  };
  for await (const chunk of stream) {
    const bytes =
      typeof chunk === "string"
        ? Buffer.from(chunk)
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    for (let start = 0; start < bytes.length; ) {
      const newline = bytes.indexOf(10, start);
      const end = newline < 0 ? bytes.length : newline;
      size += end - start;
      if (size <= maxSize) parts.push(bytes.subarray(start, end));
      else parts = [];
      if (newline >= 0) yield take();
      start = end + 1;
    }
  }
  if (size > 0) yield take();
}

/** FILE, or standard input for "-". Rejects with one line when it cannot be read. */
export async function openInput(file: string, stdin: Readable): Promise<Readable> {
  if (file === "-") return stdin;
  const stream = createReadStream(file);
  try {
    await once(stream, "open");
    return stream;
  } catch (error) {
    throw new CliError(`${file}: ${reason(error as NodeJS.ErrnoException)}`);
  }
}

const reason = ({ code, message }: NodeJS.ErrnoException): string =>
  ({ ENOENT: "no such file", EACCES: "permission denied", EISDIR: "is a directory" })[code ?? ""] ?? message;

const MAX_FLOW_LINE = 1 << 20;

/** The lines of a file of flows, groups or the like: comments (from # on) and blank lines left out. */
export async function* readSpecs(
  file: string,
  stdin: Readable,
): AsyncGenerator<{ number: number; text: string }> {
  for await (const { number, text } of readLines(await openInput(file, stdin), MAX_FLOW_LINE)) {
    if (text === undefined)
      throw new CliError(`${file}:${number}: the line is longer than ${MAX_FLOW_LINE} bytes`);
    const spec = text.replace(/#.*/, "").trim();
    if (spec !== "") yield { number, text: spec };
  }
}
