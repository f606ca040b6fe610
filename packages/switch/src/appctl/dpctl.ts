import type { Clock, ControlCommands } from "@sluice/runtime";
import type { Bridges } from "../bridge/reconfigure.js";
import { parseOdpActions } from "../dpif/odp-parse-actions.js";
import { formatOdpActions } from "../dpif/odp-text.js";
import { datapathDetails, datapathNames, datapathsNamed } from "./datapaths.js";
import { addMegaflow, type Change, changeMegaflows, delMegaflow, modMegaflow } from "./hand-made.js";
import { type DumpOptions, dumpDatapathFlows, getMegaflow } from "./megaflows.js";
import { purge } from "./slow-path.js";

/** Commands on datapaths, as ovs-dpctl(8) describes them. */

/** Their options, which stand anywhere, by what they are called; -m gives ports their names. */
const OPTIONS: Readonly<Record<string, string>> = {
  "-m": "more",
  "--more": "more",
  "--names": "names",
  "--no-names": "no-names",
  "-s": "statistics",
  "--statistics": "statistics",
  "--clear": "clear",
  "--may-create": "may-create",
};

interface DpctlArgs {
  readonly has: (option: string) => boolean;
  readonly rest: readonly string[];
  /** Of `key=value` arguments. */
  readonly settings: ReadonlyMap<string, string>;
}

function argsOf(args: readonly string[], keys: readonly string[] = []): DpctlArgs {
  const options = new Set<string>();
  const settings = new Map<string, string>();
  const rest: string[] = [];
  for (const arg of args) {
    const key = keys.find((one) => arg.startsWith(`${one}=`));
    if (key !== undefined) settings.set(key, arg.slice(key.length + 1));
    else if (!/^--?[a-z]/.test(arg)) rest.push(arg);
    else if (Object.hasOwn(OPTIONS, arg)) options.add(OPTIONS[arg]!);
    else throw new Error(`Unrecognized option ${arg}`);
  }
  return { has: (option) => options.has(option), rest, settings };
}

/** Arguments of a dump of datapath flows. */
export function dumpArgs(args: readonly string[]): DumpOptions {
  const { has, rest, settings } = argsOf(args, ["filter", "type", "pmd"]);
  if (rest.length > 1) throw new Error(`${rest[1]}: unknown argument`);
  return {
    names: has("names") || (has("more") && !has("no-names")),
    more: has("more"),
    datapath: rest[0],
    filter: settings.get("filter"),
    types: settings.get("type"),
    pmd: settings.get("pmd"),
  };
}

/** `[dp]` and the arguments after it, `count` of them. Throws one line. */
function withDatapath(command: string, rest: readonly string[], count: number): (string | undefined)[] {
  if (rest.length < count) throw new Error(`"${command}" command requires at least ${count} arguments`);
  if (rest.length > count + 1) throw new Error(`"${command}" command takes at most ${count + 1} arguments`);
  return rest.length > count ? [...rest] : [undefined, ...rest];
}

const changeOptions = ({ has }: DpctlArgs) => ({
  statistics: has("statistics"),
  clear: has("clear"),
  mayCreate: has("may-create"),
});

/** Changes that a file lists. */
const ofFile = (bridges: Bridges, clock: Clock, name: string, change: Change) => ({
  usage: "[dp] file",
  args: [1, 5] as const,
  run: (args: readonly string[]) => {
    const given = argsOf(args);
    const [datapath, file] = withDatapath(name, given.rest, 1);
    return changeMegaflows(bridges, datapath, file!, change, changeOptions(given), clock.now());
  },
});

function isDatapath(bridges: Bridges, name: string): boolean {
  try {
    return datapathsNamed(bridges, name).length > 0;
  } catch {
    return false;
  }
}

export function dpctlCommands(bridges: Bridges, clock: Clock): ControlCommands {
  const commands: ControlCommands = {
    "dpctl/dump-dps": { run: () => datapathNames(bridges) },
    "dpctl/show": {
      usage: "[-s] [dp...]",
      args: [0, 9],
      run: async (args) => {
        const { has, rest } = argsOf(args);
        let text = "";
        for (const name of rest.length > 0 ? rest : [undefined])
          text += await datapathDetails(bridges, { statistics: has("statistics"), name });
        return text;
      },
    },
    "dpctl/dump-flows": {
      usage: "[-m] [--names | --no-names] [dp] [filter=..] [type=..] [pmd=..]",
      args: [0, 7],
      run: (args) => dumpDatapathFlows(bridges, clock.now(), dumpArgs(args)),
    },
    "dpctl/add-flow": {
      usage: "[dp] flow actions",
      args: [2, 6],
      run: (args) => {
        const [datapath, flow, actions] = withDatapath("dpctl/add-flow", argsOf(args).rest, 2);
        return addMegaflow(bridges, datapath, flow!, actions!);
      },
    },
    "dpctl/mod-flow": {
      usage: "[--clear] [--may-create] [-s] [dp] flow actions",
      args: [2, 6],
      run: (args) => {
        const given = argsOf(args);
        const [datapath, flow, actions] = withDatapath("dpctl/mod-flow", given.rest, 2);
        return modMegaflow(bridges, datapath, flow!, actions!, changeOptions(given), clock.now());
      },
    },
    "dpctl/get-flow": {
      usage: "[-m] [--names | --no-names] [dp] ufid",
      args: [1, 4],
      run: (args) => {
        const [datapath, ufid] = withDatapath("dpctl/get-flow", argsOf(args).rest, 1);
        return getMegaflow(bridges, clock.now(), ufid!, {
          ...dumpArgs(args.filter((arg) => arg !== ufid)),
          datapath,
        });
      },
    },
    "dpctl/del-flow": {
      usage: "[-s] [dp] flow",
      args: [1, 3],
      run: (args) => {
        const given = argsOf(args);
        const [datapath, flow] = withDatapath("dpctl/del-flow", given.rest, 1);
        return delMegaflow(bridges, datapath, flow!, changeOptions(given), clock.now());
      },
    },
    "dpctl/add-flows": ofFile(bridges, clock, "dpctl/add-flows", "add"),
    "dpctl/mod-flows": ofFile(bridges, clock, "dpctl/mod-flows", "modify"),
    "dpctl/del-flows": {
      usage: "[dp] [file]",
      args: [0, 3],
      run: async (args) => {
        const { rest } = argsOf(args);
        const [only] = rest;
        if (only === undefined || (rest.length === 1 && isDatapath(bridges, only)))
          return purge(bridges, only);
        return ofFile(bridges, clock, "dpctl/del-flows", "delete").run(args);
      },
    },
    "dpctl/parse-actions": {
      usage: "actions...",
      args: [1, 100],
      run: (args) => args.map((text) => `${formatOdpActions(readActions(bridges, text))}\n`).join(""),
    },
    "dpctl/list-commands": {
      run: () =>
        `The available commands are:\n${Object.entries(commands)
          .map(([name, { usage = "" }]) => `  ${name.padEnd(23)} ${usage}`.trimEnd())
          .join("\n")}`,
    },
  };
  return commands;
}

function readActions(bridges: Bridges, text: string): ReturnType<typeof parseOdpActions> {
  const ports = new Map(
    [...bridges.running.values()].flatMap(({ ofproto }) =>
      ofproto.ports().map(({ name, odpPort }) => [name, odpPort] as const),
    ),
  );
  try {
    return parseOdpActions(text, (name) => ports.get(name));
  } catch (error) {
    throw new Error(`odp_actions_from_string (${(error as Error).message}) (Invalid argument)`);
  }
}
