import type { StructNode } from "./schema/declare.js";
import { actionUnion } from "./v13/actions.js";
import { ofErrors } from "./v13/errors.js";
import { instructionUnion } from "./v13/instructions.js";
import { oxmFields } from "./v13/match.js";
import { messageUnion } from "./v13/messages.js";
import { multipartReplyBody, multipartRequestBody } from "./v13/multipart.js";
import { bandUnion, queuePropUnion } from "./v13/structs.js";
import { tableFeaturePropUnion } from "./v13/table-features.js";

/** Everything that the codec reads and writes by name, as markdown: made from the declarations. */
export function supportedTable(): string {
  const rows = (members: readonly StructNode[]): string =>
    members
      .map((member) => `| ${member.type} | ${member.section ?? ""} | ${fieldNames(member)} |`)
      .join("\n");
  const section = (title: string, members: readonly StructNode[]): string =>
    `## ${title}\n\n| Name | § | Fields |\n|---|---|---|\n${rows(members)}\n`;
  const leaves = (body: typeof multipartRequestBody | typeof multipartReplyBody): StructNode[] =>
    Object.values(body.members).flatMap((member): StructNode[] =>
      member.kind === "union" ? [...member.members] : [member],
    );
  const matchRows = oxmFields
    .map(
      (field) =>
        `| ${field.name} | ${field.nxm} | ${field.bits} | ${field.maskable ? "yes" : "no"} | ${field.settable ? "yes" : "no"} | ${Object.entries(
          field.prerequisites,
        )
          .map(([name, values]) =>
            values.length === 0 ? name : `${name} ${values.map((v) => `0x${v.toString(16)}`).join(" or ")}`,
          )
          .join(", ")} |`,
    )
    .join("\n");
  const errors = Object.entries(ofErrors)
    .map(([type, { codes }]) => `| ${type} | ${codes.join(", ")} |`)
    .join("\n");
  return [
    section("Messages", messageUnion.members),
    section("Multipart requests", leaves(multipartRequestBody)),
    section("Multipart replies", leaves(multipartReplyBody)),
    section("Instructions", instructionUnion.members),
    section("Actions", actionUnion.members),
    section("Meter bands", bandUnion.members),
    section("Queue properties", queuePropUnion.members),
    section("Table feature properties", tableFeaturePropUnion.members),
    `## Match fields\n\n| Name | Number | Bits | Mask | Set-field | Needs |\n|---|---|---|---|---|---|\n${matchRows}\n`,
    `## Errors\n\n| Type | Codes |\n|---|---|\n${errors}\n`,
  ].join("\n");
}

const HIDDEN = new Set([
  "pad",
  "padUntil",
  "padTail",
  "const",
  "tag",
  "length",
  "lengthOf",
  "countOf",
  "tagOf",
]);

const fieldNames = (struct: StructNode): string =>
  Object.entries(struct.fields)
    .filter(([, field]) => !HIDDEN.has(field.kind))
    .map(([name]) => name)
    .join(", ");
