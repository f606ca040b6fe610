import { readFile } from "node:fs/promises";
import type { LoadHook, ResolveHook } from "node:module";
import { fileURLToPath } from "node:url";

/** How Node finds and reads the modules of a user's app (module.register); it runs these in a thread of their own. */

/** The packages of this program are found wherever the app lies, and are the ones that run: an error class of another copy
 *  would be another class. */
export const resolve: ResolveHook = async (specifier, context, next) => {
  if (!specifier.startsWith("@sluice/")) return next(specifier, context);
  try {
    return await next(specifier, { ...context, parentURL: import.meta.url });
  } catch {
    return next(specifier, context);
  }
};

/** TypeScript is read without its types, as Node does from 22.18 on: line numbers stay. */
export const load: LoadHook = async (url, context, next) => {
  if (!/^file:.*\.m?ts(\?|$)/.test(url)) return next(url, context);
  const path = fileURLToPath(url.replace(/\?.*$/s, ""));
  const { transformSync } = (await import("@swc/wasm-typescript")).default;
  const text = await readFile(path, "utf8");
  try {
    const { code } = transformSync(text, { mode: "strip-only", module: true, filename: path });
    return { format: "module", source: code, shortCircuit: true };
  } catch (error) {
    // Not an Error, but what one says, and where.
    const {
      message,
      startLine,
      startColumn = 0,
    } = error as Readonly<Record<string, string | number | undefined>>;
    if (startLine === undefined) throw error;
    throw new SyntaxError(`${message} (line ${startLine}, column ${Number(startColumn) + 1})`);
  }
};
