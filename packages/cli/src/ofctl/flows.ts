import { type FlowCommand, type FlowStats, formatFlowStats, toJson } from "@sluice/openflow-codec";
import { write } from "../io.js";
import { type Sendable, sendAll, sendBundle } from "./bundle.js";
import { type CommandTable, type Context, type OfctlCommand, withSwitch } from "./context.js";
import { flowOf, flowsOf } from "./flow-spec.js";
import { acceptedNames, shownNames } from "./names.js";
import { print, printJson, printMultipart } from "./print.js";
import { sortFlows } from "./sort.js";
import type { Vconn } from "./vconn.js";

/** Sends changes: one after the other, or with --bundle all or none. */
export function change(context: Context, vconn: Vconn, items: Iterable<Sendable>): Promise<void> {
  return context.options.bundle ? sendBundle(vconn, items) : sendAll(vconn, items);
}

/** A command that sends flow_mods: from its argument, or from a file ("-" is standard input). */
function flowMods(
  usage: string,
  commandOf: (context: Context) => FlowCommand | "any",
  argument: "flow" | "file",
): OfctlCommand {
  const commandName = commandOf;
  return {
    usage,
    min: 2,
    max: 2,
    writes: true,
    run: (context, [name, spec]) =>
      withSwitch(context, name!, async (vconn) => {
        const names = await acceptedNames(context, vconn);
        const command = commandName(context);
        const isFile = argument === "file" || spec === "-";
        const flows = isFile
          ? await flowsOf(context, spec!, command, names)
          : [{ message: flowOf(spec!, command, names) }];
        await change(context, vconn, flows);
      }),
  };
}

const deleteCommand = ({ options }: Context): FlowCommand => (options.strict ? "delete_strict" : "delete");

/** The request of a flow dump: what a delete of the same text would match. */
async function flowRequest(context: Context, vconn: Vconn, spec: string) {
  const { table_id, out_port, out_group, cookie, cookie_mask, match } = flowOf(
    spec,
    "delete",
    await acceptedNames(context, vconn),
  );
  return { table_id, out_port, out_group, cookie, cookie_mask, match };
}

async function dumpFlows(context: Context, vconn: Vconn, spec: string): Promise<void> {
  const body = { type: "OFPMP_FLOW", ...(await flowRequest(context, vconn, spec)) } as const;
  const { options, sort, io } = context;
  const names = await shownNames(context, vconn);
  const isRearranged = sort.length > 0 || options["no-stats"] || names !== undefined;
  if (!isRearranged) return printMultipart(context, vconn, body);
  const reply = await vconn.joined(body);
  const flows = sortFlows((reply.body as { entries: FlowStats[] }).entries, sort);
  if (options.json)
    return printJson(context, toJson({ ...reply, body: { type: "OFPMP_FLOW", entries: flows } }));
  for (const flow of flows)
    await write(io.stdout, ` ${formatFlowStats(flow, names, { stats: options["no-stats"] !== true })}\n`);
}

/** Commands on flow tables, one switch each. */
export const flowCommands: CommandTable = {
  "dump-flows": {
    usage: "SWITCH [FLOW]",
    min: 1,
    max: 2,
    run: (context, [name, spec = ""]) =>
      withSwitch(context, name!, (vconn) => dumpFlows(context, vconn, spec)),
  },
  "dump-aggregate": {
    usage: "SWITCH [FLOW]",
    min: 1,
    max: 2,
    run: (context, [name, spec = ""]) =>
      withSwitch(context, name!, async (vconn) => {
        const request = await flowRequest(context, vconn, spec);
        await print(context, await vconn.joined({ type: "OFPMP_AGGREGATE", ...request }));
      }),
  },
  "add-flow": flowMods("SWITCH FLOW|-", () => "any", "flow"),
  "add-flows": flowMods("SWITCH FILE|-", () => "any", "file"),
  "mod-flows": flowMods(
    "SWITCH FLOW|-",
    ({ options }) => (options.strict ? "modify_strict" : "modify"),
    "flow",
  ),
  "del-flows": {
    ...flowMods("SWITCH [FLOW|-]", deleteCommand, "flow"),
    min: 1,
    run: (context, [name, spec = ""]) => flowMods("", deleteCommand, "flow").run(context, [name!, spec]),
  },
};
