import { type MessageInitOf, OFPG, type PortNames, parseGroup } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import { type CommandTable, type Context, type OfctlCommand, withSwitch } from "./context.js";
import { mods } from "./mods.js";
import { printMultipart } from "./print.js";

export type GroupModInit = MessageInitOf<"OFPT_GROUP_MOD">;
export type GroupCommand = "add" | "modify" | "add_or_mod" | "delete";

const KEYWORD = /^(add_or_mod|add|modify|delete|insert_bucket|remove_bucket)(?=[\s,]|$)[\s,]*/;

/** Parses one group line; with "any" a keyword at its start says which command it is, and it is an add without. */
export function groupOf(
  text: string,
  command: GroupCommand | "any",
  names: PortNames | undefined,
): GroupModInit {
  if (command !== "any") return groupMod(text, command, names);
  const keyword = KEYWORD.exec(text);
  const given = keyword?.[1] ?? "add";
  if (given.endsWith("_bucket")) throw needsLaterVersion(given.replace("_", "-"));
  return groupMod(text.slice(keyword?.[0].length ?? 0), given as GroupCommand, names);
}

/** Open vSwitch's own command number: change the group, or add it where there is none. */
const ADD_OR_MOD = 0x8000;

const groupMod = (text: string, command: GroupCommand, names: PortNames | undefined): GroupModInit =>
  command === "add_or_mod"
    ? { ...parseGroup(text, "modify", names), command: ADD_OR_MOD }
    : parseGroup(text, command, names);

/** OpenFlow 1.3 changes a group's buckets only all at once. */
const needsLaterVersion = (what: string): CliError =>
  new CliError(`${what} needs OpenFlow 1.5 or later; use mod-group with all the buckets`);

const groupMods = (
  usage: string,
  argument: "line" | "file",
  commandOf: (context: Context) => GroupCommand | "any",
): OfctlCommand => mods(usage, argument, commandOf, groupOf);

/** "7", "group_id=7", "all", or nothing for all. */
function groupId(text: string | undefined): number {
  const value = text?.replace(/^group_id\s*[=:]\s*/, "") ?? "";
  if (value === "" || /^all$/i.test(value)) return OFPG.ALL;
  const number = Number(value);
  if (Number.isInteger(number) && number >= 0 && number <= OFPG.MAX) return number;
  throw new CliError(`"${text}" is not a group`);
}

const unsupported = (usage: string, what: string): OfctlCommand => ({
  usage,
  min: 1,
  max: 2,
  writes: true,
  run: async () => {
    throw needsLaterVersion(what);
  },
});

const deleteGroups = groupMods("SWITCH [GROUP|-]", "line", () => "delete");

/** Commands on the group table. */
export const groupCommands: CommandTable = {
  "add-group": groupMods("SWITCH GROUP|-", "line", () => "any"),
  "add-groups": groupMods("SWITCH FILE|-", "file", () => "any"),
  "mod-group": groupMods("SWITCH GROUP|-", "line", ({ options }) =>
    options["may-create"] ? "add_or_mod" : "modify",
  ),
  "del-groups": {
    ...deleteGroups,
    min: 1,
    run: (context, [name, spec = "group_id=all"]) => deleteGroups.run(context, [name!, spec]),
  },
  "insert-buckets": unsupported("SWITCH GROUP", "insert-bucket"),
  "remove-buckets": unsupported("SWITCH GROUP", "remove-bucket"),
  // OpenFlow 1.3 has no request for one group's description: all are shown, as ovs-ofctl does.
  "dump-groups": {
    usage: "SWITCH [GROUP]",
    min: 1,
    max: 2,
    run: (context, [name, group]) =>
      withSwitch(context, name!, async (vconn) => {
        groupId(group);
        await printMultipart(context, vconn, { type: "OFPMP_GROUP_DESC" });
      }),
  },
  "dump-group-stats": {
    usage: "SWITCH [GROUP]",
    min: 1,
    max: 2,
    run: (context, [name, group]) =>
      withSwitch(context, name!, (vconn) =>
        printMultipart(context, vconn, { type: "OFPMP_GROUP", group_id: groupId(group) }),
      ),
  },
};
