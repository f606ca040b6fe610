/** Text that is not in ovs-ofctl's syntax. The message is one line. */
export class TextError extends Error {
  override readonly name = "TextError";
}

export function refuse(message: string): never {
  throw new TextError(message);
}
