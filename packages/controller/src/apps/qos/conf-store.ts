import { Problem } from "../../rest/problem.js";
import { dpidText } from "../rest/switch-set.js";

const MAX_SWITCHES = 4096;
const MAX_KEYS = 64;

/** Values that people keep for switches, connected or not, by name: Ryu's rest_conf_switch. Bounded. */
export class ConfStore {
  readonly #switches = new Map<bigint, Map<string, unknown>>();

  get dpids(): string[] {
    return [...this.#switches.keys()].map(dpidText);
  }

  keys(dpid: bigint): string[] {
    return [...this.#of(dpid).keys()];
  }

  /** Undefined where there is none. */
  find(dpid: bigint, key: string): unknown {
    return this.#switches.get(dpid)?.get(key);
  }

  /** Throws a Problem where there is none. */
  get(dpid: bigint, key: string): unknown {
    const keys = this.#switches.get(dpid);
    if (!keys?.has(key)) throw new Problem(404, `no dpid/key is found ${dpidText(dpid)} ${key}`);
    return keys.get(key);
  }

  set(dpid: bigint, key: string, value: unknown): void {
    const keys = this.#switches.get(dpid) ?? new Map<string, unknown>();
    if (keys.size >= MAX_KEYS && !keys.has(key))
      throw new Problem(409, `there are ${MAX_KEYS} keys of the switch already`);
    if (this.#switches.size >= MAX_SWITCHES && !this.#switches.has(dpid))
      throw new Problem(409, `there are ${MAX_SWITCHES} switches already`);
    this.#switches.set(dpid, keys.set(key, value));
  }

  delete(dpid: bigint, key: string): void {
    this.get(dpid, key);
    this.#switches.get(dpid)?.delete(key);
  }

  deleteSwitch(dpid: bigint): void {
    this.#of(dpid);
    this.#switches.delete(dpid);
  }

  #of(dpid: bigint): Map<string, unknown> {
    const keys = this.#switches.get(dpid);
    if (keys === undefined) throw new Problem(404, `no dpid is found ${dpidText(dpid)}`);
    return keys;
  }
}
