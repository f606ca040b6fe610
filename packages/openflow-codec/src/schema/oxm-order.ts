import type { OxmField } from "./oxm-field.js";

type Fields = Readonly<Record<string, unknown>>;

/** The order of a match's fields: each stands behind those that it needs (OpenFlow 1.3.5 §7.2.3.6), as declared. Under the
 *  names that generated source uses. */
export function matchOrder(fields: readonly OxmField[]) {
  const rows = new Map(fields.map((field) => [field.name, field]));
  /** The names of a field, those in older numberings too. */
  const names = new Map<string, string[]>();
  for (const { name, same = name } of fields) names.set(same, [...(names.get(same) ?? []), name]);

  const needed = [...new Set(fields.flatMap(({ prerequisites }) => Object.keys(prerequisites)))];
  if (needed.length > 31)
    throw new Error(`${needed.length} fields are prerequisites, more than a number has bits`);
  /** By field: what it needs, and what it is to those that need it, as bits. */
  const bits = new Map(
    fields.map(({ name, same = name, prerequisites }) => {
      const needs = Object.keys(prerequisites).reduce((sum, one) => sum | (1 << needed.indexOf(one)), 0);
      const is = needed.includes(same) ? 1 << needed.indexOf(same) : 0;
      return [name, { needs, is }] as const;
    }),
  );

  return {
    /** Whether a field comes behind one that needs it. */
    is_late(match: Fields): boolean {
      let seen = 0;
      for (const name in match) {
        const field = match[name] === undefined ? undefined : bits.get(name);
        if (field === undefined) continue;
        if ((seen & field.is) !== 0) return true;
        seen |= field.needs;
      }
      return false;
    },
    /** Those that nothing moves stay in their order. */
    in_order(match: Fields): Fields {
      const ordered: Record<string, unknown> = {};
      const place = (name: string): void => {
        if (Object.hasOwn(ordered, name) || match[name] === undefined) return;
        for (const one of Object.keys(rows.get(name)?.prerequisites ?? {})) names.get(one)?.forEach(place);
        ordered[name] = match[name];
      };
      Object.keys(match).forEach(place);
      return ordered;
    },
  };
}
