import type { FlowStats, MessageInitOf, OfMessageInit } from "@sluice/openflow-codec";
import { OFPG, OFPP, OFPTT } from "@sluice/openflow-codec";
import type { Switch } from "../../framework/app.js";
import { multipart } from "../../rest/ofctl/multipart.js";
import { type Body, readInt } from "../../rest/ofctl/read.js";
import { badField } from "../../rest/problem.js";
import { vlanOf } from "./rule-match.js";

type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;

const EVERY_BIT = 0xffff_ffff_ffff_ffffn;
const MAX_ID = 0xffff_ffff;
const TAG_SHIFT = 48n;
const VLAN_SHIFT = 32n;

/** Rules that live in a switch, as flows: they outlive the controller, and nothing can disagree with them. A flow's cookie
 *  says whose it is (the upper 16 bits), of which VLAN group, and its number there. */
export class RuleTable {
  readonly #tag: bigint;
  /** The number given last, by VLAN group. */
  readonly #lastIds = new Map<number, number>();

  constructor(tag: number) {
    this.#tag = BigInt(tag) << TAG_SHIFT;
  }

  /** Of flows that are no rules. */
  get cookie(): bigint {
    return this.#tag;
  }

  isOurs(cookie: bigint): boolean {
    return cookie >> TAG_SHIFT === this.#tag >> TAG_SHIFT;
  }

  /** Takes all flows of the app away. */
  get removal(): FlowMod {
    return {
      type: "OFPT_FLOW_MOD",
      command: "OFPFC_DELETE",
      table_id: OFPTT.ALL,
      cookie: this.#tag,
      cookie_mask: 0xffffn << TAG_SHIFT,
    };
  }

  /** All flows of the app. */
  async flows(dp: Switch): Promise<readonly FlowStats[]> {
    const { entries } = await multipart(dp, {
      type: "OFPMP_FLOW",
      table_id: OFPTT.ALL,
      out_port: OFPP.ANY,
      out_group: OFPG.ANY,
      cookie: this.#tag,
      cookie_mask: 0xffffn << TAG_SHIFT,
    });
    return entries;
  }

  /** The VLAN groups that `vlan` means: with "all", those that have rules, and that of no VLAN. */
  groups(vlan: number | "all", rules: readonly FlowStats[]): number[] {
    return vlan === "all" ? [...new Set([0, ...rules.map(({ match }) => vlanOf(match))])] : [vlan];
  }

  /** A number for one rule more of a group. */
  nextId(vlan: number, rules: readonly FlowStats[]): number {
    const taken = rules.filter(({ match }) => vlanOf(match) === vlan).map(idOf);
    const last = Math.max(0, this.#lastIds.get(vlan) ?? 0, ...taken);
    const id = last < MAX_ID ? last + 1 : 1;
    this.#lastIds.set(vlan, id);
    return id;
  }

  cookieOf(vlan: number, id: number): bigint {
    return this.#tag | (BigInt(vlan) << VLAN_SHIFT) | BigInt(id);
  }
}

export const idOf = ({ cookie }: FlowStats): number => Number(cookie & BigInt(MAX_ID));

/** Sends all and waits until the switch has confirmed all. Rejects with the first refusal. */
export async function requestAll(dp: Switch, messages: readonly OfMessageInit[]): Promise<void> {
  await Promise.all(messages.map((message) => dp.request(message)));
}

/** Takes away exactly this flow. */
export const deletionOf = ({ table_id, priority, match, cookie }: FlowStats): FlowMod => ({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_DELETE_STRICT",
  table_id,
  priority,
  match,
  cookie,
  cookie_mask: EVERY_BIT,
});

/** Rules by VLAN group, in the order of the groups. */
function byVlan(rules: readonly FlowStats[]): [vlan: number, rules: FlowStats[]][] {
  const groups = new Map<number, FlowStats[]>();
  for (const rule of rules) {
    const vlan = vlanOf(rule.match);
    groups.set(vlan, [...(groups.get(vlan) ?? []), rule]);
  }
  return [...groups].sort(([a], [b]) => a - b);
}

/** The rules of a VLAN group, or of each, as Ryu lists them: under `key`, each as `show` has it. */
export const listRules = (
  rules: readonly FlowStats[],
  vlan: number | "all",
  key: string,
  show: (rule: FlowStats) => object,
): object[] =>
  byVlan(rules)
    .filter(([group]) => vlan === "all" || group === vlan)
    .map(([group, rules]) => ({ ...onlyIf(group, String(group)), [key]: rules.map(show) }));

/** How an app speaks of its rules. */
export interface RuleWords {
  /** The member of a body that holds a rule's number. */
  readonly field: string;
  readonly id: string;
  readonly missing: string;
  readonly deleted: string;
}

/** Deletes the rules that a body asks for by number, or "all". Throws a Problem. */
export async function removeRules(
  dp: Switch,
  rules: readonly FlowStats[],
  body: Body,
  vlan: number | "all",
  words: RuleWords,
): Promise<object> {
  const given = body[words.field];
  if (given === undefined) throw badField(words.field, "is missing");
  const id = given === "all" ? "all" : readInt(given, words.field);
  const meant = rules.filter(
    (rule) => (id === "all" || idOf(rule) === id) && (vlan === "all" || vlanOf(rule.match) === vlan),
  );
  if (meant.length === 0) {
    const which = id === "all" ? "" : ` : ${words.id}=${id}`;
    return { result: "failure", details: `${words.missing}${which}` };
  }
  await requestAll(dp, meant.map(deletionOf));
  return byVlan(meant).map(([group, rules]) => ({
    result: "success",
    details: `${words.deleted} : ${words.id}=${rules.map(idOf).join(",")}`,
    ...onlyIf(group, String(group)),
  }));
}

export const onlyIf = <T>(vlan: number, value: T): { vlan_id?: T } => (vlan === 0 ? {} : { vlan_id: value });
