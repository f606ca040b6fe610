import {
  ACTION_SET_ORDER,
  type Action,
  type Bucket,
  formatInstructions,
  formatPort,
  formatPriorityAndMatch,
  type Instruction,
  OFPG,
  OFPP,
  OFPPC,
  OFPPS,
  OFPTT,
  type Port,
} from "@sluice/openflow-codec";
import { change } from "./actions.js";
import { type ModelPacket, withField } from "./packet.js";
import type { ModelFlow, ModelGroup, SwitchTables } from "./switch-tables.js";

/** One table on the way. */
export interface TraceStep {
  readonly table_id: number;
  /** Undefined where no flow takes the packet. */
  readonly flow: ModelFlow | undefined;
}

/** The packet leaves by a port. */
export interface TraceOutput {
  readonly port: number;
  readonly packet: ModelPacket;
  readonly queue_id: number | undefined;
  /** Groups that it passed, outermost first. */
  readonly groups: readonly number[];
  /** A select group on the way: the packet takes this or another of its buckets. */
  readonly oneOf: number | undefined;
}

/** The packet goes to the controller; with OFPR_INVALID_TTL, if it has asked for those (OFPT_SET_ASYNC). */
export interface TracePacketIn {
  readonly packet: ModelPacket;
  readonly table_id: number;
  readonly cookie: bigint;
  readonly reason: "OFPR_NO_MATCH" | "OFPR_ACTION" | "OFPR_INVALID_TTL";
}

/** What one switch does with a packet. */
export interface SwitchTrace {
  readonly steps: readonly TraceStep[];
  readonly outputs: readonly TraceOutput[];
  readonly packetIns: readonly TracePacketIn[];
  /** Why the packet, or one copy of it, goes no further. */
  readonly drops: readonly string[];
  /** What decides on the packet's way and is not in the tables: NORMAL, an action that the model does not know. */
  readonly unknown: readonly string[];
}

export interface TraceWorld {
  readonly tables: SwitchTables;
  readonly ports: ReadonlyMap<number, Port>;
  /** Which live bucket a select group takes; where it is not said, the packet is followed through each of them. */
  readonly select?: (group: ModelGroup, live: readonly Bucket[], packet: ModelPacket) => Bucket | undefined;
}

/** Follows a packet through the tables of one switch, from a port (OpenFlow 1.3.5 §5.1). Pure. */
export function traceSwitch(world: TraceWorld, packet: ModelPacket, inPort: number): SwitchTrace {
  const walk = new Walk(world, inPort);
  walk.enter(packet);
  return walk.result;
}

/** Follows what a packet-out does with a packet (§7.3.7). Pure. */
export function tracePacketOut(
  world: TraceWorld,
  packet: ModelPacket,
  inPort: number,
  actions: readonly Action[],
): SwitchTrace {
  const walk = new Walk(world, inPort);
  walk.packetOut(packet, actions);
  return walk.result;
}

/** A flow in ovs-ofctl's syntax. */
export const describeFlow = ({
  table_id,
  priority,
  match,
  instructions,
}: Pick<ModelFlow, "table_id" | "priority" | "match" | "instructions">): string =>
  `table=${table_id},${formatPriorityAndMatch(priority, match)} actions=${formatInstructions(instructions)}`;

/** Where in the pipeline an action is carried out. */
interface Place {
  readonly table_id: number;
  readonly cookie: bigint;
  readonly isTableMiss: boolean;
  readonly groups: readonly number[];
  readonly oneOf: number | undefined;
}

const NO_PLACE: Place = {
  table_id: OFPTT.ALL,
  cookie: -1n,
  isTableMiss: false,
  groups: [],
  oneOf: undefined,
};
const MAX_GROUPS = 16;

class Walk {
  readonly result: {
    steps: TraceStep[];
    outputs: TraceOutput[];
    packetIns: TracePacketIn[];
    drops: string[];
    unknown: string[];
  } = { steps: [], outputs: [], packetIns: [], drops: [], unknown: [] };
  readonly #world: TraceWorld;
  readonly #inPort: number;
  #queue: number | undefined;

  constructor(world: TraceWorld, inPort: number) {
    this.#world = world;
    this.#inPort = inPort;
  }

  /** A packet comes in by the port, or by the action TABLE. */
  enter(packet: ModelPacket): void {
    const port = this.#world.ports.get(this.#inPort);
    if (port !== undefined && (port.config & (OFPPC.PORT_DOWN | OFPPC.NO_RECV)) !== 0) {
      this.result.drops.push(`port ${formatPort(this.#inPort)} takes no packets (its configuration)`);
      return;
    }
    this.#tables(withField(packet, "in_port", BigInt(this.#inPort)));
  }

  packetOut(packet: ModelPacket, actions: readonly Action[]): void {
    this.#actions(withField(packet, "in_port", BigInt(this.#inPort)), actions, NO_PLACE);
    if (actions.length === 0) this.result.drops.push("the packet-out has no actions");
  }

  #tables(start: ModelPacket): void {
    let packet: ModelPacket | undefined = start;
    const set: Action[] = [];
    const before = this.#count();
    for (let table: number | undefined = 0; table !== undefined; ) {
      const flow: ModelFlow | undefined = this.#world.tables.lookup(table, packet);
      this.result.steps.push({ table_id: table, flow });
      if (flow === undefined) {
        this.result.drops.push(`table ${table}: no flow takes it`);
        return;
      }
      const place = { ...NO_PLACE, table_id: table, cookie: flow.cookie, isTableMiss: isTableMiss(flow) };
      const next = this.#instructions(packet, flow, set, place);
      if (next === undefined) return;
      packet = next.packet;
      table = next.table;
      if (table !== undefined) continue;
      if (set.length > 0) this.#actions(packet, inOrder(set), place);
      if (this.#count() === before)
        this.result.drops.push(`table ${place.table_id}: the flow "${describeFlow(flow)}" sends it nowhere`);
    }
  }

  /** What has become of the packet so far. */
  #count(): number {
    const { outputs, packetIns, drops, unknown } = this.result;
    return outputs.length + packetIns.length + drops.length + unknown.length;
  }

  /** In the order of the specification, whatever the order in the flow (§5.9). */
  #instructions(
    start: ModelPacket,
    { instructions }: ModelFlow,
    set: Action[],
    place: Place,
  ): { packet: ModelPacket; table: number | undefined } | undefined {
    let packet: ModelPacket | undefined = start;
    const of = <T extends Instruction["type"]>(type: T) =>
      instructions.filter((one): one is Extract<Instruction, { type: T }> => one.type === type);
    for (const { actions } of of("OFPIT_APPLY_ACTIONS")) {
      packet = this.#actions(packet, actions, place);
      if (packet === undefined) return undefined;
    }
    if (of("OFPIT_CLEAR_ACTIONS").length > 0) set.length = 0;
    for (const { actions } of of("OFPIT_WRITE_ACTIONS"))
      for (const action of actions) writeAction(set, action);
    for (const { metadata, metadata_mask } of of("OFPIT_WRITE_METADATA")) {
      const before = packet.fields.get("metadata") ?? 0n;
      packet = withField(packet, "metadata", (before & ~metadata_mask) | (metadata & metadata_mask));
    }
    for (const { experimenter } of of("OFPIT_EXPERIMENTER"))
      this.result.unknown.push(`instruction of experimenter 0x${experimenter.toString(16)}`);
    return { packet, table: of("OFPIT_GOTO_TABLE")[0]?.table_id };
  }

  /** The packet after the actions; undefined where one of them is the end of it. */
  #actions(start: ModelPacket, actions: readonly Action[], place: Place): ModelPacket | undefined {
    let packet = start;
    for (const action of actions) {
      if (action.type === "OFPAT_OUTPUT") this.#output(packet, action.port, place);
      else if (action.type === "OFPAT_GROUP") this.#group(packet, action.group_id, place);
      else {
        if (action.type === "OFPAT_SET_QUEUE") this.#queue = action.queue_id;
        const changed = change(packet, action);
        if (typeof changed === "string") {
          this.#packetIn(packet, place, "OFPR_INVALID_TTL");
          this.result.drops.push(`table ${place.table_id}: ${changed}`);
          return undefined;
        }
        if (changed === undefined) this.result.unknown.push(`action ${action.type}`);
        else packet = changed;
      }
    }
    return packet;
  }

  #packetIn(packet: ModelPacket, { table_id, cookie }: Place, reason: TracePacketIn["reason"]): void {
    this.result.packetIns.push({ packet, table_id, cookie, reason });
  }

  #output(packet: ModelPacket, port: number, place: Place): void {
    switch (port) {
      case OFPP.CONTROLLER:
        this.#packetIn(packet, place, place.isTableMiss ? "OFPR_NO_MATCH" : "OFPR_ACTION");
        return;
      case OFPP.IN_PORT:
        this.#leave(packet, this.#inPort, place);
        return;
      case OFPP.FLOOD:
      case OFPP.ALL: {
        const others = [...this.#world.ports.keys()].filter(
          (one) => one !== this.#inPort && (one < OFPP.MAX || one === OFPP.LOCAL),
        );
        if (others.length === 0) this.result.drops.push(`${formatPort(port)}: there is no other port`);
        for (const other of others) this.#leave(packet, other, place, true);
        return;
      }
      case OFPP.NORMAL:
        this.result.unknown.push(
          "output to NORMAL: the switch forwards by addresses that it has learned itself",
        );
        return;
      case OFPP.TABLE:
        this.#tables(packet);
        return;
      default:
        if (port === this.#inPort) {
          this.result.drops.push(
            `output to port ${formatPort(port)}, by which it came (IN_PORT would send it back)`,
          );
        } else this.#leave(packet, port, place);
    }
  }

  #leave(packet: ModelPacket, port_no: number, { groups, oneOf }: Place, isFlood = false): void {
    const port = this.#world.ports.get(port_no);
    const why =
      port === undefined && port_no !== OFPP.LOCAL ? "does not exist" : port && reasonNotToSend(port);
    if (why === undefined) {
      this.result.outputs.push({ port: port_no, packet, queue_id: this.#queue, groups, oneOf });
    } else if (!isFlood) this.result.drops.push(`output to port ${formatPort(port_no)}, which ${why}`);
  }

  #group(packet: ModelPacket, group_id: number, place: Place): void {
    const group = this.#world.tables.groups.get(group_id);
    if (group === undefined) {
      this.result.drops.push(`group ${group_id} does not exist`);
      return;
    }
    if (place.groups.length >= MAX_GROUPS) {
      this.result.drops.push(`group ${group_id}: groups are nested more than ${MAX_GROUPS} deep`);
      return;
    }
    const buckets = this.#buckets(group, packet);
    if (buckets.length === 0) {
      this.result.drops.push(
        `group ${group_id} (${group.group_type}) has ${group.buckets.length === 0 ? "no" : "no live"} bucket`,
      );
    }
    const isChoice = group.group_type === "OFPGT_SELECT" && buckets.length > 1;
    const inside = {
      ...place,
      groups: [...place.groups, group_id],
      oneOf: isChoice ? group_id : place.oneOf,
    };
    // Each bucket has a copy of the packet of its own (§5.10).
    for (const { actions } of buckets) this.#actions(packet, inOrder(actions), inside);
  }

  #buckets(group: ModelGroup, packet: ModelPacket): readonly Bucket[] {
    const { buckets } = group;
    if (group.group_type === "OFPGT_ALL" || group.group_type === "OFPGT_INDIRECT") return buckets;
    if (group.group_type === "OFPGT_FF")
      return buckets.filter((bucket) => this.#isLive(bucket, true)).slice(0, 1);
    const live = buckets.filter((bucket) => bucket.weight > 0 && this.#isLive(bucket, false));
    if (this.#world.select === undefined || live.length === 0) return live;
    const chosen = this.#world.select(group, live, packet);
    return chosen === undefined ? [] : [chosen];
  }

  /** A bucket is live while the port or group that it watches is; one that watches nothing is not in a fast-failover group
   *  and always is in a select group (§6.5, §5.6.1). */
  #isLive({ watch_port, watch_group }: Bucket, mustWatch: boolean, depth = 0): boolean {
    if (watch_port === OFPP.ANY && watch_group === OFPG.ANY) return !mustWatch;
    if (watch_port !== OFPP.ANY) {
      const port = this.#world.ports.get(watch_port);
      if (port !== undefined && reasonNotToSend(port) === undefined) return true;
    }
    if (watch_group === OFPG.ANY || depth >= MAX_GROUPS) return false;
    const watched = this.#world.tables.groups.get(watch_group);
    return watched?.buckets.some((bucket) => this.#isLive(bucket, mustWatch, depth + 1)) ?? false;
  }
}

const isTableMiss = ({ priority, terms }: ModelFlow): boolean => priority === 0 && terms.length === 0;

function reasonNotToSend({ config, state }: Port): string | undefined {
  if ((config & OFPPC.PORT_DOWN) !== 0) return "is turned off";
  if ((config & OFPPC.NO_FWD) !== 0) return "does not forward (its configuration)";
  return (state & OFPPS.LINK_DOWN) !== 0 ? "has no link" : undefined;
}

/** An action set holds one action of a kind, and one set-field of a field (§5.10). */
function writeAction(set: Action[], action: Action): void {
  const isSame = (other: Action): boolean =>
    other.type === action.type &&
    (action.type !== "OFPAT_SET_FIELD" ||
      Object.keys(action.field)[0] === Object.keys((other as typeof action).field)[0]);
  const at = set.findIndex(isSame);
  if (at < 0) set.push(action);
  else set[at] = action;
}

const RANKS = new Map<Action["type"], number>(ACTION_SET_ORDER.map((type, rank) => [type, rank]));

/** As an action set is carried out: an output only where there is no group (§5.10). */
function inOrder(set: readonly Action[]): Action[] {
  const rank = ({ type }: Action): number => RANKS.get(type) ?? RANKS.size;
  const hasGroup = set.some(({ type }) => type === "OFPAT_GROUP");
  return set.filter(({ type }) => type !== "OFPAT_OUTPUT" || !hasGroup).sort((a, b) => rank(a) - rank(b));
}
