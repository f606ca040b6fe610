import type { Clock } from "@sluice/runtime";
import { refuse } from "./error.js";
import { FlowStatsWriter } from "./flow-stats.js";
import type { FlowSelection } from "./flow-store.js";
import type { Group } from "./group.js";
import { MAX_GROUPS } from "./group-table.js";
import { MAX_BANDS, OFPMF } from "./meter.js";
import { MAX_METERS, OFPM } from "./meter-table.js";
import type { MultipartReplyBody, MultipartRequestBody } from "./of.js";
import type { OfPort } from "./ofport.js";
import type { Ofproto } from "./ofproto.js";
import { readQueues, selectPorts } from "./queues.js";
import { duration, outputsOf, type Rule } from "./rule.js";
import { tableFeatures } from "./table-features.js";
import { OFPFF, OFPG, OFPP, OFPTT } from "./xlate/reserved.js";

type RequestOf<T extends MultipartRequestBody["type"]> = Extract<MultipartRequestBody, { type: T }>;
type ReplyOf<T> = Extract<MultipartReplyBody, { type: T }>;
type Answers = {
  readonly [T in MultipartRequestBody["type"]]?: (
    bridge: Ofproto,
    body: RequestOf<T>,
    now: number,
  ) => ReplyOf<T> | Promise<ReplyOf<T>>;
};

const OFPQ_ALL = 0xffff_ffff;
/** Counters that are not kept read as all ones (1.3.5 §5.8). */
const NOT_KEPT = 0xffff_ffff_ffff_ffffn;
/** Bits of the actions that buckets may hold, by number (1.3.5 §7.3.5.11). */
const GROUP_ACTIONS = 0x0fff_9801;

/** Answers a multipart request (1.3.5 §7.3.5): the whole body. Counters are current when it resolves. */
export async function answerMultipart(
  bridge: Ofproto,
  clock: Clock,
  body: MultipartRequestBody,
): Promise<MultipartReplyBody> {
  const answer = ANSWERS[body.type] as
    | ((
        bridge: Ofproto,
        body: MultipartRequestBody,
        now: number,
      ) => MultipartReplyBody | Promise<MultipartReplyBody>)
    | undefined;
  if (!answer) throw refuse("OFPBRC_BAD_MULTIPART", `${body.type} is not supported`);
  if (COUNTED.has(body.type)) await bridge.backer.syncStats();
  return answer(bridge, body, clock.now());
}

/** Answers OFPMP_FLOW in parts as they fill. Flows that go meanwhile are left out. */
export async function* flowStatsParts(
  bridge: Ofproto,
  clock: Clock,
  body: RequestOf<"OFPMP_FLOW">,
  xid: number,
): AsyncGenerator<Uint8Array> {
  await bridge.backer.syncStats();
  const rules = select(bridge, body);
  const writer = new FlowStatsWriter(xid, clock.now());
  for (const rule of rules) {
    if (rule.subtable === undefined) continue;
    const full = writer.add(bridge.tables[rule.table_id]!, rule);
    if (full) yield full;
  }
  yield writer.end();
}

const COUNTED: ReadonlySet<string> = new Set([
  "OFPMP_FLOW",
  "OFPMP_AGGREGATE",
  "OFPMP_TABLE",
  "OFPMP_PORT_STATS",
  "OFPMP_GROUP",
  "OFPMP_METER",
]);

const ANSWERS: Answers = {
  OFPMP_DESC: (bridge) => ({ type: "OFPMP_DESC", ...bridge.identity }),

  OFPMP_FLOW: (bridge, body, now) => ({
    type: "OFPMP_FLOW",
    entries: select(bridge, body).map((rule) => ({
      table_id: rule.table_id,
      ...duration(rule.createdMs, now),
      priority: rule.priority,
      idle_timeout: rule.idle_timeout,
      hard_timeout: rule.hard_timeout,
      flags: rule.flags,
      cookie: rule.cookie,
      packet_count: packetsOf(rule),
      byte_count: bytesOf(rule),
      match: bridge.flows.matchOf(rule),
      instructions: rule.instructions,
    })),
  }),

  OFPMP_AGGREGATE(bridge, body) {
    const rules = select(bridge, body);
    const sum = (of: (rule: Rule) => bigint): bigint =>
      rules.reduce((total, rule) => total + (of(rule) === NOT_KEPT ? 0n : of(rule)), 0n);
    return {
      type: "OFPMP_AGGREGATE",
      packet_count: sum(packetsOf),
      byte_count: sum(bytesOf),
      flow_count: rules.length,
    };
  },

  OFPMP_TABLE: (bridge) => ({
    type: "OFPMP_TABLE",
    entries: bridge.tables
      .filter(({ isRemoved }) => !isRemoved)
      .map((table) => ({
        table_id: table.table_id,
        active_count: table.activeCount,
        lookup_count: BigInt(table.looked.packets),
        matched_count: BigInt(table.matched.packets),
      })),
  }),

  OFPMP_TABLE_FEATURES(bridge, { entries = [] }) {
    if (entries.length > 0) bridge.flows.changeTables(entries);
    return { type: "OFPMP_TABLE_FEATURES", entries: tableFeatures(bridge.tables) };
  },

  OFPMP_PORT_STATS: async (bridge, { port_no }, now) => ({
    type: "OFPMP_PORT_STATS",
    entries: await Promise.all(
      portsOf(bridge, port_no ?? OFPP.ANY).map((port) => portStats(bridge, port, now)),
    ),
  }),

  OFPMP_PORT_DESC: (bridge) => ({ type: "OFPMP_PORT_DESC", entries: bridge.portDescs() }),

  async OFPMP_QUEUE(bridge, { port_no = OFPP.ANY, queue_id = OFPQ_ALL }, now) {
    const ports = selectPorts(bridge.portMap, port_no).filter(
      ({ queues }) => queue_id === OFPQ_ALL || queues.has(queue_id),
    );
    if (ports.length === 0 && queue_id !== OFPQ_ALL)
      throw refuse("OFPQOFC_BAD_QUEUE", `there is no queue ${queue_id}`);
    const entries = await Promise.all(
      ports.map(async (port) =>
        (await readQueues(bridge.backer.dpif, port, now))
          .filter((queue) => queue_id === OFPQ_ALL || queue.queue_id === queue_id)
          .map(({ tx_packets, tx_bytes, tx_errors, ...rest }) => ({
            port_no: port.ofport,
            ...rest,
            tx_packets: BigInt(tx_packets),
            tx_bytes: BigInt(tx_bytes),
            tx_errors: BigInt(tx_errors),
          })),
      ),
    );
    return { type: "OFPMP_QUEUE", entries: entries.flat() };
  },

  OFPMP_GROUP(bridge, { group_id }, now) {
    const references = countReferences(bridge);
    return {
      type: "OFPMP_GROUP",
      entries: groupsOf(bridge, group_id ?? OFPG.ALL).map((group) => ({
        group_id: group.group_id,
        ref_count: references.get(group.group_id) ?? 0,
        packet_count: BigInt(group.packets),
        byte_count: BigInt(group.bytes),
        ...duration(group.createdMs, now),
        bucket_stats: group.buckets.map((bucket) => ({
          packet_count: BigInt(bucket.packets),
          byte_count: BigInt(bucket.bytes),
        })),
      })),
    };
  },

  OFPMP_GROUP_DESC: (bridge) => ({
    type: "OFPMP_GROUP_DESC",
    entries: [...bridge.groups.values()].map((group) => ({
      group_type: group.group_type,
      group_id: group.group_id,
      buckets: group.buckets.map(({ weight, watch_port, watch_group, actions }) => ({
        weight,
        watch_port,
        watch_group,
        actions,
      })),
    })),
  }),

  OFPMP_GROUP_FEATURES: () => ({
    type: "OFPMP_GROUP_FEATURES",
    types: 0xf,
    // SELECT_WEIGHT, SELECT_LIVENESS, CHAINING.
    capabilities: 0x7,
    max_groups: { all: MAX_GROUPS, select: MAX_GROUPS, indirect: MAX_GROUPS, ff: MAX_GROUPS },
    actions: { all: GROUP_ACTIONS, select: GROUP_ACTIONS, indirect: GROUP_ACTIONS, ff: GROUP_ACTIONS },
  }),

  async OFPMP_METER(bridge, { meter_id }, now) {
    const users = new Map<number, number>();
    for (const rule of bridge.flows.all())
      for (const instruction of rule.instructions)
        if (instruction.type === "OFPIT_METER")
          users.set(instruction.meter_id, (users.get(instruction.meter_id) ?? 0) + 1);
    const entries = metersOf(bridge, meter_id ?? OFPM.ALL).map(async (meter) => {
      const counted = await bridge.backer.dpif.meterStats(meter.dpId);
      return {
        meter_id: meter.meter_id,
        flow_count: users.get(meter.meter_id) ?? 0,
        packet_in_count: BigInt(meter.packets),
        byte_in_count: BigInt(meter.bytes),
        ...duration(meter.createdMs, now),
        band_stats: meter.bands.map((_, i) => ({
          packet_band_count: BigInt(counted?.bands[i]?.packets ?? 0),
          byte_band_count: BigInt(counted?.bands[i]?.bytes ?? 0),
        })),
      };
    });
    return { type: "OFPMP_METER", entries: await Promise.all(entries) };
  },

  OFPMP_METER_CONFIG: (bridge, { meter_id }) => ({
    type: "OFPMP_METER_CONFIG",
    entries: metersOf(bridge, meter_id ?? OFPM.ALL).map(({ meter_id, flags, bands }) => ({
      meter_id,
      flags,
      bands,
    })),
  }),

  OFPMP_METER_FEATURES: () => ({
    type: "OFPMP_METER_FEATURES",
    max_meter: MAX_METERS,
    // OFPMBT_DROP and OFPMBT_DSCP_REMARK.
    band_types: (1 << 1) | (1 << 2),
    capabilities: OFPMF.KBPS | OFPMF.PKTPS | OFPMF.BURST | OFPMF.STATS,
    max_bands: MAX_BANDS,
    max_color: 0,
  }),
};

const packetsOf = (rule: Rule): bigint =>
  (rule.flags & OFPFF.NO_PKT_COUNTS) !== 0 ? NOT_KEPT : BigInt(rule.packets);
const bytesOf = (rule: Rule): bigint =>
  (rule.flags & OFPFF.NO_BYT_COUNTS) !== 0 ? NOT_KEPT : BigInt(rule.bytes);

function select(bridge: Ofproto, body: RequestOf<"OFPMP_FLOW"> | RequestOf<"OFPMP_AGGREGATE">): Rule[] {
  const selection: FlowSelection = {
    table_id: body.table_id ?? OFPTT.ALL,
    match: body.match ?? {},
    cookie: body.cookie ?? 0n,
    cookie_mask: body.cookie_mask ?? 0n,
    out_port: body.out_port ?? OFPP.ANY,
    out_group: body.out_group ?? OFPG.ANY,
  };
  return bridge.flows.select(selection);
}

function portsOf(bridge: Ofproto, port_no: number): OfPort[] {
  if (port_no === OFPP.ANY) return [...bridge.portMap.values()].sort((a, b) => a.ofport - b.ofport);
  const port = bridge.portMap.get(port_no);
  return port ? [port] : [];
}

async function portStats(bridge: Ofproto, port: OfPort, now: number) {
  const stats =
    port.odpPort === undefined
      ? undefined
      : await bridge.backer.dpif.portStats(port.odpPort).catch(() => undefined);
  const count = (value: number | undefined): bigint => (value === undefined ? NOT_KEPT : BigInt(value));
  const isPatch = port.odpPort === undefined;
  return {
    port_no: port.ofport,
    rx_packets: isPatch ? BigInt(port.rx.packets) : count(stats?.rx_packets),
    tx_packets: isPatch ? BigInt(port.tx.packets) : count(stats?.tx_packets),
    rx_bytes: isPatch ? BigInt(port.rx.bytes) : count(stats?.rx_bytes),
    tx_bytes: isPatch ? BigInt(port.tx.bytes) : count(stats?.tx_bytes),
    rx_dropped: isPatch ? 0n : count(stats?.rx_dropped),
    tx_dropped: isPatch ? 0n : count(stats?.tx_dropped),
    rx_errors: isPatch ? 0n : count(stats?.rx_errors),
    tx_errors: isPatch ? 0n : count(stats?.tx_errors),
    rx_frame_err: NOT_KEPT,
    rx_over_err: NOT_KEPT,
    rx_crc_err: NOT_KEPT,
    collisions: NOT_KEPT,
    ...duration(port.createdMs, now),
  };
}

function groupsOf(bridge: Ofproto, group_id: number): Group[] {
  if (group_id === OFPG.ALL) return [...bridge.groups.values()];
  const group = bridge.groups.get(group_id);
  return group ? [group] : [];
}

/** How many flows and buckets send to each group. */
function countReferences(bridge: Ofproto): Map<number, number> {
  const counts = new Map<number, number>();
  const note = (group_id: number | undefined): void => {
    if (group_id !== undefined) counts.set(group_id, (counts.get(group_id) ?? 0) + 1);
  };
  for (const rule of bridge.flows.all())
    for (const output of outputsOf(rule.instructions)) note(output.group_id);
  for (const group of bridge.groups.values())
    for (const bucket of group.buckets)
      for (const action of bucket.actions) if (action.type === "OFPAT_GROUP") note(action.group_id);
  return counts;
}

function metersOf(bridge: Ofproto, meter_id: number) {
  if (meter_id === OFPM.ALL) return [...bridge.meters.values()];
  const meter = bridge.meters.get(meter_id);
  if (!meter) throw refuse("OFPMMFC_UNKNOWN_METER", `there is no meter ${meter_id}`);
  return [meter];
}
