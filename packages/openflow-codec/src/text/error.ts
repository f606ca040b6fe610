/** Text that is not in ovs-ofctl's syntax. The message is one line. */
export class TextError extends Error {
  override readonly name = "TextError";
}

export function refuse(message: string): never {
  throw new TextError(message);
}

/** Runs `parse`; what it refuses is told with the word that it belongs to. */
export function named<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TextError) || error.message.startsWith(`${name}:`)) throw error;
    throw new TextError(`${name}: ${error.message}`);
  }
}
