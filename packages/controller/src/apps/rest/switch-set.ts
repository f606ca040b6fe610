import type { Switch } from "../../framework/app.js";
import { badField, Problem } from "../../rest/problem.js";

/** What the apps with routes share: the switches that a path means, and work on a switch one piece after another. */

export const dpidText = (dpid: bigint): string => dpid.toString(16).padStart(16, "0");

/** 16 hexadecimal digits, as Ryu has them in paths. Throws a Problem. */
export function readDpid(text: string | undefined, field: string): bigint {
  if (text === undefined || !/^[0-9a-f]{16}$/i.test(text))
    throw badField(field, "is not 16 hexadecimal digits");
  return BigInt(`0x${text}`);
}

export const NO_VLAN = 0;
const [VLAN_MIN, VLAN_MAX] = [2, 4094];

/** A VLAN group of a path: none is 0. */
export function readVlan(text: string | undefined, field: string): number | "all" {
  if (text === undefined) return NO_VLAN;
  if (text === "all") return "all";
  const vlan = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (vlan === NO_VLAN || (vlan >= VLAN_MIN && vlan <= VLAN_MAX)) return vlan;
  throw badField(field, `is "${text}". Set [${VLAN_MIN}-${VLAN_MAX}] or all`);
}

interface Entry<T> {
  readonly dp: Switch;
  readonly state: T;
  /** The end of the last piece of work. */
  last: Promise<unknown>;
}

/** The connected switches of an app, with what it keeps of each. */
export class SwitchSet<T> {
  readonly #what: string;
  readonly #entries = new Map<bigint, Entry<T>>();

  /** `what` a switch is to the app, for messages. */
  constructor(what: string) {
    this.#what = what;
  }

  /** `begin` is what is done first; what goes wrong is told in the switch's log, as of `app`. */
  add(dp: Switch, state: T, app: string, begin: (dp: Switch) => Promise<void>): void {
    this.#entries.set(dp.dpid, { dp, state, last: Promise.resolve() });
    this.do(dp.dpid, begin).catch((error: Error) => dp.log.warn(`${app}: switch ${dp.id}: ${error.message}`));
  }

  remove(dpid: bigint): void {
    this.#entries.delete(dpid);
  }

  get(dpid: bigint): T | undefined {
    return this.#entries.get(dpid)?.state;
  }

  /** Runs `work` when all earlier work on the switch has ended. */
  do<R>(dpid: bigint, work: (dp: Switch, state: T) => Promise<R>): Promise<R> {
    const entry = this.#entries.get(dpid);
    if (entry === undefined) throw this.#absent(dpidText(dpid));
    const done = entry.last.then(() => work(entry.dp, entry.state));
    entry.last = done.catch(() => {});
    return done;
  }

  /** Runs `work` on every switch; what goes wrong at one is told in its log, as of `app`. */
  onAll(app: string, work: (dp: Switch, state: T) => Promise<unknown>): void {
    for (const [dpid, { dp }] of this.#entries) {
      this.do(dpid, work).catch((error: Error) => dp.log.warn(`${app}: switch ${dp.id}: ${error.message}`));
    }
  }

  /** Runs `work` on the switches that `id` means, of which one is `all`. Throws a Problem where there is none. */
  each<R>(id: string | undefined, work: (dp: Switch, state: T) => Promise<R>): Promise<R[]> {
    if (id !== "all") return Promise.all([this.do(readDpid(id, "switch_id"), work)]);
    if (this.#entries.size === 0) throw this.#absent(undefined);
    return Promise.all([...this.#entries.keys()].map((dpid) => this.do(dpid, work)));
  }

  #absent(id: string | undefined): Problem {
    const which = id === undefined ? "" : ` : switch_id=${id}`;
    const details = `${this.#what} is not connected.${which}`;
    return new Problem(404, details, { result: "failure", details });
  }
}
