import { oxmField } from "@sluice/openflow-codec";
import type { FlowKey, FlowMask } from "../flow/flow-key.js";
import { type FlowMatch, FlowMatchError, flowFieldOf, keyToMatch, matchToKey } from "../flow/match.js";
import { refuse } from "./error.js";
import type { Match } from "./of.js";

/** An OpenFlow match as key and mask; refuses what the specification does (1.3.5 §7.2.3). */
export function parseMatch(match: Match): { key: FlowKey; mask: FlowMask } {
  checkPrerequisites(match as FlowMatch);
  try {
    return matchToKey(match as FlowMatch);
  } catch (error) {
    if (error instanceof FlowMatchError) throw refuse(error.code, error.message);
    throw error;
  }
}

/** The canonical match of a key and mask. */
export const formatKey = (key: FlowKey, mask: FlowMask): Match => keyToMatch(key, mask) as Match;

/** Each field's prerequisites must be in the match, exactly (1.3.5 §7.2.3.6). */
function checkPrerequisites(match: FlowMatch): void {
  for (const name of Object.keys(match)) {
    if (match[name] === undefined) continue;
    const wanted = oxmField(name)?.prerequisites;
    if (!wanted) continue;
    for (const [field, values] of Object.entries(wanted)) {
      if (!values.length ? !isPresent(match, field) : !values.some((value) => has(match, field, value)))
        throw refuse(
          "OFPBMC_BAD_PREREQ",
          `${name} needs ${field}${values.length ? ` ${values.join(" or ")}` : ""}`,
        );
    }
  }
}

const isPresent = (match: FlowMatch, field: string): boolean => {
  const value = match[field];
  if (value === undefined) return false;
  if (field !== "vlan_vid") return true;
  return (Number(typeof value === "object" ? value.value : value) & 0x1000) !== 0;
};

/** Whether the match fixes the field to this value, under whichever of the field's names. */
function has(match: FlowMatch, field: string, value: number): boolean {
  if (match[field] === value) return true;
  const place = flowFieldOf(field);
  return Object.entries(match).some(([name, other]) => other === value && flowFieldOf(name) === place);
}
