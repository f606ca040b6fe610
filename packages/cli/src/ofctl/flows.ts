import { type FlowCommand, type FlowStats, formatFlowStats, toJson } from "@sluice/openflow-codec";
import { write } from "../io.js";
import { type CommandTable, type Context, type OfctlCommand, withSwitch } from "./context.js";
import { flowOf } from "./flow-spec.js";
import { mods } from "./mods.js";
import { acceptedNames, shownNames } from "./names.js";
import { print, printJson, printMultipart } from "./print.js";
import { sortFlows } from "./sort.js";
import type { Vconn } from "./vconn.js";

const flowMods = (
  usage: string,
  argument: "line" | "file",
  commandOf: (context: Context) => FlowCommand | "any",
): OfctlCommand => mods(usage, argument, commandOf, flowOf);

const deleteFlows = flowMods("SWITCH [FLOW|-]", "line", ({ options }) =>
  options.strict ? "delete_strict" : "delete",
);

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
  "add-flow": flowMods("SWITCH FLOW|-", "line", () => "any"),
  "add-flows": flowMods("SWITCH FILE|-", "file", () => "any"),
  "mod-flows": flowMods("SWITCH FLOW|-", "line", ({ options }) =>
    options.strict ? "modify_strict" : "modify",
  ),
  "del-flows": {
    ...deleteFlows,
    min: 1,
    run: (context, [name, spec = ""]) => deleteFlows.run(context, [name!, spec]),
  },
};
