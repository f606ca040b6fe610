import type { Readable, Writable } from "node:stream";

/** What a command has of the world: tests give it their own. */
export interface Io {
  stdin: Readable;
  stdout: Writable;
  stderr: Writable;
  env: Readonly<Record<string, string | undefined>>;
}

/** A command's module: `run` gives the exit code. What it throws becomes one line, and exit code 1. */
export interface CommandModule {
  run(argv: readonly string[], io: Io): Promise<number>;
}

/** A mistake in how a command was called, or anything else that one line explains to a person. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Writes and waits while the reader is slow, so that a long dump does not pile up in memory. */
export async function write(stream: Writable, text: string): Promise<void> {
  if (!stream.write(text)) await drained(stream);
}

/** Settles when the stream takes more, or never will. */
export async function drained(stream: Writable): Promise<void> {
  if (stream.destroyed) return;
  await new Promise<void>((resolve) => {
    const events = ["drain", "close", "error"];
    const done = (): void => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    for (const event of events) stream.once(event, done);
  });
}
