import { toHex } from "@sluice/wire";
import { decode, toJson } from "../codec.js";
import { experimenterErrorName } from "../ext/errors.js";
import type { MessageOf, OfMessage, OfMessageType } from "../v13/messages.js";
import { OFP_NO_BUFFER, OFPC, OFPP, OFPTT } from "../v13/numbers.js";
import { formatActions, formatInstructions } from "./action-format.js";
import { PACKET_IN_REASONS } from "./action-names.js";
import { formatDuration, formatFlowFlags, formatPriorityAndMatch } from "./flow.js";
import { formatGroup } from "./group.js";
import { formatMatch } from "./match-format.js";
import { formatMeter } from "./meter.js";
import { formatMultipart, multipartName } from "./multipart.js";
import { formatPacketIn2 } from "./packet-in2.js";
import { formatBits, formatFeatures, formatPortConfig, formatPortDesc } from "./port.js";
import { formatPort, type PortNames } from "./ports.js";
import { altHex, hexText } from "./scan.js";
import { formatTlvTable, formatTlvTableMod } from "./tlv-table.js";

/** Messages as ovs-ofctl prints them: "OFPT_FLOW_MOD (OF1.3) (xid=0x6): ADD …". */

export interface MessageOptions extends PortNames {
  /** What to print of the frame in a packet-in or packet-out, on lines of its own. */
  readonly packet?: (frame: Uint8Array) => string;
}

type Formats = { [T in OfMessageType]?: (message: MessageOf<T>, options: MessageOptions) => string };

const VERSIONS: Readonly<Record<number, string>> = {
  1: "OF1.0",
  2: "OF1.1",
  3: "OF1.2",
  4: "OF1.3",
  5: "OF1.4",
  6: "OF1.5",
};

const FRAGS = ["normal", "drop", "reassemble", "nx-match"];
const config = (message: { flags: number; miss_send_len: number }): string =>
  ` frags=${FRAGS[message.flags & 3]} miss_send_len=${message.miss_send_len}\n`;

const ROLES: Readonly<Record<string, string>> = {
  OFPCR_ROLE_NOCHANGE: "nochange",
  OFPCR_ROLE_EQUAL: "equal",
  OFPCR_ROLE_MASTER: "primary",
  OFPCR_ROLE_SLAVE: "secondary",
};
const role = (message: MessageOf<"OFPT_ROLE_REQUEST"> | MessageOf<"OFPT_ROLE_REPLY">): string =>
  ` role=${ROLES[message.role] ?? message.role}${message.role === "OFPCR_ROLE_NOCHANGE" || message.role === "OFPCR_ROLE_EQUAL" || message.generation_id === 0xffff_ffff_ffff_ffffn ? "" : ` generation_id=${message.generation_id}`}`;

const NX_ROLES: Readonly<Record<string, string>> = {
  NX_ROLE_OTHER: "equal",
  NX_ROLE_MASTER: "primary",
  NX_ROLE_SLAVE: "secondary",
};
const ROLE_REASONS: Readonly<Record<string, string>> = {
  OFPCRR_MASTER_REQUEST: "primary_request",
  OFPCRR_CONFIG: "configuration_changed",
  OFPCRR_EXPERIMENTER: "experimenter_data_changed",
};

const REASONS_IN: Readonly<Record<string, string>> = {
  ...Object.fromEntries(PACKET_IN_REASONS.entries()),
  OFPR_NO_MATCH: "no_match",
  OFPR_ACTION: "action",
  OFPR_INVALID_TTL: "invalid_ttl",
};

function packetIn(
  message: MessageOf<"OFPT_PACKET_IN"> | MessageOf<"NXT_PACKET_IN">,
  options: MessageOptions,
): string {
  const table = message.table_id === 0 ? "" : ` table_id=${message.table_id}`;
  const cookie = message.cookie === 0xffff_ffff_ffff_ffffn ? "" : ` cookie=${hexText(message.cookie)}`;
  const length = message.data.length;
  const buffer =
    message.buffer_id === OFP_NO_BUFFER
      ? ` (unbuffered)${message.total_len === length ? "" : " (***total_len != data_len***)"}`
      : ` buffer=0x${message.buffer_id.toString(16).padStart(8, "0")}${message.total_len < length ? " (***total_len < data_len***)" : ""}`;
  const reason = REASONS_IN[message.reason] ?? message.reason;
  return `${table}${cookie} total_len=${message.total_len} ${formatMatch(message.match, options)} (via ${reason}) data_len=${length}${buffer}\n${options.packet?.(message.data) ?? ""}`;
}

function packetOut(message: MessageOf<"OFPT_PACKET_OUT">, options: MessageOptions): string {
  const head = ` in_port=${formatPort(message.in_port, options)} actions=${formatActions(message.actions, options)}`;
  if (message.buffer_id !== OFP_NO_BUFFER)
    return `${head} buffer=0x${message.buffer_id.toString(16).padStart(8, "0")}`;
  const packet = message.data.length === 0 ? undefined : options.packet?.(message.data);
  return `${head} data_len=${message.data.length}${packet === undefined ? "" : `\n${packet}`}`;
}

const FLOW_COMMANDS: Readonly<Record<string, string>> = {
  OFPFC_ADD: "ADD",
  OFPFC_MODIFY: "MOD",
  OFPFC_MODIFY_STRICT: "MOD_STRICT",
  OFPFC_DELETE: "DEL",
  OFPFC_DELETE_STRICT: "DEL_STRICT",
};

function flowMod(message: MessageOf<"OFPT_FLOW_MOD">, ports: PortNames): string {
  const parts = [FLOW_COMMANDS[message.command] ?? `cmd:${message.command}`];
  if (message.table_id !== 0) parts.push(`table:${message.table_id}`);
  const match = formatPriorityAndMatch(message.priority, message.match, ports);
  if (match !== "") parts.push(match);
  if (message.cookie_mask === 0n) {
    if (message.cookie !== 0n && message.cookie !== 0xffff_ffff_ffff_ffffn) {
      parts.push(`cookie:${hexText(message.cookie)}`);
    }
  } else {
    parts.push(`cookie:${hexText(message.cookie)}/${hexText(message.cookie_mask)}`);
  }
  if (message.idle_timeout !== 0) parts.push(`idle:${message.idle_timeout}`);
  if (message.hard_timeout !== 0) parts.push(`hard:${message.hard_timeout}`);
  if (message.buffer_id !== OFP_NO_BUFFER) parts.push(`buf:${hexText(message.buffer_id)}`);
  if (message.out_port !== OFPP.ANY) parts.push(`out_port:${formatPort(message.out_port, ports)}`);
  return ` ${parts.join(" ")} ${formatFlowFlags(message.flags)}actions=${formatInstructions(message.instructions, ports)}`;
}

const REMOVED_REASONS: Readonly<Record<string, string>> = {
  OFPRR_IDLE_TIMEOUT: "idle",
  OFPRR_HARD_TIMEOUT: "hard",
  OFPRR_DELETE: "delete",
  OFPRR_GROUP_DELETE: "group_delete",
};

function flowRemoved(
  message: MessageOf<"OFPT_FLOW_REMOVED"> | MessageOf<"NXT_FLOW_REMOVED">,
  ports: PortNames,
): string {
  // Nicira's message keeps the table's number plus 1, and 0 for any; it has no hard timeout.
  const isNicira = message.type === "NXT_FLOW_REMOVED";
  const table = isNicira ? (message.table_id === 0 ? OFPTT.ALL : message.table_id - 1) : message.table_id;
  const reasons = Object.values(REMOVED_REASONS);
  const reason = isNicira ? reasons[message.reason] : REMOVED_REASONS[message.reason];
  const parts = [
    formatPriorityAndMatch(message.priority, message.match, ports),
    `reason=${reason ?? message.reason}`,
  ];
  if ((table !== 0 || isNicira) && table !== OFPTT.ALL) parts.push(`table_id=${table}`);
  if (message.cookie !== 0n) parts.push(`cookie:${hexText(message.cookie)}`);
  parts.push(`duration${formatDuration(message.duration_sec, message.duration_nsec)}`);
  parts.push(`idle${message.idle_timeout}`);
  if (!isNicira && message.hard_timeout !== 0) parts.push(`hard${message.hard_timeout}`);
  parts.push(`pkts${message.packet_count}`, `bytes${message.byte_count}`);
  return ` ${parts.join(" ")}\n`;
}

const MOD_COMMANDS: Readonly<Record<string, string>> = {
  OFPGC_ADD: "ADD",
  OFPGC_MODIFY: "MOD",
  OFPGC_DELETE: "DEL",
  // Open vSwitch's own.
  32768: "ADD_OR_MOD",
  OFPMC_ADD: "ADD",
  OFPMC_MODIFY: "MOD",
  OFPMC_DELETE: "DEL",
};
const PORT_REASONS: Readonly<Record<string, string>> = {
  OFPPR_ADD: " ADD:",
  OFPPR_DELETE: " DEL:",
  OFPPR_MODIFY: " MOD:",
};

function errorMessage(message: MessageOf<"OFPT_ERROR">, options: MessageOptions): string {
  if (message.error_type === "OFPET_EXPERIMENTER" && typeof message.error_code === "number") {
    const known = experimenterErrorName(message.error_code, message.data);
    if (known !== undefined) return ` ${known}\n${formatBytes(message.data.subarray(4), options)}`;
  }
  const name =
    typeof message.error_code === "string"
      ? message.error_code
      : `${message.error_type}/${message.error_code}`;
  if (message.error_type === "OFPET_HELLO_FAILED") return ` ${name}\n${printable(message.data)}`;
  return ` ${name}\n${formatBytes(message.data, options)}`;
}

/** The message in some bytes, or the bytes. An error's data may be cut short. */
function formatBytes(bytes: Uint8Array, options: MessageOptions): string {
  try {
    return formatMessage(decode(bytes), options);
  } catch {
    return `${bytes.length < 4 ? "(***truncated***)" : "(***only uses part of the message***)"}\n${toHex(bytes)}\n`;
  }
}

/** A request that the switch took from another controller: one that changes groups or meters. */
function forwarded(message: MessageOf<"ONFT_REQUESTFORWARD">, options: MessageOptions): string {
  let request: OfMessage | undefined;
  try {
    request = decode(message.request);
  } catch {}
  const kind = request && { OFPT_GROUP_MOD: "group_mod", OFPT_METER_MOD: "meter_mod" }[String(request.type)];
  if (request === undefined || kind === undefined) return ` ${toHex(message.request)}`;
  const text = formatMessage(request, options);
  return ` reason=${kind}${text.slice(text.indexOf("):") + 2)}`;
}

const printable = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
  ).join("");

const ASYNC = [
  ["PACKET_IN", "packet_in_mask", ["no_match", "action", "invalid_ttl"]],
  ["PORT_STATUS", "port_status_mask", ["add", "delete", "modify"]],
  ["FLOW_REMOVED", "flow_removed_mask", ["idle", "hard", "delete", "group_delete"]],
  // Later versions have these, which ovs-ofctl tells of in all.
  ["ROLE_STATUS", undefined, []],
  ["TABLE_STATUS", undefined, []],
  ["REQUESTFORWARD", undefined, []],
] as const;

function asyncConfig(
  message:
    | MessageOf<"OFPT_GET_ASYNC_REPLY">
    | MessageOf<"OFPT_SET_ASYNC">
    | MessageOf<"NXT_SET_ASYNC_CONFIG">,
): string {
  return ["primary", "secondary"]
    .map((who, i) => {
      const rows = ASYNC.map(([name, key, reasons]) => {
        const mask = key === undefined ? 0 : (message[key][i] ?? 0);
        const words = reasons.filter((_, bit) => mask & (1 << bit)).map((word) => ` ${word}`);
        return `${name.padStart(16)}:${mask === 0 ? " (off)" : words.join("")}\n`;
      });
      return `\n ${who}:\n${rows.join("")}`;
    })
    .join("");
}

const formats: Formats = {
  OFPT_HELLO: (message) => {
    const bitmap = message.elements.find((element) => element.type === "OFPHET_VERSIONBITMAP");
    // Without a bitmap, a HELLO stands for all versions up to its own (§6.3.1).
    const bits =
      bitmap !== undefined && "bitmaps" in bitmap ? (bitmap.bitmaps[0] ?? 0) : (2 << message.version) - 2;
    const versions = Array.from({ length: 32 }, (_, i) => i)
      .filter((i) => (bits >>> i) & 1)
      .map((i) => `0x${i.toString(16).padStart(2, "0")}`);
    return `\n version bitmap: ${versions.join(", ")}\n`;
  },
  OFPT_ERROR: errorMessage,
  OFPT_ECHO_REQUEST: (message) => ` ${message.data.length} bytes of payload\n`,
  OFPT_ECHO_REPLY: (message) => ` ${message.data.length} bytes of payload\n`,
  OFPT_FEATURES_REPLY: (message) => {
    const auxiliary = message.auxiliary_id === 0 ? "" : `, auxiliary_id:${message.auxiliary_id}`;
    return ` dpid:${message.datapath_id.toString(16).padStart(16, "0")}\nn_tables:${message.n_tables}, n_buffers:${message.n_buffers}${auxiliary}\ncapabilities: ${formatBits(OFPC, message.capabilities)}\n`;
  },
  OFPT_GET_CONFIG_REPLY: config,
  OFPT_SET_CONFIG: config,
  OFPT_PACKET_IN: packetIn,
  NXT_PACKET_IN: packetIn,
  OFPT_FLOW_REMOVED: flowRemoved,
  NXT_FLOW_REMOVED: flowRemoved,
  OFPT_PORT_STATUS: (message) => `${PORT_REASONS[message.reason] ?? ""}${formatPortDesc(message.desc)}`,
  OFPT_PACKET_OUT: packetOut,
  OFPT_FLOW_MOD: flowMod,
  OFPT_GROUP_MOD: (message, ports) =>
    `\n ${MOD_COMMANDS[message.command] ?? `cmd:${message.command}`} ${formatGroup(message, ports)}`,
  OFPT_PORT_MOD: (message, ports) =>
    ` port: ${formatPort(message.port_no, ports)}: addr:${message.hw_addr}\n     config: ${formatPortConfig(message.config)}\n     mask:   ${formatPortConfig(message.mask)}\n     advertise: ${message.advertise === 0 ? "UNCHANGED" : formatFeatures(message.advertise)}\n`,
  OFPT_TABLE_MOD: (message) =>
    message.table_id === OFPTT.ALL ? " table_id: ALL_TABLES" : ` table_id=${message.table_id}`,
  OFPT_MULTIPART_REQUEST: formatMultipart,
  OFPT_MULTIPART_REPLY: formatMultipart,
  OFPT_QUEUE_GET_CONFIG_REQUEST: (message, ports) => ` port=${formatPort(message.port, ports)}`,
  OFPT_QUEUE_GET_CONFIG_REPLY: (message, ports) =>
    // Without a queue ovs-ofctl has no port to name.
    `${message.queues.length === 0 ? "" : ` port=${formatPort(message.port, ports)}`}\n${message.queues
      .map((queue) => {
        const rates = queue.properties.map((property) =>
          "rate" in property
            ? ` ${property.type === "OFPQT_MIN_RATE" ? "min_rate" : "max_rate"}:${property.rate > 1000 ? "(disabled)" : `${Math.floor(property.rate / 10)}.${property.rate % 10}%`}`
            : "",
        );
        return `queue ${queue.queue_id}:${rates.join("")}\n`;
      })
      .join("")}`,
  OFPT_ROLE_REQUEST: role,
  OFPT_ROLE_REPLY: role,
  OFPT_GET_ASYNC_REPLY: asyncConfig,
  OFPT_SET_ASYNC: asyncConfig,
  NXT_SET_ASYNC_CONFIG: asyncConfig,
  NXT_PACKET_IN2: ({ properties }, options) => formatPacketIn2(properties, options),
  NXT_RESUME: ({ properties }, options) => formatPacketIn2(properties, options),
  NXT_ROLE_REQUEST: (message) => ` role=${NX_ROLES[message.role] ?? message.role}`,
  NXT_ROLE_REPLY: (message) => ` role=${NX_ROLES[message.role] ?? message.role}`,
  NXT_FLOW_MOD_TABLE_ID: (message) => ` ${message.set === 0 ? "disable" : "enable"}`,
  NXT_TLV_TABLE_MOD: formatTlvTableMod,
  ONFT_FLOW_MONITOR_CANCEL: (message) => ` id=${message.id}`,
  ONFT_ROLE_STATUS: (message) =>
    ` role=${ROLES[message.role] ?? message.role} generation_id=${message.generation_id} reason=${ROLE_REASONS[message.reason] ?? message.reason}`,
  ONFT_REQUESTFORWARD: forwarded,
  NXT_SET_PACKET_IN_FORMAT: (message) =>
    ` format=${typeof message.format === "number" ? message.format : message.format.replace("NXPIF_", "").toLowerCase()}`,
  NXT_SET_CONTROLLER_ID: (message) => ` id=${message.controller_id}`,
  NXT_TLV_TABLE_REPLY: formatTlvTable,
  NXT_CT_FLUSH_ZONE: (message) => ` zone_id=${message.zone_id}`,
  ONFT_BUNDLE_CONTROL: (message) =>
    `\n bundle_id=${altHex(message.bundle_id)} type=${String(message.ctrl_type).replace("OFPBCT_", "")} flags=${bundleFlags(message.flags)}\n`,
  ONFT_BUNDLE_ADD_MESSAGE: (message, options) =>
    `\n bundle_id=${altHex(message.bundle_id)} flags=${bundleFlags(message.flags)}\n${formatBytes(message.message, options)}`,
  OFPT_METER_MOD: (message) =>
    ` ${MOD_COMMANDS[message.command] ?? `cmd:${message.command}`} ${formatMeter(message)}`,
};

const bundleFlags = (flags: number): string => formatBits({ atomic: 1, ordered: 2 }, flags);

/** Messages without an ovs-ofctl form of their own, and no fields: nothing follows the colon. */
function others(message: OfMessage): string {
  const { type: _type, xid: _xid, ...fields } = toJson(message) as Record<string, unknown>;
  return Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
}

/** The message, as ovs-ofctl prints it: a line, or several. */
export function formatMessage(message: OfMessage, options: MessageOptions = {}): string {
  const name =
    message.type === "OFPT_MULTIPART_REQUEST" || message.type === "OFPT_MULTIPART_REPLY"
      ? `${multipartName(message.body.type)} ${message.type === "OFPT_MULTIPART_REQUEST" ? "request" : "reply"}`
      : message.type;
  const version =
    "version" in message ? (VERSIONS[message.version] ?? `OF 0x${message.version.toString(16)}`) : "OF1.3";
  const format = formats[message.type] as
    | ((message: OfMessage, options: MessageOptions) => string)
    | undefined;
  return `${name} (${version}) (xid=${hexText(message.xid)}):${format === undefined ? others(message) : format(message, options)}`;
}
