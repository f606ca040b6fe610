import { Classifier } from "../classifier/classifier.js";
import { DP_LANES, FLOW_LANES, flowField } from "../flow/flow-key.js";
import { LANE_CONJ_ID } from "../flow/lanes.js";
import type { Eviction } from "./eviction.js";
import type { Rule } from "./rule.js";
import { Counter } from "./sink.js";
import type { TableLimits } from "./table-limits.js";
import type { XTable } from "./xlate/world.js";

/** Tables 0 to 253; 254 (OFPTT_MAX) is left to the switch. */
export const N_TABLES = 254;
/** Rules that a table takes unless configured otherwise. */
export const DEFAULT_TABLE_LIMIT = 1_000_000;

const ETHERNET = flowField("eth_dst").lane;
const IP = flowField("ip_proto").lane;
const PORTS = flowField("tp_src").lane;

/** The order in which a lookup reads a flow: what the switch knows by itself, Ethernet, IP and its like, ports. */
function stageOf(lane: number): number {
  if (lane < ETHERNET || lane >= DP_LANES) return 0;
  if (lane < IP) return 1;
  return lane === PORTS ? 3 : 2;
}

/** One flow table. */
export class OfTable implements XTable {
  readonly table_id: number;
  readonly rules = new Classifier<Rule>(FLOW_LANES, stageOf, LANE_CONJ_ID);
  readonly looked = new Counter();
  readonly matched = new Counter();
  /** "" until a controller or the configuration gives one: tools show numbers then, as with Open vSwitch. */
  name = "";
  /** OFPTC_*. */
  config = 0;
  limit = DEFAULT_TABLE_LIMIT;
  /** What a controller has left of its features; undefined: everything. */
  limits: TableLimits | undefined = undefined;
  /** Taken out of the pipeline by a controller (1.3.5 §7.3.5.5). */
  isRemoved = false;
  /** What makes room in a full table; undefined: nothing does, and flows are refused. */
  eviction: Eviction | undefined = undefined;

  constructor(table_id: number) {
    this.table_id = table_id;
  }

  /** Rules that controllers see. */
  get activeCount(): number {
    let count = this.rules.size;
    if (this.hidden > 0) count -= this.hidden;
    return count;
  }

  hidden = 0;
  /** Whether the database says something about it. */
  isConfigured = false;
  /** Its name is the database's: no controller changes it. */
  isNamed = false;
}
