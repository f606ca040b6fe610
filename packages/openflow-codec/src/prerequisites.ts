import { OfDecodeError } from "./schema/error.js";
import { type Match, oxmField, oxmFields } from "./v13/match.js";

/** Checks on matches that decoding leaves out, so that what breaks them can still be shown: the switch makes
 *  them before it takes a flow. */

/** The names under which a field may be in a match. */
const alternatives = new Map<string, string[]>();
for (const field of oxmFields) {
  const name = field.same ?? field.name;
  alternatives.set(name, [...(alternatives.get(name) ?? []), field.name]);
}

/** What a field needs: another field, by one of its names, with one of these values where there are some. */
interface Need {
  readonly needed: string;
  readonly names: readonly string[];
  readonly allowed: readonly number[];
}

const needs = new Map<string, readonly Need[]>(
  oxmFields.map(({ name, prerequisites = {} }) => [
    name,
    Object.entries(prerequisites).map(([needed, allowed]) => ({
      needed,
      names: alternatives.get(needed) ?? [needed],
      allowed,
    })),
  ]),
);

function valueIn(match: Readonly<Record<string, unknown>>, names: readonly string[]): unknown {
  for (const one of names) if (match[one] !== undefined) return match[one];
  return undefined;
}

/** What a field of the match lacks: another field's name; undefined when it lacks nothing. A prerequisite
 *  must be there without mask (OpenFlow 1.3.5 §7.2.3.6). */
export function missingPrerequisite(match: Match, name: string): string | undefined {
  const values = match as Readonly<Record<string, unknown>>;
  for (const { needed, names, allowed } of needs.get(name) ?? []) {
    const value = valueIn(values, names);
    if (value === undefined) return needed;
    if (allowed.length > 0 && !allowed.includes(value as number)) return needed;
    if (
      needed === "vlan_vid" &&
      (typeof value === "object" ? (value as { value: number }).value : value) === 0
    ) {
      return needed;
    }
    const further = missingPrerequisite(match, needed);
    if (further !== undefined) return further;
  }
  return undefined;
}

/** Throws OfDecodeError OFPBMC_BAD_PREREQ for a field without its prerequisites, and OFPBMC_BAD_FIELD for one
 *  that the codec has no name for. */
export function checkMatch(match: Match, path = "match"): void {
  for (const name of Object.keys(match)) {
    const fail = (code: string, detail: string): never => {
      const error = new OfDecodeError(["OFPET_BAD_MATCH", code], 0, detail);
      error.path = `${path}.${name}`;
      error.message = `${code}: ${error.path}: ${detail}`;
      throw error;
    };
    if (oxmField(name) === undefined) fail("OFPBMC_BAD_FIELD", "unknown field");
    const missing = missingPrerequisite(match, name);
    if (missing !== undefined) fail("OFPBMC_BAD_PREREQ", `needs ${missing}`);
  }
}
