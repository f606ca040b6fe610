import { toHex } from "@sluice/wire";
import type { LearnSpec } from "../ext/learn.js";
import { type Action, actionUnion } from "../v13/actions.js";
import type { Instruction } from "../v13/instructions.js";
import { OFPP } from "../v13/numbers.js";
import {
  ALG_NAMES,
  BUNDLE_ALGORITHMS,
  HASH_FIELDS,
  MULTIPATH_ALGORITHMS,
  PACKET_IN_REASONS,
} from "./action-names.js";
import { formatEncap } from "./encap.js";
import { formatFieldValue, formatSubfield, oxmNameOfHeader, textField } from "./fields.js";
import { formatPort, type PortNames, port10To32 } from "./ports.js";
import { altHex, hexText } from "./scan.js";

/** Actions and instructions as ovs-ofctl prints them. A row for each action that is more than its word; the
 *  word of the others is in their declaration. */

type Of<T extends Action["type"]> = Extract<Action, { type: T }>;
type Format<T extends Action["type"]> = (action: Of<T>, ports: PortNames) => string;
type Formats = { [T in Action["type"]]?: Format<T> };

const dotted = (bytes: Uint8Array): string => (toHex(bytes).match(/../g) ?? []).join(".");
const ethertype = (action: { ethertype: number }): string =>
  `0x${action.ethertype.toString(16).padStart(4, "0")}`;
const ofs = (word: number): number => word >> 6;
const nBits = (word: number): number => (word & 0x3f) + 1;
const port10 = (port: number, ports: PortNames): string => formatPort(port10To32(port), ports);

function oneField(field: object): [name: string, value: unknown] {
  return Object.entries(field).find(([, value]) => value !== undefined)!;
}

function setField(action: { field: object }, ports: PortNames): string {
  const [name, value] = oneField(action.field);
  const field = textField(name)?.oxm;
  return field === undefined
    ? `set_field:${String(value)}->${name}`
    : `set_field:${formatFieldValue(field, value, ports)}->${field.target}`;
}

function resubmit(inPort: number, table: number, more: string, ports: PortNames): string {
  const port = inPort === 0xfff8 ? "" : port10(inPort, ports);
  return table === 255 && port !== "" && more === ""
    ? `resubmit:${port}`
    : `resubmit(${port},${table === 255 ? "" : table}${more})`;
}

function learn(action: Of<"NXAST_LEARN"> | Of<"NXAST_LEARN2">, ports: PortNames): string {
  const parts = [`table=${action.table_id}`];
  if (action.idle_timeout) parts.push(`idle_timeout=${action.idle_timeout}`);
  if (action.hard_timeout) parts.push(`hard_timeout=${action.hard_timeout}`);
  if (action.fin_idle_timeout) parts.push(`fin_idle_timeout=${action.fin_idle_timeout}`);
  if (action.fin_hard_timeout) parts.push(`fin_hard_timeout=${action.fin_hard_timeout}`);
  if (action.priority !== 0x8000) parts.push(`priority=${action.priority}`);
  if (action.flags & 1) parts.push("send_flow_rem");
  if (action.flags & 2) parts.push("delete_learned");
  if (action.cookie !== 0n) parts.push(`cookie=${hexText(action.cookie)}`);
  if (action.type === "NXAST_LEARN2") {
    if (action.limit) parts.push(`limit=${action.limit}`);
    if (action.flags & 4)
      parts.push(`result_dst=${formatSubfield(String(action.result_dst), action.result_dst_ofs, 1)}`);
  }
  return `learn(${[...parts, ...action.specs.map((spec) => learnSpec(spec, ports))].join(",")})`;
}

function learnSpec(spec: LearnSpec, ports: PortNames): string {
  const from = "value" in spec.src ? undefined : formatSubfield(spec.src.field, spec.src.ofs, spec.n_bits);
  if (spec.dst === "output") return `output:${from}`;
  const to = formatSubfield(spec.dst_field!, spec.dst_ofs!, spec.n_bits);
  const immediate = "value" in spec.src ? `0x${spec.src.value.replace(/^0+(?=.)/, "")}` : "";
  if (spec.dst === "load") return `load:${from ?? immediate}->${to}`;
  if (from !== undefined) return from === to ? from : `${to}=${from}`;
  const field = textField(spec.dst_field!)?.oxm;
  if (field !== undefined && spec.dst_ofs === 0 && spec.n_bits === field.bits && field.kind === "uint") {
    return `${field.target}=${formatFieldValue(field, Number(immediate), ports)}`;
  }
  return `${to}=${immediate}`;
}

function nat(action: Of<"NXAST_NAT">): string {
  if (!(action.flags & 3)) return "nat";
  const bracket = (address: string): string => (action.proto_min ? `[${address}]` : address);
  const addresses = [
    action.ipv4_min ?? (action.ipv6_min === undefined ? undefined : bracket(action.ipv6_min)),
    action.ipv4_max ?? (action.ipv6_max === undefined ? undefined : bracket(action.ipv6_max)),
  ];
  let range = addresses[0] ?? "";
  if (addresses[1] !== undefined && addresses[1] !== addresses[0]) range += `-${addresses[1]}`;
  if (action.proto_min) range += `:${action.proto_min}`;
  if (action.proto_max && action.proto_max !== action.proto_min) range += `-${action.proto_max}`;
  const parts = [`${action.flags & 1 ? "src" : "dst"}${range === "" ? "" : `=${range}`}`];
  if (action.flags & 4) parts.push("persistent");
  if (action.flags & 8) parts.push("hash");
  if (action.flags & 16) parts.push("random");
  return `nat(${parts.join(",")})`;
}

function ct(action: Of<"NXAST_CT">, ports: PortNames): string {
  const parts: string[] = [];
  if (action.flags & 1) parts.push("commit");
  if (action.flags & 2) parts.push("force");
  if (action.recirc_table !== 0xff) parts.push(`table=${action.recirc_table}`);
  if (action.zone_src !== 0)
    parts.push(`zone=${formatSubfield(zoneField(action.zone_src), ofs(action.zone), nBits(action.zone))}`);
  else if (action.zone !== 0) parts.push(`zone=${action.zone}`);
  const [first, ...others] = action.actions;
  const inside = first?.type === "NXAST_NAT" ? others : action.actions;
  if (first?.type === "NXAST_NAT") parts.push(nat(first));
  if (inside.length > 0) parts.push(`exec(${formatActions(inside, ports)})`);
  if (action.alg !== 0) parts.push(`alg=${ALG_NAMES[action.alg] ?? action.alg}`);
  return `ct(${parts.join(",")})`;
}

const zoneField = (header: number): string => oxmNameOfHeader(header) ?? hexText(header);

function controller2(action: Of<"NXAST_CONTROLLER2">): string {
  const of = new Map(action.properties.map((property) => [property.type, property]));
  const reason = of.get("NXAC2PT_REASON") as { reason: number } | undefined;
  const maxLen = of.get("NXAC2PT_MAX_LEN") as { max_len: number } | undefined;
  const id = of.get("NXAC2PT_CONTROLLER_ID") as { controller_id: number } | undefined;
  const userdata = of.get("NXAC2PT_USERDATA") as { userdata: Uint8Array } | undefined;
  const meter = of.get("NXAC2PT_METER_ID") as { meter_id: number } | undefined;
  return controller(
    reason?.reason ?? 1,
    maxLen?.max_len ?? 0xffff,
    id?.controller_id ?? 0,
    userdata === undefined ? "" : dotted(userdata.userdata),
    of.has("NXAC2PT_PAUSE"),
    meter?.meter_id,
  );
}

function controller(
  reason: number,
  maxLen: number,
  id: number,
  userdata = "",
  pause = false,
  meter: number | undefined = undefined,
): string {
  if (reason === 1 && id === 0 && userdata === "" && !pause && meter === undefined)
    return `CONTROLLER:${maxLen}`;
  const parts: string[] = [];
  if (reason !== 1) parts.push(`reason=${PACKET_IN_REASONS[reason] ?? reason}`);
  if (maxLen !== 0xffff) parts.push(`max_len=${maxLen}`);
  if (id !== 0) parts.push(`id=${id}`);
  if (userdata !== "") parts.push(`userdata=${userdata}`);
  if (pause) parts.push("pause");
  if (meter !== undefined) parts.push(`meter_id=${meter}`);
  return `controller(${parts.join(",")})`;
}

function bundle(action: Of<"NXAST_BUNDLE"> | Of<"NXAST_BUNDLE_LOAD">, ports: PortNames): string {
  const dst =
    action.type === "NXAST_BUNDLE_LOAD"
      ? `,${formatSubfield(zoneField(action.dst), ofs(action.ofs_nbits), nBits(action.ofs_nbits))}`
      : "";
  const name = action.type === "NXAST_BUNDLE_LOAD" ? "bundle_load" : "bundle";
  const members = action.members.map((port) => port10(port, ports)).join(",");
  return `${name}(${HASH_FIELDS[action.fields] ?? action.fields},${action.basis},${BUNDLE_ALGORITHMS[action.algorithm] ?? action.algorithm},ofport${dst},members:${members})`;
}

function sample(
  action: Of<"NXAST_SAMPLE"> | Of<"NXAST_SAMPLE2"> | Of<"NXAST_SAMPLE3">,
  ports: PortNames,
): string {
  let text = `sample(probability=${action.probability},collector_set_id=${action.collector_set_id},obs_domain_id=${action.obs_domain_id},obs_point_id=${action.obs_point_id}`;
  if (action.type !== "NXAST_SAMPLE") text += `,sampling_port=${port10(action.sampling_port, ports)}`;
  if (action.type === "NXAST_SAMPLE3" && action.direction !== 0)
    text += `,${action.direction === 1 ? "ingress" : "egress"}`;
  return `${text})`;
}

const formats: Formats = {
  OFPAT_OUTPUT: (a, ports) => {
    if (a.port === OFPP.CONTROLLER) return `CONTROLLER:${a.max_len}`;
    const port = formatPort(a.port, ports);
    return a.port < OFPP.MAX ? `output:${port}` : port;
  },
  OFPAT_SET_MPLS_TTL: (a) => `set_mpls_ttl(${a.mpls_ttl})`,
  OFPAT_PUSH_VLAN: (a) => `push_vlan:${altHex(a.ethertype)}`,
  OFPAT_PUSH_MPLS: (a) => `push_mpls:${ethertype(a)}`,
  OFPAT_POP_MPLS: (a) => `pop_mpls:${ethertype(a)}`,
  OFPAT_PUSH_PBB: (a) => `push_pbb:${ethertype(a)}`,
  OFPAT_SET_QUEUE: (a) => `set_queue:${a.queue_id}`,
  OFPAT_GROUP: (a) => `group:${a.group_id}`,
  OFPAT_SET_NW_TTL: (a) => `mod_nw_ttl:${a.nw_ttl}`,
  OFPAT_SET_FIELD: setField,
  OFPAT_EXPERIMENTER: (a) => `experimenter(${hexText(a.experimenter)},${toHex(a.data)})`,
  NXAST_RESUBMIT: (a, ports) => resubmit(a.in_port, 255, "", ports),
  NXAST_RESUBMIT_TABLE: (a, ports) => resubmit(a.in_port, a.table, "", ports),
  NXAST_RESUBMIT_TABLE_CT: (a, ports) => resubmit(a.in_port, a.table, ",ct", ports),
  NXAST_SET_TUNNEL: (a) => `set_tunnel:${altHex(a.tun_id)}`,
  NXAST_SET_TUNNEL64: (a) => `set_tunnel64:${altHex(a.tun_id)}`,
  NXAST_SET_QUEUE: (a) => `set_queue:${a.queue_id}`,
  NXAST_REG_MOVE: (a) =>
    `move:${formatSubfield(a.src, a.src_ofs, a.n_bits)}->${formatSubfield(a.dst, a.dst_ofs, a.n_bits)}`,
  NXAST_REG_LOAD: (a) =>
    `load:${altHex(a.value)}->${formatSubfield(a.dst, ofs(a.ofs_nbits), nBits(a.ofs_nbits))}`,
  NXAST_REG_LOAD2: setField,
  NXAST_NOTE: (a) => `note:${dotted(a.note)}`,
  NXAST_MULTIPATH: (a) =>
    `multipath(${HASH_FIELDS[a.fields] ?? a.fields},${a.basis},${MULTIPATH_ALGORITHMS[a.algorithm] ?? a.algorithm},${a.max_link + 1},${a.arg},${formatSubfield(a.dst, ofs(a.ofs_nbits), nBits(a.ofs_nbits))})`,
  NXAST_BUNDLE: bundle,
  NXAST_BUNDLE_LOAD: bundle,
  NXAST_OUTPUT_REG: (a) => `output:${formatSubfield(a.src, ofs(a.ofs_nbits), nBits(a.ofs_nbits))}`,
  NXAST_OUTPUT_REG2: (a) => `output:${formatSubfield(a.src, ofs(a.ofs_nbits), nBits(a.ofs_nbits))}`,
  NXAST_LEARN: learn,
  NXAST_LEARN2: learn,
  NXAST_FIN_TIMEOUT: (a) =>
    `fin_timeout(${[
      ...(a.fin_idle_timeout ? [`idle_timeout=${a.fin_idle_timeout}`] : []),
      ...(a.fin_hard_timeout ? [`hard_timeout=${a.fin_hard_timeout}`] : []),
    ].join(",")})`,
  NXAST_CONTROLLER: (a) => controller(a.reason, a.max_len, a.controller_id),
  NXAST_CONTROLLER2: controller2,
  NXAST_DEC_TTL_CNT_IDS: (a) => `dec_ttl(${a.cnt_ids.join(",")})`,
  NXAST_WRITE_METADATA: (a) => writeMetadata(a.metadata, a.mask),
  NXAST_PUSH_MPLS: (a) => `push_mpls:${ethertype(a)}`,
  NXAST_POP_MPLS: (a) => `pop_mpls:${ethertype(a)}`,
  NXAST_SET_MPLS_TTL: (a) => `set_mpls_ttl(${a.ttl})`,
  NXAST_SET_MPLS_LABEL: (a) => `set_mpls_label(${a.label})`,
  NXAST_SET_MPLS_TC: (a) => `set_mpls_tc(${a.tc})`,
  NXAST_STACK_PUSH: (a) => `push:${formatSubfield(a.field, a.offset, a.n_bits)}`,
  NXAST_STACK_POP: (a) => `pop:${formatSubfield(a.field, a.offset, a.n_bits)}`,
  NXAST_SAMPLE: sample,
  NXAST_SAMPLE2: sample,
  NXAST_SAMPLE3: sample,
  NXAST_CONJUNCTION: (a) => `conjunction(${a.id},${a.clause + 1}/${a.n_clauses})`,
  NXAST_CT: ct,
  NXAST_NAT: nat,
  NXAST_OUTPUT_TRUNC: (a, ports) => `output(port=${port10(a.port, ports)},max_len=${a.max_len})`,
  NXAST_GROUP: (a) => `group:${a.group_id}`,
  NXAST_CLONE: (a, ports) => `clone(${formatActions(a.actions, ports)})`,
  NXAST_ENCAP: formatEncap,
  NXAST_DECAP: (a) =>
    a.new_pkt_type === 0xfffe
      ? "decap()"
      : `decap(packet_type(ns=${a.new_pkt_type >>> 16},type=${hexText(a.new_pkt_type & 0xffff)}))`,
  NXAST_CHECK_PKT_LARGER: (a) => `check_pkt_larger(${a.pkt_len})->${formatSubfield(a.dst, a.offset, 1)}`,
  NXAST_DELETE_FIELD: (a) => `delete_field:${textField(a.field)?.oxm.target ?? a.field}`,
  ONFACT_COPY_FIELD: (a) =>
    `move:${formatSubfield(a.src, a.src_offset, a.n_bits)}->${formatSubfield(a.dst, a.dst_offset, a.n_bits)}`,
};

const words = new Map(actionUnion.members.map((member) => [member.type, member.text]));

function formatAction(action: Action, ports: PortNames): string {
  const format = formats[action.type] as ((action: Action, ports: PortNames) => string) | undefined;
  return format?.(action, ports) ?? words.get(action.type) ?? action.type;
}

/** Actions, comma separated; "drop" when there are none. */
export const formatActions = (actions: readonly Action[], ports: PortNames = {}): string =>
  actions.length === 0 ? "drop" : actions.map((action) => formatAction(action, ports)).join(",");

function writeMetadata(metadata: bigint, mask: bigint): string {
  return `write_metadata:${altHex(metadata)}${mask === 0xffff_ffff_ffff_ffffn ? "" : `/${altHex(mask)}`}`;
}

/** Instructions as what follows "actions=". */
export function formatInstructions(instructions: readonly Instruction[], ports: PortNames = {}): string {
  const parts = instructions.flatMap((instruction): string[] => {
    switch (instruction.type) {
      case "OFPIT_APPLY_ACTIONS":
        return instruction.actions.length === 0 ? [] : [formatActions(instruction.actions, ports)];
      case "OFPIT_WRITE_ACTIONS":
        return [`write_actions(${formatActions(instruction.actions, ports)})`];
      case "OFPIT_CLEAR_ACTIONS":
        return ["clear_actions"];
      case "OFPIT_GOTO_TABLE":
        return [`goto_table:${instruction.table_id}`];
      case "OFPIT_METER":
        return [`meter:${instruction.meter_id}`];
      case "OFPIT_WRITE_METADATA":
        return [writeMetadata(instruction.metadata, instruction.metadata_mask)];
      case "OFPIT_EXPERIMENTER":
        return [`experimenter(${hexText(instruction.experimenter)},${toHex(instruction.data)})`];
      default:
        return [];
    }
  });
  return parts.length === 0 ? "drop" : parts.join(",");
}
