/** JSON with whole numbers of any size: `cookie` and counters have 64 bits, and a double holds 53. */

/** As JSON.parse, but whole numbers beyond a double's become their digits as text. Throws a SyntaxError. */
export function parseJson(text: string): unknown {
  // A match is a string, which stays, or a long whole number, which is quoted.
  const exact = text.replace(
    /"(?:[^"\\]|\\.)*"|(-?\d{16,})(?![\d.eE])/g,
    (found, digits: string | undefined) =>
      digits !== undefined && !Number.isSafeInteger(Number(digits)) ? `"${digits}"` : found,
  );
  return JSON.parse(exact);
}

/** As JSON.stringify, with bigints as numbers. */
export function formatJson(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(formatJson).join(",")}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${formatJson(member)}`).join(",")}}`;
}
