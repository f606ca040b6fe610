import { type MessageOf, OFPM, OFPP, OFPTT, type Port } from "@sluice/openflow-codec";
import type { SwitchTables } from "../tables/switch-tables.js";
import { covers, termsOf } from "../tables/values.js";

/** What a fake switch answers when it is asked for lists and counters. */

interface Listed {
  readonly tables: SwitchTables;
  readonly ports: ReadonlyMap<number, Port>;
}
type Bodies = MessageOf<"OFPT_MULTIPART_REQUEST">["body"];
type Replies = MessageOf<"OFPT_MULTIPART_REPLY">["body"];
type BodyOf<T> = Extract<Bodies, { type: T }>;

const NO_COUNTS = { packet_count: 0n, byte_count: 0n } as const;
const NO_TIME = { duration_sec: 0, duration_nsec: 0 } as const;
const isMeant = (asked: number, all: number, one: number): boolean => asked === all || asked === one;

/** The flows that a request is about. */
const flowsOf = (
  sw: Listed,
  { table_id, match, cookie, cookie_mask }: BodyOf<"OFPMP_FLOW" | "OFPMP_AGGREGATE">,
) => {
  const terms = termsOf(match);
  return sw.tables.flows.filter(
    (flow) =>
      isMeant(table_id, OFPTT.ALL, flow.table_id) &&
      (flow.cookie & cookie_mask) === (cookie & cookie_mask) &&
      covers(terms, flow.terms),
  );
};

type Answers = { readonly [T in Extract<Bodies["type"], string>]?: (sw: Listed, body: BodyOf<T>) => unknown };
/** What it answers to multipart requests; others it refuses. Packets are not counted. */
export const ANSWERS = Object.fromEntries(
  Object.entries({
    OFPMP_DESC: () => ({
      ...{ mfr_desc: "Sluice", hw_desc: "fake switch", sw_desc: "", serial_num: "", dp_desc: "" },
    }),
    OFPMP_PORT_DESC: (sw) => ({ entries: [...sw.ports.values()] }),
    OFPMP_PORT_STATS: (sw, { port_no }) => ({
      entries: [...sw.ports.keys()]
        .filter((port) => isMeant(port_no, OFPP.ANY, port))
        .map((port) => ({ port_no: port, ...NO_PORT_COUNTS, ...NO_TIME })),
    }),
    OFPMP_FLOW: (sw, body) => ({
      entries: flowsOf(sw, body).map(({ terms: _, ...flow }) => ({ ...flow, ...NO_TIME, ...NO_COUNTS })),
    }),
    OFPMP_AGGREGATE: (sw, body) => ({ ...NO_COUNTS, flow_count: flowsOf(sw, body).length }),
    OFPMP_TABLE: (sw) => ({
      entries: [...new Set(sw.tables.flows.map(({ table_id }) => table_id))].map((table_id) => ({
        ...{ table_id, active_count: sw.tables.flowsOf(table_id).length },
        ...{ lookup_count: 0n, matched_count: 0n },
      })),
    }),
    OFPMP_GROUP_DESC: (sw) => ({ entries: [...sw.tables.groups.values()] }),
    OFPMP_METER_CONFIG: (sw, { meter_id }) => ({
      entries: [...sw.tables.meters.values()].filter((meter) => isMeant(meter_id, OFPM.ALL, meter.meter_id)),
    }),
    ONFMP_FLOW_MONITOR: () => ({ entries: [] }),
  } satisfies Answers).map(([type, answer]) => [
    type,
    (sw: Listed, body: never): Replies =>
      ({ type, ...(answer as (...args: unknown[]) => object)(sw, body) }) as Replies,
  ]),
) as Readonly<Record<string, ((sw: Listed, body: never) => Replies) | undefined>>;

const NO_PORT_COUNTS = {
  ...{ rx_packets: 0n, tx_packets: 0n, rx_bytes: 0n, tx_bytes: 0n, rx_dropped: 0n, tx_dropped: 0n },
  ...{ rx_errors: 0n, tx_errors: 0n, rx_frame_err: 0n, rx_over_err: 0n, rx_crc_err: 0n, collisions: 0n },
} as const;
