// Rows of the codec's speed, on one core: messages a second. os-ken (and a hand-written reader of the same
// flow_mod) are measured in the same run.
import { execFileSync } from "node:child_process";
import { decode, encode, encodeInto, FlowMod, OFPP } from "@sluice/openflow-codec";
import { headParser, headSize } from "../packages/openflow-codec/dist/schema/parser.js";

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

/** Calls a second, over about `seconds`, after a warm-up. */
function rate(call, seconds = 0.7) {
  const turn = (ms) => {
    const end = performance.now() + ms;
    let count = 0;
    while (performance.now() < end) {
      for (let i = 0; i < 100; i++) call();
      count += 100;
    }
    return count;
  };
  turn(300);
  const start = performance.now();
  const count = turn(seconds * 1000);
  return (count / (performance.now() - start)) * 1000;
}

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

const OS_KEN = `
import sys, time
from os_ken.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser as p
dp = ofproto_protocol.ProtocolDesc(version=4)
buf = bytes.fromhex(sys.argv[1])
def decode():
    version, kind, length, xid = ofproto_parser.header(buf)
    return ofproto_parser.msg(dp, version, kind, length, xid, buf)
message = decode()
def encode():
    message.buf = None
    p.OFPFlowMod(dp, match=message.match, instructions=message.instructions).serialize()
for call in (decode, encode):
    end = time.perf_counter() + 0.5
    start = time.perf_counter(); count = 0
    while time.perf_counter() < end:
        call(); count += 1
    print(count / (time.perf_counter() - start))
`;

function osKen() {
  try {
    const hex = Buffer.from(flowMod).toString("hex");
    const text = execFileSync("/usr/bin/python3", ["-c", OS_KEN, hex], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return text.trim().split("\n").map(Number);
  } catch {
    return undefined;
  }
}

/** `{ name, unit, value }` rows. */
export async function run() {
  const rows = [];
  const row = (name, value) => rows.push({ name, unit: "messages/s", value: Math.round(value) });
  const target = new Uint8Array(65_535);
  const both = (name, bytes) => {
    const message = decode(bytes);
    row(
      `codec decode ${name}`,
      rate(() => decode(bytes)),
    );
    row(
      `codec encode ${name}, into a buffer`,
      rate(() => encodeInto(message, target, 0)),
    );
    row(
      `codec encode ${name}, to new bytes`,
      rate(() => encode(message)),
    );
  };
  both("flow_mod (8 fields, 3 actions)", flowMod);
  both("packet_in (128 bytes)", packetIn);
  both("packet_out (128 bytes)", packetOut);
  both("port_status", portStatus);
  both("flow stats reply (100 flows)", flowStats);
  row(
    "hand-written reader, the same flow_mod",
    rate(() => byHand(flowMod)),
  );
  const parser = headParser(FlowMod);
  const head = flowMod.slice(0, headSize(FlowMod));
  row(
    "binary-parser, flow_mod's fixed head alone",
    rate(() => parser.parse(head)),
  );
  const python = osKen();
  if (python !== undefined) {
    row("os-ken decode flow_mod", python[0]);
    row("os-ken encode flow_mod", python[1]);
  }
  return rows;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const { name, value } of await run()) console.log(String(value).padStart(10), name);
}
