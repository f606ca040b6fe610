import { experimenterErrors } from "./ext/errors.js";
import { isHidden, type StructNode, type UnionNode } from "./schema/nodes.js";
import { actionUnion } from "./v13/actions.js";
import { ofErrors } from "./v13/errors.js";
import { instructionUnion } from "./v13/instructions.js";
import { oxmFields } from "./v13/match.js";
import { messageUnion } from "./v13/messages.js";
import { multipartReplyBody, multipartRequestBody } from "./v13/multipart.js";
import { bandUnion, helloElementUnion, ofpGroupType, queuePropUnion } from "./v13/structs.js";
import { tableFeaturePropUnion } from "./v13/table-features.js";

export type SupportKind =
  | "message"
  | "multipart request"
  | "multipart reply"
  | "instruction"
  | "action"
  | "group type"
  | "meter band"
  | "queue property"
  | "table feature property"
  | "hello element"
  | "match field"
  | "error"
  | "experimenter error";

/** A column beside the codec's own: what another part does with the thing of that name. */
export interface SupportColumn {
  readonly title: string;
  readonly says: (kind: SupportKind, name: string) => string;
}

interface Section {
  readonly title: string;
  readonly kind: SupportKind;
  /** Titles of `cells`, which stand between the name and the codec's column. */
  readonly about: readonly string[];
  readonly rows: readonly Row[];
  /** What becomes of a number that no row has. */
  readonly others: string;
}
interface Row {
  readonly name: string;
  readonly cells: readonly string[];
}

/** Everything that the codec reads and writes by name, as markdown: made from the declarations. */
export function supportedTable(columns: readonly SupportColumn[] = []): string {
  return sections()
    .map(({ title, kind, about, rows, others }) => {
      const head = ["Name", ...about, "Codec", ...columns.map((column) => column.title)];
      const body = rows.map(({ name, cells }) => [
        name,
        ...cells,
        "yes",
        ...columns.map((column) => column.says(kind, name)),
      ]);
      const rest = ["any other", ...about.map(() => ""), others, ...columns.map(() => "")];
      return `## ${title}\n\n${[head, head.map(() => "---"), ...body, rest].map(line).join("\n")}\n`;
    })
    .join("\n");
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

const KEPT = "as bytes";

function sections(): Section[] {
  const structs = (
    title: string,
    kind: SupportKind,
    members: readonly StructNode[],
    others: string,
  ): Section => ({
    title,
    kind,
    about: ["§", "Fields"],
    rows: members.map((member) => ({
      name: member.type ?? member.name,
      cells: [member.section ?? "", fieldNames(member)],
    })),
    others,
  });
  const union = (title: string, kind: SupportKind, of: UnionNode): Section =>
    structs(title, kind, of.members, of.fallback === undefined ? of.unknown.join(" ") : KEPT);
  const bodies = (
    title: string,
    kind: SupportKind,
    of: typeof multipartRequestBody | typeof multipartReplyBody,
  ): Section =>
    structs(
      title,
      kind,
      Object.values(of.members).flatMap((member): readonly StructNode[] =>
        member.kind === "union" ? [...member.members, ...typed(member.fallback)] : [member],
      ),
      of.unknown.join(" "),
    );
  return [
    union("Messages", "message", messageUnion),
    bodies("Multipart requests", "multipart request", multipartRequestBody),
    bodies("Multipart replies", "multipart reply", multipartReplyBody),
    union("Instructions", "instruction", instructionUnion),
    union("Actions", "action", actionUnion),
    {
      title: "Group types",
      kind: "group type",
      about: [],
      rows: Object.keys(ofpGroupType.enum?.values ?? {}).map((name) => ({ name, cells: [] })),
      others: "as a number",
    },
    union("Meter bands", "meter band", bandUnion),
    union("Queue properties", "queue property", queuePropUnion),
    union("Table feature properties", "table feature property", tableFeaturePropUnion),
    union("Hello elements", "hello element", helloElementUnion),
    {
      title: "Match fields",
      kind: "match field",
      about: ["Number", "Bits", "Mask", "Set-field", "Needs"],
      rows: oxmFields.map((field) => ({
        name: field.name,
        cells: [
          field.nxm,
          String(field.bits),
          yesNo(field.maskable),
          yesNo(field.settable),
          Object.entries(field.prerequisites)
            .map(([name, values]) => [name, values.map(hex).join(" or ")].join(" ").trimEnd())
            .join(", "),
        ],
      })),
      others: KEPT,
    },
    {
      title: "Errors",
      kind: "error",
      about: ["Type", "Number"],
      rows: Object.entries(ofErrors).flatMap(([type, { value, codes }]) =>
        codes.map((name, code) => ({ name, cells: [type, `${value}, ${code}`] })),
      ),
      others: "as a number",
    },
    {
      title: "Errors of experimenters",
      kind: "experimenter error",
      about: ["Experimenter", "Number"],
      rows: Object.entries(experimenterErrors).flatMap(([experimenter, codes]) =>
        Object.entries(codes).map(([name, code]) => ({
          name,
          cells: [hex(Number(experimenter)), String(code)],
        })),
      ),
      others: "as a number",
    },
  ];
}

/** A fallback that has a name of its own stands among the others. */
const typed = (struct: StructNode | undefined): StructNode[] => (struct?.type === undefined ? [] : [struct]);

const yesNo = (is: boolean): string => (is ? "yes" : "no");
const hex = (value: number): string => `0x${value.toString(16)}`;

const fieldNames = (struct: StructNode): string =>
  Object.entries(struct.fields)
    .filter(([, field]) => !isHidden(field))
    .map(([name]) => name)
    .join(", ");
