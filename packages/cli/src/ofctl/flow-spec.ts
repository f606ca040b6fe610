import { type FlowCommand, type MessageInitOf, type PortNames, parseFlow } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import type { Context } from "./context.js";
import { readSpecs } from "./lines.js";

export type FlowModInit = MessageInitOf<"OFPT_FLOW_MOD">;

const KEYWORD = /^(add|modify|modify_strict|delete|delete_strict)(?=[\s,]|$)[\s,]*/;

/** Parses one line. With `command` "any" a keyword at its start says which command it is, and it is an add without. */
export function flowOf(
  text: string,
  command: FlowCommand | "any",
  names: PortNames | undefined,
): FlowModInit {
  if (command !== "any") return parseFlow(text, command, names);
  const keyword = KEYWORD.exec(text);
  return parseFlow(text.slice(keyword?.[0].length ?? 0), (keyword?.[1] ?? "add") as FlowCommand, names);
}

/** What `parse` makes of each line of a file. All is read before any is used, so that a mistake in a file changes
 *  nothing; it is told with file and line. */
export async function parsedLines<T>(
  context: Context,
  file: string,
  parse: (text: string) => T,
): Promise<{ message: T; where: string }[]> {
  const parsed: { message: T; where: string }[] = [];
  for await (const { number, text } of readSpecs(file, context.io.stdin)) {
    const where = `${file}:${number}`;
    try {
      parsed.push({ message: parse(text), where });
    } catch (error) {
      throw new CliError(`${where}: ${(error as Error).message}`);
    }
  }
  return parsed;
}

/** The flows of a file. */
export const flowsOf = (
  context: Context,
  file: string,
  command: FlowCommand | "any",
  names: PortNames | undefined,
): Promise<{ message: FlowModInit; where: string }[]> =>
  parsedLines(context, file, (text) => flowOf(text, command, names));
