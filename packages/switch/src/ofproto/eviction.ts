import { type FlowKey, getFieldBig } from "../flow/flow-key.js";
import { flowFieldOf } from "../flow/match.js";
import type { Rule } from "./rule.js";

/** Part of a field, by which the flows of a table are divided into groups (Flow_Table.groups). */
export interface Subfield {
  readonly field: string;
  readonly offset: number;
  readonly n_bits: number;
}

/** Reads "NXM_OF_VLAN_TCI[0..11]", "NXM_OF_IN_PORT[]" or "in_port"; undefined: there is no such field. */
export function parseSubfield(text: string): Subfield | undefined {
  const parts = /^(\w+)(?:\[(?:(\d+)(?:\.\.(\d+))?)?\])?$/.exec(text.trim());
  const [, written = "", first, last] = parts ?? [];
  const name = written.toLowerCase();
  const known = [name, name.replace(/^nxm_nx_|^oxm_of_/, "")].find((one) => flowFieldOf(one) !== undefined);
  const field = known === undefined ? undefined : flowFieldOf(known);
  if (known === undefined || field === undefined) return undefined;
  const offset = first === undefined ? 0 : Number(first);
  const end = last === undefined ? (first === undefined ? field.bits - 1 : offset) : Number(last);
  return end < offset || end >= field.bits ? undefined : { field: known, offset, n_bits: end - offset + 1 };
}

/** The flows that a full table may drop for a new one: those with a timeout (ovs-vswitchd.conf.db(5), Flow_Table,
 *  "Eviction Policy"). */
export class Eviction {
  readonly #subfields: readonly Subfield[];
  readonly #groups = new Map<string, Set<Rule>>();
  readonly #groupOf = new Map<Rule, string>();

  constructor(subfields: readonly Subfield[]) {
    this.#subfields = subfields;
  }

  /** `key`: the rule's match, zero where it says nothing. */
  add(rule: Rule, key: FlowKey): void {
    if (this.#groupOf.has(rule)) return;
    const name = this.#subfields.map((subfield) => bitsOf(key, subfield)).join();
    const group = this.#groups.get(name);
    if (group) group.add(rule);
    else this.#groups.set(name, new Set([rule]));
    this.#groupOf.set(rule, name);
  }

  delete(rule: Rule): void {
    const name = this.#groupOf.get(rule);
    if (name === undefined) return;
    this.#groupOf.delete(rule);
    const group = this.#groups.get(name)!;
    group.delete(rule);
    if (group.size === 0) this.#groups.delete(name);
  }

  /** Of the largest groups the flow that would expire first. */
  victim(): Rule | undefined {
    let largest = 0;
    for (const group of this.#groups.values()) largest = Math.max(largest, group.size);
    let victim: Rule | undefined;
    for (const group of this.#groups.values()) {
      if (group.size < largest) continue;
      for (const rule of group) if (!victim || rule.deadline() < victim.deadline()) victim = rule;
    }
    return victim;
  }
}

const bitsOf = (key: FlowKey, { field, offset, n_bits }: Subfield): bigint =>
  (getFieldBig(key, flowFieldOf(field)!) >> BigInt(offset)) & ((1n << BigInt(n_bits)) - 1n);
