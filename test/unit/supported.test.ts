import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type SupportKind, supportedTable } from "@sluice/openflow-codec";
import { expect, test } from "vitest";
import { ABSENT } from "../../packages/switch/src/appctl/absent.js";
import { switchCommands } from "../../packages/switch/src/appctl/commands.js";
import { UNSUPPORTED } from "../../packages/switch/src/bridge/unsupported.js";
import { handlers } from "../../packages/switch/src/connmgr/handlers/index.js";
import { flowFieldOf } from "../../packages/switch/src/flow/match.js";
import { canExecute } from "../../packages/switch/src/ofproto/xlate/pipeline.js";

/** docs/supported.md is made from the declarations and from the switch's own tables: `npm run docs` writes it anew. */

/** Names in quotes or as keys in the switch's sources. */
function namedInSwitch(): Set<string> {
  const directory = fileURLToPath(new URL("../../packages/switch/src/", import.meta.url));
  const sources = readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.(?:test|testkit)\.ts$/.test(file))
    .map((file) => readFileSync(directory + file, "utf8"))
    .join("\n");
  return new Set(
    [...sources.matchAll(/"([A-Z]\w+)"|\b([A-Z][A-Z0-9]+_\w+)(?=\??[(:])/g)].map(
      ([, quoted, key]) => (quoted ?? key)!,
    ),
  );
}

const named = namedInSwitch();

function inSwitch(kind: SupportKind, name: string): string {
  // The codec keeps these and shows them; the switch knows no experimenter but those that have names.
  if (/^OFP(?:T|MP|IT|AT|MBT|TFPT)_EXPERIMENTER(?:_MISS)?$/.test(name)) return "refuses";
  switch (kind) {
    case "action":
      return canExecute(name) ? "yes" : "no";
    case "match field":
      return flowFieldOf(name) === undefined ? "no" : "yes";
    case "message":
      return name in handlers ? "takes" : named.has(name) ? "sends" : "no";
    case "error":
    case "experimenter error":
      return "";
    default:
      return named.has(name) ? "yes" : "no";
  }
}

const HEAD = `# What is supported

Made by \`npm run docs\` from the declarations of [openflow-codec](../packages/openflow-codec) and the tables of
[switch](../packages/switch); a test holds it up to date.

Codec: read and written by name, in bytes, JSON and types (experimenters' errors: in text); what has no name is kept and written again, or refused with
the error that is named. Switch: what \`sluice vswitchd\` does with it.

`;

const CONFIGURATION = `
## Configuration that does nothing

Columns (and keys, values) of the Open_vSwitch schema that ask for what the switch does not do. Setting one is told in the log, in
\`status:unsupported\` of the row (Bridge, Port, Interface), and by \`sluice vsctl\`. Interfaces of other types than those of
\`Open_vSwitch.iface_types\`, and a bond's second and further interfaces, get an \`error\`.

| Table | Settings |
| --- | --- |
${Object.entries(UNSUPPORTED)
  .map(([table, settings]) => `| ${table} | ${settings.join(", ")} |\n`)
  .join("")}`;

const commands = switchCommands({} as Parameters<typeof switchCommands>[0])
  .flatMap((table) => Object.entries(table))
  .sort(([a], [b]) => (a < b ? -1 : 1));

const COMMANDS = `
## Control commands

What \`ovs-appctl\` and \`sluice appctl\` can ask of \`sluice vswitchd\`.

| Command | Arguments |
| --- | --- |
${commands.map(([name, { usage = "" }]) => `| \`${name}\` | ${usage.replaceAll("|", "\\|")} |\n`).join("")}
Of those of ovs-vswitchd 3.1 these are not here; who asks for one is told why.

| Commands | Why not |
| --- | --- |
${ABSENT.map(([names, why]) => `| ${names.map((name) => `\`${/[/-]$/.test(name) ? `${name}…` : name}\``).join(", ")} | ${why} |\n`).join("")}`;

test("what is said not to be here is not here", () => {
  const absent = ABSENT.flatMap(([names]) => names);
  expect(commands.map(([name]) => name).filter((name) => absent.some((one) => name.startsWith(one)))).toEqual(
    [],
  );
});

test("docs/supported.md says what the declarations and the switch say (else: npm run docs)", async () => {
  const tables = supportedTable([{ title: "Switch", says: inSwitch }]);
  await expect(HEAD + tables + CONFIGURATION + COMMANDS).toMatchFileSnapshot("../../docs/supported.md");
});
