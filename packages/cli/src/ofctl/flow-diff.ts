import { existsSync } from "node:fs";
import {
  type FlowStats,
  formatInstructions,
  formatPriorityAndMatch,
  type Instruction,
  type Match,
  type PortNames,
} from "@sluice/openflow-codec";
import { write } from "../io.js";
import type { Sendable } from "./bundle.js";
import { type CommandTable, type Context, withSwitch } from "./context.js";
import { type FlowModInit, flowsOf } from "./flow-spec.js";
import { change } from "./mods.js";
import { acceptedNames } from "./names.js";
import { printJson } from "./print.js";
import type { Vconn } from "./vconn.js";

/** What makes one flow differ from another with the same table, priority and match. */
type Flow = Pick<
  FlowModInit,
  "table_id" | "priority" | "cookie" | "idle_timeout" | "hard_timeout" | "match" | "instructions" | "flags"
>;

/** Flows by their keys. Of two that share these, a file's last one counts. */
type FlowSet = Map<string, Flow>;

/** Table, priority and match: what makes a flow the same one. Text has the fields in one order. */
function keyOf({ table_id = 0, priority = 0x8000, match = {} }: Flow): string {
  const text = formatPriorityAndMatch(priority, match as Match);
  return table_id === 0 ? text : `table=${table_id} ${text}`.trimEnd();
}

async function flowsOfFile(context: Context, file: string, names?: PortNames): Promise<FlowSet> {
  const flows: FlowSet = new Map();
  for (const { message } of await flowsOf(context, file, "any", names)) flows.set(keyOf(message), message);
  return flows;
}

async function flowsOfSwitch(vconn: Vconn): Promise<FlowSet> {
  const { entries } = await vconn.ask({ type: "OFPMP_FLOW" });
  return new Map(entries.map((flow: FlowStats) => [keyOf(flow), flow]));
}

/** What two flows with the same key are compared by, as it stands after the key. */
function rest({ cookie = 0n, idle_timeout = 0, hard_timeout = 0, instructions = [] }: Flow): string {
  const cookieText = cookie === 0n ? "" : ` cookie=0x${cookie.toString(16)}`;
  const idle = idle_timeout === 0 ? "" : ` idle_timeout=${idle_timeout}`;
  const hard = hard_timeout === 0 ? "" : ` hard_timeout=${hard_timeout}`;
  return `${cookieText}${idle}${hard} actions=${formatInstructions(instructions as readonly Instruction[])}`;
}

const shown = (flow: Flow): string => keyOf(flow) + rest(flow);

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
