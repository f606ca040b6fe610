import { existsSync } from "node:fs";
import type { FlowStats } from "@sluice/openflow-codec";
import { write } from "../io.js";
import type { Sendable } from "./bundle.js";
import { type CommandTable, type Context, withSwitch } from "./context.js";
import { type FlowModInit, flowsOf } from "./flow-spec.js";
import { change } from "./flows.js";
import { acceptedNames, type PortNames } from "./names.js";
import { printJson } from "./print.js";
import { formatInstructions, formatMatch, matchKey } from "./text.js";
import type { Vconn } from "./vconn.js";

/** What makes one flow differ from another with the same table, priority and match. */
type Flow = Pick<
  FlowModInit,
  "table_id" | "priority" | "cookie" | "idle_timeout" | "hard_timeout" | "match" | "instructions" | "flags"
>;

/** Flows by table, priority and match. Of two that share these, a file's last one counts. */
type FlowSet = Map<string, Flow>;

const keyOf = (flow: Flow): string =>
  `${flow.table_id ?? 0} ${flow.priority ?? 0x8000} ${matchKey(flow.match ?? {})}`;

async function flowsOfFile(context: Context, file: string, names?: PortNames): Promise<FlowSet> {
  const flows: FlowSet = new Map();
  for await (const { message } of flowsOf(context, file, "any", names)) flows.set(keyOf(message), message);
  return flows;
}

async function flowsOfSwitch(vconn: Vconn): Promise<FlowSet> {
  const { entries } = await vconn.ask({ type: "OFPMP_FLOW" });
  return new Map(entries.map((flow: FlowStats) => [keyOf(flow), flow]));
}

/** What stands after the match when a flow is shown in a difference, and what two flows are compared by. */
function rest(
  { cookie = 0n, idle_timeout = 0, hard_timeout = 0, instructions = [] }: Flow,
  names?: PortNames,
): string {
  const cookieText = cookie === 0n ? "" : ` cookie=0x${cookie.toString(16)}`;
  const idle = idle_timeout === 0 ? "" : ` idle_timeout=${idle_timeout}`;
  const hard = hard_timeout === 0 ? "" : ` hard_timeout=${hard_timeout}`;
  return `${cookieText}${idle}${hard} ${formatInstructions(instructions, names)}`;
}

function shown(flow: Flow, names?: PortNames): string {
  const table = flow.table_id ? `table=${flow.table_id},` : "";
  const priority =
    flow.priority === undefined || flow.priority === 0x8000 ? "" : `priority=${flow.priority},`;
  return `${`${table}${priority}${formatMatch(flow.match ?? {}, names)}`.replace(/,$/, "")}${rest(flow, names)}`;
}

interface Difference {
  before: Flow | undefined;
  after: Flow | undefined;
}

function* differences(before: FlowSet, after: FlowSet): Generator<Difference> {
  for (const [key, flow] of before) {
    const other = after.get(key);
    if (other === undefined || rest(flow) !== rest(other)) yield { before: flow, after: other };
  }
  for (const [key, flow] of after) if (!before.has(key)) yield { before: undefined, after: flow };
}

/** "/…" and "./…" are files, what has a colon is a switch, else a file if there is one of that name. */
const isFile = (source: string): boolean =>
  /^[/.]/.test(source) || (!source.includes(":") && existsSync(source));

const EXIT_DIFFERENT = 2;

/** Both sources; names of ports are those of the first that is a switch. */
async function readSources(context: Context, sources: readonly string[]): Promise<FlowSet[]> {
  let names: PortNames | undefined;
  const sets: FlowSet[] = [];
  for (const [i, source] of sources.entries()) {
    if (isFile(source)) continue;
    sets[i] = await withSwitch(context, source, async (vconn) => {
      names ??= await acceptedNames(context, vconn);
      return flowsOfSwitch(vconn);
    });
  }
  for (const [i, source] of sources.entries()) sets[i] ??= await flowsOfFile(context, source, names);
  return sets;
}

/** Sends what makes the switch's flows those of the file: deletes first, as they make room. */
function* changes(onSwitch: FlowSet, inFile: FlowSet, readd: boolean): Generator<Sendable> {
  for (const [key, flow] of onSwitch) {
    if (inFile.has(key)) continue;
    const { table_id, priority, match } = flow;
    yield { message: { type: "OFPT_FLOW_MOD", command: "OFPFC_DELETE_STRICT", table_id, priority, match } };
  }
  for (const [key, flow] of inFile) {
    const there = onSwitch.get(key);
    if (!readd && there && rest(there) === rest(flow)) continue;
    yield { message: { ...(flow as FlowModInit), command: "OFPFC_ADD" } };
  }
}

/** Commands that compare whole sets of flows. */
export const flowDiffCommands: CommandTable = {
  "replace-flows": {
    usage: "SWITCH FILE|-",
    min: 2,
    max: 2,
    writes: true,
    run: (context, [name, file]) =>
      withSwitch(context, name!, async (vconn) => {
        const inFile = await flowsOfFile(context, file!, await acceptedNames(context, vconn));
        const onSwitch = await flowsOfSwitch(vconn);
        await change(context, vconn, changes(onSwitch, inFile, context.options.readd === true));
      }),
  },

  "diff-flows": {
    usage: "SOURCE1 SOURCE2",
    min: 2,
    max: 2,
    run: async (context, sources) => {
      const [before, after] = await readSources(context, sources);
      let isDifferent = false;
      for (const difference of differences(before!, after!)) {
        isDifferent = true;
        const minus = difference.before && shown(difference.before);
        const plus = difference.after && shown(difference.after);
        if (context.options.json) await printJson(context, { before: minus ?? null, after: plus ?? null });
        else if (minus !== undefined) await write(context.io.stdout, `-${minus}\n`);
        if (!context.options.json && plus !== undefined) await write(context.io.stdout, `+${plus}\n`);
      }
      return isDifferent ? EXIT_DIFFERENT : 0;
    },
  },
};
