import { readFileSync } from "node:fs";
import { DatabaseSchema } from "@sluice/ovsdb";
import { parseJson } from "@sluice/runtime";
import { CliError } from "../io.js";

/** The schema in a file. Throws CliError. */
export const readSchema = (path: string): DatabaseSchema => {
  try {
    return DatabaseSchema.fromJson(parseJson(readFileSync(path, "utf8")));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CliError(`failed to read schema: ${path}: ${code === "ENOENT" ? "no such file" : message}`);
  }
};

/** JSON on the command line. Throws CliError. */
export const parseArgument = (text: string): unknown => {
  try {
    return parseJson(text);
  } catch (error) {
    throw new CliError(`"${text}": ${(error as Error).message}`);
  }
};
