import type { Switch } from "../../framework/app.js";
import { type Body, readBig, readList } from "../../rest/ofctl/read.js";
import { badField, Problem } from "../../rest/problem.js";
import type { ConfStore } from "./conf-store.js";

/** What a port's queues are to be: `type` and `other_config` of its QoS row, and `other_config` of each queue, by number. */
export interface PortQueues {
  readonly type: string;
  readonly config: Readonly<Record<string, string>>;
  readonly queues: readonly Readonly<Record<string, string>>[];
}

/** The database of a switch, as far as queues stand in it. */
export interface QueueStore {
  /** Of the bridge with the switch's dpid; without the bridge's own. */
  portNames(): Promise<string[]>;
  /** Resolves when the switch has taken it up. Undefined takes queues away. */
  setQueues(ports: readonly string[], queues: PortQueues | undefined): Promise<void>;
  close(): void;
}

/** Connects to the database at `target` (`tcp:HOST:PORT`, `ssl:…`, `unix:…`). Rejects where it is not to be had, or has no
 *  bridge of that dpid. */
export type OpenQueues = (target: string, dpid: bigint) => Promise<QueueStore>;

/** The key of rest_conf_switch under which a switch's database is found. */
export const OVSDB_ADDR = "ovsdb_addr";

type Config = Readonly<Record<string, string>>;
type ShownQueues = Readonly<Record<string, { readonly config: Config }>>;

const failure = (details: string): object => ({ result: "failure", details });

function rateOf(value: unknown, field: string): string | undefined {
  return value === undefined ? undefined : String(readBig(value, field));
}

/** A body of `POST /qos/queue`. Throws a Problem. */
function readQueues(body: Body): PortQueues {
  const { type = "linux-htb", max_rate, queues = [] } = body;
  if (typeof type !== "string") throw badField("type", "is not text");
  const parent = rateOf(max_rate, "max_rate");
  return {
    type,
    config: parent === undefined ? {} : { "max-rate": parent },
    queues: readList(queues, "queues").map((queue, i): Config => {
      const at = `queues[${i}]`;
      const max = rateOf(queue.max_rate, `${at}.max_rate`);
      const min = rateOf(queue.min_rate, `${at}.min_rate`);
      if (max === undefined && min === undefined)
        throw badField(at, "has none. Required to specify max_rate or min_rate");
      return { ...(max !== undefined && { "max-rate": max }), ...(min !== undefined && { "min-rate": min }) };
    }),
  };
}

const show = ({ queues }: PortQueues): ShownQueues =>
  Object.fromEntries(queues.map((config, id) => [String(id), { config }]));

/** Queues of switches: they are no matter of OpenFlow, and are set in the switch's database. */
export class Queues {
  readonly #conf: ConfStore;
  #open: OpenQueues | undefined;
  /** What was set, by switch and port. */
  readonly #set = new Map<bigint, Map<string, ShownQueues>>();

  constructor(conf: ConfStore) {
    this.#conf = conf;
  }

  use(open: OpenQueues): void {
    this.#open = open;
  }

  /** Throws a Problem where the database of a switch is not to be had at `address`. */
  async check(dpid: bigint, address: unknown): Promise<void> {
    if (typeof address !== "string") throw badField("body", "is not an address as text");
    if (this.#open === undefined) throw new Problem(501, "this controller reaches no databases");
    try {
      (await this.#open(address, dpid)).close();
    } catch (error) {
      throw badField("body", `does not lead there: ovsdb addr is not available. ${(error as Error).message}`);
    }
  }

  list(dp: Switch): object {
    const ports = this.#set.get(dp.dpid);
    if (ports === undefined || ports.size === 0) return failure("Queue is not exists.");
    return { result: "success", details: Object.fromEntries(ports) };
  }

  async set(dp: Switch, body: Body): Promise<object> {
    const wanted = readQueues(body);
    return this.#with(dp, async (store) => {
      const all = await store.portNames();
      const { port_name } = body;
      if (port_name !== undefined && !all.includes(String(port_name)))
        throw badField("port_name", `is no port of the switch: ${port_name} port is not exists`);
      const ports = port_name === undefined ? all : [String(port_name)];
      await store.setQueues(ports, wanted);
      const known = this.#set.get(dp.dpid) ?? new Map<string, ShownQueues>();
      for (const port of ports) known.set(port, show(wanted));
      this.#set.set(dp.dpid, known);
      return { result: "success", details: show(wanted) };
    });
  }

  async clear(dp: Switch): Promise<object | string> {
    const done = await this.#with(dp, async (store) => {
      await store.setQueues(await store.portNames(), undefined);
      this.#set.delete(dp.dpid);
      return "success";
    });
    return typeof done === "string" ? done : "failure";
  }

  /** Works on the switch's database; a failure where nobody said where it is. */
  async #with<T>({ dpid }: Switch, work: (store: QueueStore) => Promise<T>): Promise<T | object> {
    const address = this.#conf.find(dpid, OVSDB_ADDR);
    if (this.#open === undefined || typeof address !== "string") return failure("ovs_bridge is not exists");
    const store = await this.#open(address, dpid);
    try {
      return await work(store);
    } finally {
      store.close();
    }
  }
}
