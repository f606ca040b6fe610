import { stringifyJson } from "@sluice/runtime";
import { sortMembers } from "../schema/error.js";

/** JSON with the members of objects in order: in one line, or with `pretty` as the OVS tools' `--pretty` has it. */
export const formatJson = (json: unknown, pretty = false): string => {
  const sorted = sortMembers(json);
  return pretty ? indented(sorted, "\n") : stringifyJson(sorted);
};

const indented = (json: unknown, newline: string): string => {
  if (json === null || typeof json !== "object") return stringifyJson(json);
  const inner = `${newline}  `;
  const [open, close] = Array.isArray(json) ? "[]" : "{}";
  const parts = Array.isArray(json)
    ? json.map((element) => indented(element, inner))
    : Object.entries(json).map(([name, value]) => `${JSON.stringify(name)}: ${indented(value, inner)}`);
  return parts.length === 0 ? `${open}${close}` : `${open}${inner}${parts.join(`,${inner}`)}${close}`;
};
