import type { TableFeatures } from "../v13/table-features.js";
import { ACTION_BITS } from "./action-bits.js";
import { textField } from "./fields.js";
import { hexText } from "./scan.js";

/** Table features, in the manner of ovs-ofctl dump-table-features; field names are not folded together. */

type Property = TableFeatures["properties"][number];
const INSTRUCTIONS: Readonly<Record<string, string>> = {
  OFPIT_METER: "meter",
  OFPIT_APPLY_ACTIONS: "apply_actions",
  OFPIT_CLEAR_ACTIONS: "clear_actions",
  OFPIT_WRITE_ACTIONS: "write_actions",
  OFPIT_WRITE_METADATA: "write_metadata",
  OFPIT_GOTO_TABLE: "goto_table",
};
const ACTION_WORDS = new Map(ACTION_BITS.map(([bit, word]) => [bit, word]));
const ACTION_NUMBERS: Readonly<Record<string, number>> = {
  OFPAT_OUTPUT: 0,
  OFPAT_COPY_TTL_OUT: 11,
  OFPAT_COPY_TTL_IN: 12,
  OFPAT_SET_MPLS_TTL: 15,
  OFPAT_DEC_MPLS_TTL: 16,
  OFPAT_PUSH_VLAN: 17,
  OFPAT_POP_VLAN: 18,
  OFPAT_PUSH_MPLS: 19,
  OFPAT_POP_MPLS: 20,
  OFPAT_SET_QUEUE: 21,
  OFPAT_GROUP: 22,
  OFPAT_SET_NW_TTL: 23,
  OFPAT_DEC_NW_TTL: 24,
  OFPAT_SET_FIELD: 25,
  OFPAT_PUSH_PBB: 26,
  OFPAT_POP_PBB: 27,
};

/** Numbers as ranges: "1-3,7". */
function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < numbers.length; ) {
    let j = i;
    while (numbers[j + 1] === numbers[j]! + 1) j++;
    parts.push(j === i ? String(numbers[i]) : `${numbers[i]}-${numbers[j]}`);
    i = j + 1;
  }
  return parts.join(",");
}

function contents(property: Property): string {
  if ("instruction_ids" in property) {
    return property.instruction_ids.map((id) => INSTRUCTIONS[id.type] ?? String(id.type)).join(" ");
  }
  if ("next_table_ids" in property) return ranges(property.next_table_ids);
  if ("action_ids" in property) {
    return property.action_ids
      .map((id) => ACTION_WORDS.get(ACTION_NUMBERS[id.type] ?? -1) ?? String(id.type))
      .join(" ");
  }
  if ("oxm_ids" in property) {
    return property.oxm_ids
      .map((id) => {
        const [name = "", mask] = id.split("/");
        return (textField(name)?.oxm.target ?? name) + (mask === undefined ? "" : "/mask");
      })
      .join(" ");
  }
  return "";
}

const label = (type: string | number): string =>
  typeof type === "number"
    ? `property ${type}`
    : type.replace("OFPTFPT_", "").toLowerCase().replaceAll("_", " ");

const describe = (table: TableFeatures): string =>
  `    metadata: match=${hexText(table.metadata_match)} write=${hexText(table.metadata_write)}\n` +
  `    max_entries=${table.max_entries}\n` +
  table.properties.map((property) => `    ${label(property.type)}: ${contents(property)}\n`).join("");

export function formatTableFeatures(tables: readonly TableFeatures[]): string {
  let before = "";
  return tables
    .map((table) => {
      const text = describe(table);
      const same = text === before;
      before = text;
      const name = table.name === "" ? "" : ` ("${table.name}")`;
      return `\n  table ${table.table_id}${name}:${same ? " ditto\n" : `\n${text}`}`;
    })
    .join("");
}
