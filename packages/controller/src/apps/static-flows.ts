import { readFileSync } from "node:fs";
import { type OfMessageInit, parseFlow } from "@sluice/openflow-codec";
import { defineApp } from "../composition/definition.js";
import type { App, Switch } from "../framework/app.js";

export interface StaticFlowsOptions {
  /** Files in ovs-ofctl's syntax, a flow a line. */
  readonly files?: readonly string[] | undefined;
  /** Flows in the same syntax. */
  readonly flows?: readonly string[] | undefined;
}

/** Gives every switch the same flows when it connects. They are read again at a reload: connected switches get what is new
 *  and lose what has gone. Throws a one-line Error with the place of a flow that is wrong. */
export function staticFlows(options: StaticFlowsOptions): App {
  const connected = new Map<bigint, Switch>();
  let flows = readFlows(options);
  return {
    name: "static-flows",
    events: {
      datapath_up: (dp) => {
        connected.set(dp.dpid, dp);
        return [...flows.values()].map(({ add }) => add);
      },
      datapath_down: (dp) => void connected.delete(dp.dpid),
      datapath_release: () => [...flows.values()].map(({ remove }) => remove),
    },
    reload: () => {
      const before = flows;
      flows = readFlows(options);
      const gone = [...before].filter(([text]) => !flows.has(text)).map(([, { remove }]) => remove);
      const came = [...flows].filter(([text]) => !before.has(text)).map(([, { add }]) => add);
      for (const dp of connected.values()) for (const message of [...gone, ...came]) dp.send(message);
    },
  };
}

interface StaticFlow {
  readonly add: OfMessageInit;
  readonly remove: OfMessageInit;
}

/** By their text, so that a reload can tell what has changed. */
function readFlows({ files = [], flows = [] }: StaticFlowsOptions): Map<string, StaticFlow> {
  const found = new Map<string, StaticFlow>();
  for (const [i, text] of flows.entries()) found.set(text, parse(text, `flows[${i}]`));
  for (const file of files) {
    const lines = readLines(file);
    lines.forEach((line, i) => {
      const text = line.replace(/#.*/, "").trim();
      if (text !== "") found.set(text, parse(text, `${file}:${i + 1}`));
    });
  }
  return found;
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${file}: ${code === "ENOENT" ? "no such file" : message}`);
  }
}

function parse(text: string, where: string): StaticFlow {
  try {
    const add = parseFlow(text);
    const { table_id, priority, match } = add;
    const remove: OfMessageInit = {
      type: "OFPT_FLOW_MOD",
      command: "OFPFC_DELETE_STRICT",
      ...(table_id !== undefined && { table_id }),
      ...(priority !== undefined && { priority }),
      ...(match !== undefined && { match }),
    };
    return { add, remove };
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`);
  }
}

export const staticFlowsApp = defineApp({
  name: "static-flows",
  summary: "gives every switch the flows of a file",
  settings: {
    type: "object",
    properties: {
      files: {
        type: "array",
        items: { type: "string" },
        description: "files of flows in ovs-ofctl's syntax, a line each",
      },
      flows: { type: "array", items: { type: "string" }, description: "flows in the same syntax" },
    },
  },
  create: staticFlows,
});
