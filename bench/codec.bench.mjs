// The codec's speed on one core, beside os-ken, ovs-ofctl, binary-parser and a reader written by hand. A peer that is
// not there leaves its rows empty.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode, encodeInto, FlowMod, formatMessage, OFPP } from "@sluice/openflow-codec";
import { Parser } from "binary-parser";
import { headParser, headSize } from "../packages/openflow-codec/dist/schema/parser.js";

export const title = "OpenFlow messages decoded, encoded and printed a second, on one core";

const flowMod = encode({
  type: "OFPT_FLOW_MOD",
  command: "OFPFC_ADD",
  cookie: 0x1234n,
  table_id: 1,
  priority: 100,
  idle_timeout: 10,
  match: {
    in_port: 1,
    eth_dst: "00:00:00:00:00:01",
    eth_src: "00:00:00:00:00:02",
    eth_type: 0x0800,
    ip_proto: 6,
    ipv4_src: "10.0.0.1",
    ipv4_dst: "10.0.0.2",
    tcp_dst: 80,
  },
  instructions: [
    {
      type: "OFPIT_APPLY_ACTIONS",
      actions: [
        { type: "OFPAT_SET_FIELD", field: { eth_dst: "00:00:00:00:00:03" } },
        { type: "OFPAT_DEC_NW_TTL" },
        { type: "OFPAT_OUTPUT", port: 2 },
      ],
    },
  ],
});
const frame = Uint8Array.from({ length: 128 }, (_, i) => i);
const packetIn = encode({
  type: "OFPT_PACKET_IN",
  total_len: 128,
  reason: "OFPR_ACTION",
  table_id: 0,
  match: { in_port: 1 },
  data: frame,
});
const packetOut = encode({
  type: "OFPT_PACKET_OUT",
  in_port: 1,
  actions: [{ type: "OFPAT_OUTPUT", port: OFPP.FLOOD }],
  data: frame,
});
const portStatus = encode({
  type: "OFPT_PORT_STATUS",
  reason: "OFPPR_MODIFY",
  desc: { port_no: 1, hw_addr: "00:00:00:00:00:01", name: "eth0" },
});
const { match, instructions } = decode(flowMod);
const flowStats = encode({
  type: "OFPT_MULTIPART_REPLY",
  body: {
    type: "OFPMP_FLOW",
    entries: Array.from({ length: 100 }, (_, i) => ({ table_id: 0, priority: i, match, instructions })),
  },
});

// ---- the hand-written reader: this flow_mod's fields, in this order, with the same checks and the same value

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));
const mac = (b, p) =>
  `${HEX[b[p]]}:${HEX[b[p + 1]]}:${HEX[b[p + 2]]}:${HEX[b[p + 3]]}:${HEX[b[p + 4]]}:${HEX[b[p + 5]]}`;
const ip = (b, p) => `${b[p]}.${b[p + 1]}.${b[p + 2]}.${b[p + 3]}`;
const u16 = (b, p) => (b[p] << 8) | b[p + 1];
const u32 = (b, p) => ((b[p] << 24) | (b[p + 1] << 16) | (b[p + 2] << 8) | b[p + 3]) >>> 0;
const COMMANDS = ["OFPFC_ADD", "OFPFC_MODIFY", "OFPFC_MODIFY_STRICT", "OFPFC_DELETE", "OFPFC_DELETE_STRICT"];

function byHand(b) {
  if (b.length < 56 || b[0] !== 4 || b[1] !== 14 || u16(b, 2) !== b.length) throw new Error("header");
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const header = (p, wanted) => {
    if (u32(b, p) !== wanted) throw new Error("field");
  };
  const matchLength = u16(b, 50);
  if (u16(b, 48) !== 1 || matchLength !== 4 + 8 + 10 + 10 + 6 + 5 + 8 + 8 + 6) throw new Error("match");
  header(52, 0x80000004);
  header(60, 0x80000606);
  header(70, 0x80000806);
  header(80, 0x80000a02);
  header(86, 0x80001401);
  header(91, 0x80001604);
  header(99, 0x80001804);
  header(107, 0x80001c02);
  const match = {
    in_port: u32(b, 56),
    eth_dst: mac(b, 64),
    eth_src: mac(b, 74),
    eth_type: u16(b, 84),
    ip_proto: b[90],
    ipv4_src: ip(b, 95),
    ipv4_dst: ip(b, 103),
    tcp_dst: u16(b, 111),
  };
  const i = 120;
  if (u16(b, i) !== 4 || u16(b, i + 2) !== 48) throw new Error("instruction");
  const a = i + 8;
  if (u16(b, a) !== 25 || u16(b, a + 2) !== 16) throw new Error("set-field");
  header(a + 4, 0x80000606);
  if (u16(b, a + 16) !== 24 || u16(b, a + 18) !== 8) throw new Error("dec-ttl");
  if (u16(b, a + 24) !== 0 || u16(b, a + 26) !== 16) throw new Error("output");
  return {
    type: "OFPT_FLOW_MOD",
    xid: u32(b, 4),
    cookie: view.getBigUint64(8),
    cookie_mask: view.getBigUint64(16),
    table_id: b[24],
    command: COMMANDS[b[25]] ?? b[25],
    idle_timeout: u16(b, 26),
    hard_timeout: u16(b, 28),
    priority: u16(b, 30),
    buffer_id: u32(b, 32),
    out_port: u32(b, 36),
    out_group: u32(b, 40),
    flags: u16(b, 44),
    match,
    instructions: [
      {
        type: "OFPIT_APPLY_ACTIONS",
        actions: [
          { type: "OFPAT_SET_FIELD", field: { eth_dst: mac(b, a + 8) } },
          { type: "OFPAT_DEC_NW_TTL" },
          { type: "OFPAT_OUTPUT", port: u32(b, a + 28), max_len: u16(b, a + 32) },
        ],
      },
    ],
  };
}

// ---- binary-parser, given the same fields in the same order: its best case, without lists, choices or checks

const bytesOf = (name, formatter, length) => (parser) =>
  parser.buffer(name, { length, clone: false, formatter });
const macField = (name) => bytesOf(name, (b) => mac(b, 0), 6);
const ipField = (name) => bytesOf(name, (b) => ip(b, 0), 4);
const u16Field = (name) => (parser) => parser.uint16be(name);
const straight = [
  (parser) => parser.uint8("version").uint8("type").uint16be("length").uint32be("xid"),
  (parser) => parser.uint64be("cookie").uint64be("cookie_mask").uint8("table_id").uint8("command"),
  (parser) => parser.uint16be("idle_timeout").uint16be("hard_timeout").uint16be("priority"),
  (parser) =>
    parser.uint32be("buffer_id").uint32be("out_port").uint32be("out_group").uint16be("flags").seek(2),
  (parser) => parser.uint16be("match_type").uint16be("match_length").seek(4).uint32be("in_port").seek(4),
  macField("eth_dst"),
  (parser) => macField("eth_src")(parser.seek(4)),
  (parser) => u16Field("eth_type")(parser.seek(4)).seek(4).uint8("ip_proto").seek(4),
  ipField("ipv4_src"),
  (parser) => ipField("ipv4_dst")(parser.seek(4)),
  (parser) => u16Field("tcp_dst")(parser.seek(4)).seek(7),
  (parser) => parser.uint16be("instruction_type").uint16be("instruction_length").seek(4),
  (parser) => macField("set_eth_dst")(parser.seek(8)).seek(2 + 8),
  (parser) => parser.uint16be("action_type").uint16be("action_length").uint32be("port").uint16be("max_len"),
].reduce((parser, add) => add(parser), new Parser());

// ---- the peers

const messages = [
  { name: "flow_mod (8 fields, 3 actions)", bytes: flowMod, byHand: () => byHand(flowMod) },
  { name: "packet_in (128 bytes)", bytes: packetIn },
  { name: "packet_out (128 bytes)", bytes: packetOut },
  { name: "port_status", bytes: portStatus },
  { name: "flow stats reply (100 flows)", bytes: flowStats },
];

/** For each hex line: decodes a second, encodes a second. 0 where os-ken has no parser, or no serialiser that gives the
 *  same bytes again. */
const OS_KEN = `
import sys, time
from os_ken.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3_parser as v13
datapath = ofproto_protocol.ProtocolDesc(version=4)
seconds = float(sys.argv[1])
def rate(call):
    call()
    start = time.perf_counter(); end = start + seconds; count = 0
    while time.perf_counter() < end:
        call(); count += 1
    return count / (time.perf_counter() - start)
def packet_out(data):
    # A type that os-ken only writes.
    port, max_len = int.from_bytes(data[28:32], "big"), int.from_bytes(data[32:34], "big")
    actions = [v13.OFPActionOutput(port, max_len)]
    message = v13.OFPPacketOut(datapath, buffer_id=0xffffffff, in_port=1, actions=actions, data=data[40:])
    message.set_xid(0)
    return message
def decode(data):
    return ofproto_parser.msg(datapath, *ofproto_parser.header(data), data)
def encode(message):
    message.buf = None
    message.serialize()
    return bytes(message.buf)
for line in sys.stdin:
    data = bytes.fromhex(line)
    message = decode(data)
    print(rate(lambda: decode(data)) if message is not None else 0)
    if message is None and data[1] == 13:
        message = packet_out(data)
    try:
        same = message is not None and encode(message) == data
    except Exception:
        same = False
    print(rate(lambda: encode(message)) if same else 0)
`;

/** `[[decode, encode], …]` a second, or undefined without os-ken. */
function osKen(seconds) {
  const input = messages.map(({ bytes }) => `${hexOf(bytes)}\n`).join("");
  const options = { encoding: "utf8", input, stdio: ["pipe", "pipe", "ignore"] };
  const { status, stdout } = spawnSync("/usr/bin/python3", ["-c", OS_KEN, String(seconds)], options);
  if (status !== 0) return undefined;
  const numbers = stdout.trim().split("\n").map(Number);
  return messages.map((_, i) => numbers.slice(2 * i, 2 * i + 2));
}

const hexOf = (bytes) => Buffer.from(bytes).toString("hex");

/** Messages that `ovs-ofctl ofp-parse` decodes and prints in a second: the time of many less that of one. */
function ofpParse(bytes, dir, seconds) {
  const time = (count) => {
    const file = join(dir, "messages");
    writeFileSync(file, Buffer.concat(Array(count).fill(bytes)));
    const start = performance.now();
    const { status } = spawnSync("ovs-ofctl", ["ofp-parse", file], { stdio: "ignore" });
    return status === 0 ? (performance.now() - start) / 1000 : Number.NaN;
  };
  const alone = time(1);
  const some = 2000;
  const each = Math.max(time(some) - alone, 1e-4) / some;
  const many = Math.min(200_000, Math.max(some, Math.round(seconds / each)));
  return many / (time(many) - alone);
}

/** Calls a second, over about `seconds`. */
function rate(call, seconds) {
  const start = performance.now();
  const end = start + seconds * 1000;
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 100; i++) call();
    count += 100;
  }
  return (count / (performance.now() - start)) * 1000;
}

/** Ours, then each peer's, round by round. A sample is a tenth of ctx.seconds. */
export async function run(ctx) {
  const dir = mkdtempSync(join(tmpdir(), "sluice-codec-"));
  ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }));
  const seconds = ctx.seconds / 10;
  const target = new Uint8Array(65_535);
  const head = headParser(FlowMod);
  const headBytes = flowMod.slice(0, headSize(FlowMod));
  const works = messages.map(({ bytes, byHand }) => {
    const message = decode(bytes);
    return {
      decode: () => decode(bytes),
      encodeInto: () => encodeInto(message, target, 0),
      encode: () => encode(message),
      print: () => formatMessage(decode(bytes)),
      ...(byHand && {
        byHand,
        straight: () => straight.parse(bytes),
        head: () => head.parse(headBytes),
      }),
    };
  });
  const samples = new Map();
  const sample = (key, value) => samples.set(key, [...(samples.get(key) ?? []), value]);
  for (const work of works) for (const call of Object.values(work)) rate(call, 0.2);
  for (let round = 0; round < ctx.rounds; round++) {
    ctx.log(`round ${round + 1} of ${ctx.rounds}`);
    works.forEach((work, i) => {
      for (const [what, call] of Object.entries(work)) sample(`${what} ${i}`, rate(call, seconds));
    });
    osKen(seconds)?.forEach(([decodes, encodes], i) => {
      sample(`os-ken decode ${i}`, decodes);
      sample(`os-ken encode ${i}`, encodes);
    });
    messages.forEach(({ bytes }, i) => {
      sample(`ofp-parse ${i}`, ofpParse(bytes, dir, seconds));
    });
  }
  const middle = (key) => ctx.median(samples.get(key) ?? []);
  const against = (ours, peer) =>
    peer > 0 ? (middle(ours) / peer).toFixed(peer < middle(ours) / 10 ? 0 : 2) : "-";
  const row = (what, ours, peer, key) => {
    const value = key === undefined ? Number.NaN : middle(key);
    ctx.row({
      what,
      "messages/s": ctx.figure(middle(ours)),
      peer: peer ?? "-",
      "its messages/s": value > 0 ? ctx.figure(value) : "-",
      ratio: against(ours, value),
    });
  };
  messages.forEach(({ name, byHand }, i) => {
    row(`decode ${name}`, `decode ${i}`, "os-ken", `os-ken decode ${i}`);
    if (byHand) {
      row(`decode ${name}`, `decode ${i}`, "reads written by hand, same checks", `byHand ${i}`);
      row(`decode ${name}`, `decode ${i}`, "binary-parser, straight line, no checks", `straight ${i}`);
      row(`decode ${name}`, `decode ${i}`, "binary-parser, the fixed 48 bytes alone", `head ${i}`);
    }
    row(`encode ${name}, into a buffer`, `encodeInto ${i}`, "os-ken", `os-ken encode ${i}`);
    row(`encode ${name}, to new bytes`, `encode ${i}`, "os-ken", `os-ken encode ${i}`);
    row(`decode and print ${name}`, `print ${i}`, "ovs-ofctl ofp-parse", `ofp-parse ${i}`);
  });
}
