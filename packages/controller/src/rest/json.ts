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

const PYTHON_WORDS: Readonly<Record<string, string>> = { True: "true", False: "false", None: "null" };
/** Strings, comments, numbers that JSON has not, words, tuples, a comma before a bracket. */
const PYTHON_TOKENS =
  /"(?:[^"\\]|\\.)*"|'((?:[^'\\]|\\.)*)'|#[^\n]*|\b(0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+)\b|\b(True|False|None)\b|([()])|,(?=(?:\s|#[^\n]*)*[\]})])/g;

/** What Ryu takes besides JSON: it reads bodies as Python literals, and people send what str() of a dict gives, or hexadecimal
 *  numbers and comments as in Ryu's documentation. Throws a SyntaxError for what is no JSON either. */
export function parsePythonLiteral(text: string): unknown {
  const json = text.replace(
    PYTHON_TOKENS,
    (found, quoted?: string, number?: string, word?: string, bracket?: string) => {
      if (quoted !== undefined) return `"${quoted.replaceAll("\\'", "'").replaceAll(/(?<!\\)"/g, '\\"')}"`;
      if (number !== undefined) return BigInt(number).toString();
      if (word !== undefined) return PYTHON_WORDS[word]!;
      if (bracket !== undefined) return bracket === "(" ? "[" : "]";
      return found.startsWith('"') ? found : "";
    },
  );
  return parseJson(json);
}

/** As JSON.stringify, with bigints as numbers. */
export function formatJson(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(formatJson).join(",")}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${formatJson(member)}`).join(",")}}`;
}
