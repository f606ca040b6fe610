import type { Clock } from "@sluice/runtime";
import { type CheckContext, checkActionList } from "./check.js";
import { refuse } from "./error.js";
import { checkGroup, Group } from "./group.js";
import type { GroupMod } from "./of.js";
import type { Transaction } from "./transaction.js";
import { OFPG } from "./xlate/reserved.js";

/** Groups that a bridge holds at most, and buckets of one group. */
export const MAX_GROUPS = 65_536;
export const MAX_BUCKETS = 4096;

/** Open vSwitch's own command: modify the group, or add it where there is none (`mod-group --may-create`). */
const ADD_OR_MOD = 0x8000;

/** A bucket may name a group that comes later, and outlive one that goes, as in Open vSwitch: packets do not get further
 *  there. Those that go round in a loop are dropped. */
export const ANY_GROUP = (): boolean => true;

export interface GroupTableHooks {
  readonly check: CheckContext;
  changed(): void;
  /** Removes the flows that send to a group that is going (1.3.5 §6.5). */
  removeFlowsTo(group_id: number, transaction: Transaction): void;
}

/** The group table of a bridge: what group_mod does to it. */
export class GroupTable {
  readonly groups = new Map<number, Group>();
  readonly #clock: Clock;
  readonly #hooks: GroupTableHooks;

  constructor(clock: Clock, hooks: GroupTableHooks) {
    this.#clock = clock;
    this.#hooks = hooks;
  }

  apply(message: GroupMod, transaction: Transaction): void {
    switch (message.command) {
      case "OFPGC_ADD":
        this.#add(message, transaction);
        break;
      case "OFPGC_MODIFY":
        this.#modify(message, transaction);
        break;
      case "OFPGC_DELETE":
        this.#delete(message, transaction);
        break;
      case ADD_OR_MOD:
        if (this.groups.has(message.group_id)) this.#modify(message, transaction);
        else this.#add(message, transaction);
        break;
      default:
        throw refuse("OFPGMFC_BAD_COMMAND", `group_mod command ${message.command}`);
    }
    this.#hooks.changed();
  }

  /** Refuses a group that could not be, whichever others there are. */
  check(message: GroupMod): void {
    if (message.command === "OFPGC_DELETE") checkDeletion(message);
    else this.#check(message);
  }

  #check(message: GroupMod): void {
    if (message.group_id > OFPG.MAX)
      throw refuse("OFPGMFC_INVALID_GROUP", `group_id 0x${message.group_id.toString(16)}`);
    checkGroup(message);
    const buckets = message.buckets ?? [];
    if (buckets.length > MAX_BUCKETS)
      throw refuse("OFPGMFC_OUT_OF_BUCKETS", `${buckets.length} buckets; at most ${MAX_BUCKETS}`);
    const check = { ...this.#hooks.check, hasGroup: ANY_GROUP };
    for (const bucket of buckets) checkActionList(bucket.actions ?? [], check, "unknown");
  }

  #add(message: GroupMod, transaction: Transaction): void {
    if (this.groups.has(message.group_id))
      throw refuse("OFPGMFC_GROUP_EXISTS", `group ${message.group_id} exists`);
    this.#check(message);
    if (this.groups.size >= MAX_GROUPS) throw refuse("OFPGMFC_OUT_OF_GROUPS", `at most ${MAX_GROUPS} groups`);
    this.groups.set(message.group_id, new Group(message, this.#clock.now()));
    transaction.onUndo(() => this.groups.delete(message.group_id));
  }

  /** The type and the buckets are replaced, the counters of the group stay (1.3.5 §6.5). */
  #modify(message: GroupMod, transaction: Transaction): void {
    const group = this.groups.get(message.group_id);
    if (!group) throw refuse("OFPGMFC_UNKNOWN_GROUP", `there is no group ${message.group_id}`);
    this.#check(message);
    const { group_type, buckets } = group;
    const fresh = new Group(message, 0);
    group.group_type = fresh.group_type;
    group.buckets = fresh.buckets;
    transaction.onUndo(() => Object.assign(group, { group_type, buckets }));
  }

  #delete(message: GroupMod, transaction: Transaction): void {
    checkDeletion(message);
    if (message.group_id === OFPG.ALL) {
      for (const group of [...this.groups.values()]) this.#remove(group, transaction);
      return;
    }
    const group = this.groups.get(message.group_id);
    if (group) this.#remove(group, transaction);
  }

  #remove(group: Group, transaction: Transaction): void {
    this.groups.delete(group.group_id);
    transaction.onUndo(() => this.groups.set(group.group_id, group));
    this.#hooks.removeFlowsTo(group.group_id, transaction);
  }
}

function checkDeletion({ buckets = [] }: GroupMod): void {
  if (buckets.length > 0)
    throw refuse("OFPGMFC_INVALID_GROUP", "a group to be deleted is named without buckets");
}
