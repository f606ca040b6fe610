import { oxmFields } from "../v13/match.js";
import type { TableFeatures } from "../v13/table-features.js";
import { ACTION_BITS } from "./action-bits.js";
import { textField } from "./fields.js";
import { hexText } from "./scan.js";

/** Table features as ovs-ofctl dump-table-features prints them: what is the same is told once. */

type Property = TableFeatures["properties"][number];

/** In the order in which they are told. */
const INSTRUCTIONS: Readonly<Record<string, string>> = {
  OFPIT_METER: "meter",
  OFPIT_APPLY_ACTIONS: "apply_actions",
  OFPIT_CLEAR_ACTIONS: "clear_actions",
  OFPIT_WRITE_ACTIONS: "write_actions",
  OFPIT_WRITE_METADATA: "write_metadata",
  OFPIT_GOTO_TABLE: "goto_table",
};
const ACTION_WORDS = new Map(ACTION_BITS.map(([bit, word]) => [bit, word]));
/** In the order in which they are told, with their bits. */
const ACTION_NUMBERS: Readonly<Record<string, number>> = {
  OFPAT_OUTPUT: 0,
  OFPAT_GROUP: 22,
  OFPAT_SET_FIELD: 25,
  OFPAT_POP_VLAN: 18,
  OFPAT_PUSH_VLAN: 17,
  OFPAT_SET_NW_TTL: 23,
  OFPAT_DEC_NW_TTL: 24,
  OFPAT_SET_MPLS_TTL: 15,
  OFPAT_DEC_MPLS_TTL: 16,
  OFPAT_PUSH_MPLS: 19,
  OFPAT_POP_MPLS: 20,
  OFPAT_SET_QUEUE: 21,
  OFPAT_COPY_TTL_OUT: 11,
  OFPAT_COPY_TTL_IN: 12,
  OFPAT_PUSH_PBB: 26,
  OFPAT_POP_PBB: 27,
};

const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${name}${i}`);

/** The order of ovs-fields(7). */
const FIELD_ORDER = [
  "dp_hash recirc_id packet_type conj_id tun_id tun_src tun_dst tun_ipv6_src tun_ipv6_dst tun_flags tun_gbp_id",
  "tun_gbp_flags tun_erspan_idx tun_erspan_ver tun_erspan_dir tun_erspan_hwid tun_gtpu_flags tun_gtpu_msgtype",
  ...numbered("tun_metadata", 64),
  "metadata in_port in_port_oxm in_phy_port actset_output skb_priority pkt_mark ct_state ct_zone ct_mark ct_label",
  "ct_nw_proto ct_nw_src ct_nw_dst ct_ipv6_src ct_ipv6_dst ct_tp_src ct_tp_dst",
  ...numbered("reg", 16),
  ...numbered("xreg", 8),
  ...numbered("xxreg", 4),
  "eth_src eth_dst eth_type vlan_tci vlan_vid vlan_pcp mpls_label mpls_tc mpls_bos mpls_ttl pbb_isid",
  "ip_src ip_dst ipv6_src ipv6_dst ipv6_label ipv6_exthdr nw_proto nw_tos ip_dscp nw_ecn nw_ttl ip_frag",
  "arp_op arp_spa arp_tpa arp_sha arp_tha tcp_src tcp_dst tcp_flags udp_src udp_dst sctp_src sctp_dst",
  "icmp_type icmp_code icmpv6_type icmpv6_code nd_target nd_sll nd_tll nd_reserved nd_options_type",
  "nsh_flags nsh_mdtype nsh_np nsh_spi nsh_si nsh_c1 nsh_c2 nsh_c3 nsh_c4 nsh_ttl",
].flatMap((line) => line.split(" "));
const PLACE = new Map(FIELD_ORDER.map((name, i) => [name, i]));

const byPlace = (a: string, b: string): number =>
  (PLACE.get(a) ?? FIELD_ORDER.length) - (PLACE.get(b) ?? FIELD_ORDER.length);

/** Fields of Open vSwitch that matches of ours do not have. */
const FOREIGN: Readonly<Record<string, string>> = {
  "header:0x10000204": "nd_reserved",
  "header:0x10000401": "nd_options_type",
};

/** What an OXM id says: a field, by ovs-ofctl's name, and whether it may be masked. A header whose length the codec does
 *  not take for the field's own (Open vSwitch counts the mask too) still tells which field it is. */
function readId(id: string): { name: string; isMasked: boolean } {
  const [, header, experimenter] = /^header:(0x[0-9a-f]{8})(?::(0x[0-9a-f]{8}))?$/.exec(id) ?? [];
  if (header === undefined) {
    const [field = "", mask] = id.split("/");
    return { name: textField(field)?.oxm.target ?? field, isMasked: mask !== undefined };
  }
  const number = Number(header);
  const owner = experimenter === undefined ? undefined : Number(experimenter);
  const field = oxmFields.find(
    (each) =>
      each.class === number >>> 16 && each.field === ((number >>> 9) & 0x7f) && each.experimenter === owner,
  );
  const name = field === undefined ? (FOREIGN[id] ?? id) : (textField(field.name)?.oxm.target ?? field.name);
  return { name, isMasked: ((number >>> 8) & 1) === 1 };
}

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

/** Runs of numbered names: "reg0...reg15". */
function foldNumbers(names: readonly string[]): string[] {
  const folded: string[] = [];
  for (let i = 0; i < names.length; ) {
    let end = i + 1;
    while (end < names.length && names[end] === successor(names[end - 1]!)) end++;
    folded.push(end - i > 1 ? `${names[i]}...${names[end - 1]}` : names[i]!);
    i = end;
  }
  return folded;
}

const successor = (name: string): string | undefined =>
  /\d$/.test(name) ? name.replace(/\d+$/, (digits) => String(Number(digits) + 1)) : undefined;

const prefixOf = (name: string): string | undefined => /^([^_]+)_/.exec(name)?.[1];

/** Neighbours with the same beginning share it: "eth_{src,dst}". */
function fold(names: readonly string[]): string[] {
  const folded: string[] = [];
  for (let i = 0; i < names.length; ) {
    const prefix = prefixOf(names[i]!);
    let end = i + 1;
    while (prefix !== undefined && end < names.length && prefixOf(names[end]!) === prefix) end++;
    if (end - i > 1) {
      const rests = names.slice(i, end).map((name) => name.slice(prefix!.length + 1));
      folded.push(`${prefix}_{${fold(rests).join(",")}}`);
    } else folded.push(names[i]!);
    i = end;
  }
  return foldNumbers(folded);
}

const foldFields = (names: Iterable<string>): string => fold([...new Set(names)].sort(byPlace)).join(" ");

/** Of a known list: those that are there, in its order, then what is unknown. */
function inOrder(
  types: readonly (string | number)[],
  order: Readonly<Record<string, unknown>>,
  word: (type: string) => string,
): string {
  const known = Object.keys(order).filter((type) => types.includes(type));
  const others = types.filter((type) => !Object.hasOwn(order, String(type)));
  return [...known.map(word), ...others.map(String)].join(" ");
}

/** The properties of a table by their names without OFPTFPT_; those for misses end in _MISS, and where they are not
 *  told they are as the others (1.3.5 §7.3.5.5.2). */
class Properties {
  readonly #byName: ReadonlyMap<string, Property>;

  constructor(properties: readonly Property[]) {
    this.#byName = new Map(
      properties.map((property) => [String(property.type).replace("OFPTFPT_", ""), property]),
    );
  }

  #get(name: string): Property | undefined {
    return this.#byName.get(name) ?? this.#byName.get(name.replace(/_MISS$/, ""));
  }

  instructions(name: string): string {
    const property = this.#get(name);
    const ids = property && "instruction_ids" in property ? property.instruction_ids : [];
    return inOrder(
      ids.map((id) => id.type),
      INSTRUCTIONS,
      (type) => INSTRUCTIONS[type]!,
    );
  }

  nextTables(name: string): readonly number[] {
    const property = this.#get(name);
    return property && "next_table_ids" in property ? property.next_table_ids : [];
  }

  actions(name: string): string {
    const property = this.#get(name);
    const ids = property && "action_ids" in property ? property.action_ids : [];
    return inOrder(
      ids.map((id) => id.type),
      ACTION_NUMBERS,
      (type) => ACTION_WORDS.get(ACTION_NUMBERS[type]!) ?? type,
    );
  }

  /** Names of fields, and whether each may be masked. */
  fields(name: string): ReadonlyMap<string, boolean> {
    const property = this.#get(name);
    const ids = property && "oxm_ids" in property ? property.oxm_ids : [];
    const fields = new Map<string, boolean>();
    for (const { name: field, isMasked } of ids.map(readId))
      fields.set(field, (fields.get(field) ?? false) || isMasked);
    return fields;
  }
}

/** What a table does on a match, or on a miss. The table itself is counted from, so that tables that lead to all
 *  tables behind them are the same. */
interface Behaviour {
  readonly next: string;
  readonly instructions: string;
  readonly actions: string;
}

function actionLines(properties: Properties, miss: "" | "_MISS"): string {
  const one = (kind: "WRITE" | "APPLY"): string => {
    const fields = foldFields(properties.fields(`${kind}_SETFIELD${miss}`).keys());
    const actions = properties.actions(`${kind}_ACTIONS${miss}`);
    return `        actions: ${actions}\n        supported on Set-Field: ${fields}\n`;
  };
  const [write, apply] = [one("WRITE"), one("APPLY")];
  return write === apply
    ? `      Write-Actions and Apply-Actions features:\n${write}`
    : `      Write-Actions features:\n${write}      Apply-Actions features:\n${apply}`;
}

const behaviourOf = (properties: Properties, miss: "" | "_MISS"): Behaviour => ({
  next: ranges(properties.nextTables(`NEXT_TABLES${miss}`)),
  instructions: properties.instructions(`INSTRUCTIONS${miss}`),
  actions: actionLines(properties, miss),
});

function behaviourText(title: string, { next, instructions, actions }: Behaviour, before: string): string {
  return (
    `    instructions (${title}):\n` +
    (next === "" ? "" : `      next tables: ${next}\n`) +
    `      instructions: ${instructions}\n` +
    (actions === before ? "      (same actions)\n" : actions)
  );
}

/** Fields by what a match may ask of them (1.3.5 §7.3.5.5.2: those that are not among the wildcards must be there). */
function matchingText(properties: Properties): string {
  const fields = properties.fields("MATCH");
  const wildcards = properties.fields("WILDCARDS");
  const of = (title: string, isOf: (name: string, masked: boolean) => boolean): string => {
    const names = [...fields].filter(([name, masked]) => isOf(name, masked)).map(([name]) => name);
    return names.length === 0 ? "" : `      ${title}: ${foldFields(names)}\n`;
  };
  return (
    of("arbitrary mask", (_name, masked) => masked) +
    of("exact match or wildcard", (name, masked) => !masked && wildcards.has(name)) +
    of("must exact match", (name, masked) => !masked && !wildcards.has(name))
  );
}

interface Described {
  readonly table: TableFeatures;
  readonly others: Behaviour;
  readonly miss: Behaviour;
  readonly matching: string;
  /** The tables that it leads to, on a match and on a miss. */
  readonly next: readonly (readonly number[])[];
}

function describe(table: TableFeatures): Described {
  const properties = new Properties(table.properties);
  return {
    table,
    others: behaviourOf(properties, ""),
    miss: behaviourOf(properties, "_MISS"),
    matching: matchingText(properties),
    next: [properties.nextTables("NEXT_TABLES"), properties.nextTables("NEXT_TABLES_MISS")],
  };
}

/** Whether a table is told as the one before it: it leads to the same tables, but for itself. */
function isDitto(one: Described, before: Described): boolean {
  const of = ({ table, others, miss, matching }: Described, next: readonly (readonly number[])[]): string => {
    const { metadata_match, metadata_write, max_entries, config } = table;
    const own = [metadata_match, metadata_write, max_entries, config, matching];
    const rest = [others.instructions, others.actions, miss.instructions, miss.actions];
    return [...own, ...rest, ...next.map((ids) => ids.join())].join("|");
  };
  const leftOver = before.next.map((ids) => ids.filter((id) => id !== one.table.table_id));
  return of(one, one.next) === of(before, leftOver);
}

function tableText({ table, others, miss, matching }: Described, before: Described | undefined): string {
  const sameBehaviour = JSON.stringify(others) === JSON.stringify(miss);
  const instructions = sameBehaviour
    ? behaviourText("table miss and others", others, before?.others.actions ?? "")
    : behaviourText("other than table miss", others, before?.others.actions ?? "") +
      behaviourText("table miss", miss, others.actions);
  return (
    `    metadata: match=${hexText(table.metadata_match)} write=${hexText(table.metadata_write)}\n` +
    `    max_entries=${table.max_entries}\n${instructions}` +
    (matching === before?.matching ? "    (same matching)\n" : `    matching:\n${matching}`)
  );
}

const nameOf = ({ table }: Described): string => (table.name === "" ? "" : ` ("${table.name}")`);

export function formatTableFeatures(tables: readonly TableFeatures[]): string {
  const described = tables.map(describe);
  let text = "";
  for (let i = 0; i < described.length; ) {
    const one = described[i]!;
    const { table_id } = one.table;
    const before = described[i - 1];
    const named = nameOf(one);
    if (before === undefined || !isDitto(one, before)) {
      text += `\n  table ${table_id}${named}:\n${tableText(one, before)}`;
      i++;
      continue;
    }
    let end = i + 1;
    while (
      named === "" &&
      described[end] &&
      nameOf(described[end]!) === "" &&
      isDitto(described[end]!, described[end - 1]!)
    )
      end++;
    const last = described[end - 1]!.table.table_id;
    text +=
      last === table_id
        ? `\n  table ${table_id}${named}: ditto\n`
        : `\n  tables ${table_id}...${last}: ditto\n`;
    i = end;
  }
  return `${text}\n`;
}
