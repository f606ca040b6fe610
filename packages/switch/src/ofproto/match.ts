import { missingPrerequisite } from "@sluice/openflow-codec";
import { type FlowKey, type FlowMask, newFlowKey } from "../flow/flow-key.js";
import { type FlowMatch, FlowMatchError, keyToMatch, matchToKey } from "../flow/match.js";
import { refuse } from "./error.js";
import type { Match } from "./of.js";
import { KeyedMatch } from "./wire-match.js";

/** An OpenFlow match as key and mask; refuses what the specification does (1.3.5 §7.2.3). In the two that are given,
 *  whatever is in them, or in new ones; a match that is a key already is answered as it is. */
export function parseMatch(
  match: Match | KeyedMatch,
  key: FlowKey = newFlowKey(),
  mask: FlowMask = newFlowKey(),
): { key: FlowKey; mask: FlowMask } {
  if (match instanceof KeyedMatch) return match;
  for (const name in match) {
    const missing = (match as FlowMatch)[name] === undefined ? undefined : missingPrerequisite(match, name);
    if (missing !== undefined) throw refuse("OFPBMC_BAD_PREREQ", `${name} needs ${missing}`);
  }
  key.fill(0);
  mask.fill(0);
  try {
    return matchToKey(match as FlowMatch, key, mask);
  } catch (error) {
    if (error instanceof FlowMatchError) throw refuse(error.code, error.message);
    throw error;
  }
}

/** The canonical match of a key and mask. */
export const formatKey = (key: FlowKey, mask: FlowMask): Match => keyToMatch(key, mask) as Match;

/** The same for the mask of rules. */
export const formatRuleKey = (key: FlowKey, mask: FlowMask): Match => keyToMatch(key, mask, true) as Match;
