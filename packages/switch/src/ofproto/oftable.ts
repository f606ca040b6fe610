import { Classifier } from "../classifier/classifier.js";
import { FLOW_LANES } from "../flow/flow-key.js";
import type { Rule } from "./rule.js";
import { Counter } from "./sink.js";
import type { XTable } from "./xlate/world.js";

/** Tables 0 to 253; 254 (OFPTT_MAX) is left to the switch. */
export const N_TABLES = 254;
/** Rules that a table takes unless configured otherwise. */
export const DEFAULT_TABLE_LIMIT = 1_000_000;

/** One flow table. */
export class OfTable implements XTable {
  readonly table_id: number;
  readonly rules = new Classifier<Rule>(FLOW_LANES);
  readonly looked = new Counter();
  readonly matched = new Counter();
  name: string;
  /** OFPTC_*. */
  config = 0;
  limit = DEFAULT_TABLE_LIMIT;

  constructor(table_id: number) {
    this.table_id = table_id;
    this.name = table_id === 0 ? "classifier" : `table${table_id}`;
  }

  /** Rules that controllers see. */
  get activeCount(): number {
    let count = this.rules.size;
    if (this.hidden > 0) count -= this.hidden;
    return count;
  }

  hidden = 0;
}
