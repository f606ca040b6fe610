import { OFPPC, OFPPS, type OfMessageInit } from "@sluice/openflow-codec";
import { type Clock, realClock } from "@sluice/runtime";
import { macFromNumber } from "@sluice/wire";
import { defineApp } from "../../composition/definition.js";
import type { Switch } from "../../framework/app.js";
import type { Body } from "../../rest/ofctl/read.js";
import { readInt } from "../../rest/ofctl/read.js";
import { badField } from "../../rest/problem.js";
import type { RestApp } from "../../rest/route.js";
import { deletionOf, RuleTable, requestAll } from "../rest/rule-table.js";
import { SwitchSet } from "../rest/switch-set.js";
import { switchFlows } from "./flows.js";
import { formatIp, formatNetwork } from "./ip.js";
import { routerRoutes } from "./routes.js";
import { CommandFailure, InvalidValue, RoutingTable } from "./table.js";
import { VlanRouter } from "./vlan-router.js";

export interface RouterOptions {
  readonly clock?: Clock | undefined;
}

/** "Rt" in ASCII. */
const TAG = 0x5274;
const VLAN_SHIFT = 32n;
const VLAN_MASK = 0xffffn;
const cookies = new RuleTable(TAG);

const [LOCAL_BIT, OTHER_BIT] = [0x02, 0x04];
/** The router's MAC address: of the dpid, which most often is the switch's own address, but another, and one that nobody
 *  has. */
export function routerMac(dpid: bigint): string {
  const low = Number(dpid & 0xffff_ffffffffn);
  const first = ((Math.floor(low / 2 ** 40) | LOCAL_BIT) ^ OTHER_BIT) & 0xfe;
  return macFromNumber(first * 2 ** 40 + (low % 2 ** 40));
}

/** Routes IPv4 and IPv6 between the networks that it is told of; within them a switch forwards by itself (NORMAL). Its
 *  routes are those of Ryu's rest_router. What it was told outlives a switch's connection. */
export function router({ clock = realClock }: RouterOptions = {}): RestApp {
  const all = new Map<bigint, Router>();
  const switches = new SwitchSet<Router>("Router SW");
  return {
    name: "router",
    routes: routerRoutes(switches),
    events: {
      datapath_up: (dp) => {
        const state = all.get(dp.dpid) ?? new Router(dp.dpid, clock);
        all.set(dp.dpid, state);
        switches.add(dp, state, "router", (dp) => state.begin(dp));
      },
      datapath_down: (dp) => {
        switches.remove(dp.dpid);
        const state = all.get(dp.dpid);
        state?.end();
        if (state?.isEmpty) all.delete(dp.dpid);
      },
      datapath_release: () => [cookies.removal],
      packet_in: (dp, message) => {
        if (!cookies.isOurs(message.cookie)) return undefined;
        return all.get(dp.dpid)?.vlan(vlanOf(message.cookie))?.packetIn(message) ?? [];
      },
      port_status: (dp, { reason, desc }) => {
        const isDown = (desc.config & OFPPC.PORT_DOWN) !== 0 || (desc.state & OFPPS.LINK_DOWN) !== 0;
        if (reason === "OFPPR_DELETE" || isDown) return all.get(dp.dpid)?.portDown(desc.port_no);
        return undefined;
      },
      flow_removed: (dp, { cookie, reason, match }) => {
        const host = match.ipv4_dst ?? match.ipv6_dst;
        if (!cookies.isOurs(cookie) || reason !== "OFPRR_IDLE_TIMEOUT" || typeof host !== "string")
          return undefined;
        return all.get(dp.dpid)?.vlan(vlanOf(cookie))?.hostIdle(host);
      },
    },
    stop: () => {
      for (const state of all.values()) state.end();
    },
  };
}

export const routerApp = defineApp({
  name: "router",
  summary: "routes IPv4 and IPv6 between networks; addresses by REST, as Ryu's rest_router",
  settings: { type: "object" },
  create: (_settings, { clock }) => router({ clock }),
});

const vlanOf = (cookie: bigint): number => Number((cookie >> VLAN_SHIFT) & VLAN_MASK);

type Outcome = Readonly<Record<string, unknown>>;
const failed = (details: string): Outcome => ({ result: "failure", details });
const done = (details: string): Outcome => ({ result: "success", details });
const tell = (vlan: number, outcome: Outcome): Outcome => ({
  ...outcome,
  ...(vlan !== 0 && { vlan_id: vlan }),
});

/** Switches that are no longer wanted find out which packets have no hops left (OpenFlow 1.3.5 §7.3.10). */
const TELL_TTL: OfMessageInit = {
  type: "OFPT_SET_ASYNC",
  packet_in_mask: [0b111, 0],
  port_status_mask: [0b111, 0b111],
  flow_removed_mask: [0b1111, 0],
};

/** Of a VLAN of which nobody has said anything. */
const NOTHING = new RoutingTable();

/** The router of one switch: one for each VLAN. */
export class Router {
  readonly #mac: string;
  readonly #clock: Clock;
  readonly #vlans = new Map<number, VlanRouter>();
  #dp: Switch | undefined;

  constructor(dpid: bigint, clock: Clock) {
    this.#mac = routerMac(dpid);
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#vlans.size === 0;
  }

  vlan(vlan: number): VlanRouter | undefined {
    return this.#vlans.get(vlan);
  }

  /** Has the switch have its flows, and none that are left from another time. */
  async begin(dp: Switch): Promise<void> {
    this.#dp = dp;
    const wanted = [
      ...switchFlows(cookies.cookie),
      ...[...this.#vlans.values()].flatMap((vlan) => vlan.flows),
    ];
    await dp.request(TELL_TTL);
    await requestAll(dp, wanted);
    const keyOf = ({ priority = 0, match }: { priority?: number; match?: object }): string =>
      `${priority} ${JSON.stringify(Object.entries(match ?? {}).sort())}`;
    const keys = new Set(wanted.map(keyOf));
    const stale = (await cookies.flows(dp)).filter((flow) => !keys.has(keyOf(flow)));
    await requestAll(dp, stale.map(deletionOf));
    for (const vlan of this.#vlans.values()) vlan.findGateways();
  }

  end(): void {
    this.#dp = undefined;
    for (const vlan of this.#vlans.values()) vlan.stop();
  }

  portDown(port: number): OfMessageInit[] {
    return [...this.#vlans.values()].flatMap((vlan) => vlan.portDown(port));
  }

  /** What Ryu answers to `GET /router/…`. */
  show(meant: number | "all"): object[] {
    return this.#meant(meant).map((vlan) => {
      const { addresses, routes } = this.#vlans.get(vlan)?.table ?? NOTHING;
      const address = [...addresses.values()].map((one) => ({
        address_id: one.address_id,
        address: formatNetwork(one),
      }));
      const route = [...routes.values()].map(({ route_id, destination, gateway }) => ({
        route_id,
        destination: formatNetwork(destination),
        gateway: formatIp(gateway),
      }));
      return tell(vlan, { ...(address.length > 0 && { address }), ...(route.length > 0 && { route }) });
    });
  }

  /** What Ryu does at `POST /router/…`, once the switch has confirmed it. */
  async set(dp: Switch, body: Body, meant: number | "all"): Promise<Outcome[]> {
    if (body.address === undefined && body.gateway === undefined)
      throw badField(
        body.destination === undefined ? "address" : "gateway",
        "is missing. Invalid parameter.",
      );
    const outcomes: Outcome[] = [];
    for (const vlan of this.#meant(meant)) outcomes.push(tell(vlan, await this.#setOne(dp, body, vlan)));
    return outcomes;
  }

  async #setOne(dp: Switch, body: Body, vlan: number): Promise<Outcome> {
    const of = this.#vlans.get(vlan) ?? this.#create(dp, vlan);
    this.#vlans.set(vlan, of);
    const isAddress = body.address !== undefined;
    try {
      const { id, messages } = isAddress
        ? of.addAddress(body.address)
        : of.addRoute(body.destination, body.gateway);
      await requestAll(dp, messages).catch(async (error) => {
        // What the switch refuses is not kept either.
        await requestAll(dp, isAddress ? of.removeAddress(id) : of.removeRoute(id)).catch(() => {});
        throw error;
      });
      of.findGateways();
      return done(isAddress ? `Add address [address_id=${id}]` : `Add route [route_id=${id}]`);
    } catch (error) {
      if (error instanceof InvalidValue) throw badField(error.field, `is not one. ${error.message}`);
      if (error instanceof CommandFailure) return failed(error.message);
      throw error;
    } finally {
      this.#dropEmpty(vlan);
    }
  }

  /** What Ryu does at `DELETE /router/…`. */
  async remove(dp: Switch, body: Body, meant: number | "all"): Promise<Outcome[]> {
    const [field, what] =
      body.route_id !== undefined
        ? (["route_id", "routes"] as const)
        : (["address_id", "addresses"] as const);
    if (body[field] === undefined) throw badField(field, "is missing. Invalid parameter.");
    const id = body[field] === "all" ? "all" : readInt(body[field], field);
    const outcomes: Outcome[] = [];
    for (const vlan of this.#meant(meant)) {
      const of = this.#vlans.get(vlan);
      if (of === undefined) continue;
      const ids = [...of.table[what].keys()].filter((one) => id === "all" || one === id);
      const outcome =
        what === "routes" ? await this.#removeRoutes(dp, of, ids) : await this.#removeAddresses(dp, of, ids);
      if (outcome !== undefined) outcomes.push(tell(vlan, outcome));
      this.#dropEmpty(vlan);
    }
    return outcomes.length > 0 ? outcomes : [failed("Data is nothing.")];
  }

  async #removeRoutes(dp: Switch, of: VlanRouter, ids: number[]): Promise<Outcome | undefined> {
    await requestAll(
      dp,
      ids.flatMap((id) => of.removeRoute(id)),
    );
    return ids.length === 0 ? undefined : done(`Delete route [route_id=${ids.join(",")}]`);
  }

  async #removeAddresses(dp: Switch, of: VlanRouter, ids: number[]): Promise<Outcome | undefined> {
    const needed = of.table.neededAddresses();
    const [kept, gone] = [ids.filter((id) => needed.has(id)), ids.filter((id) => !needed.has(id))];
    await requestAll(
      dp,
      gone.flatMap((id) => of.removeAddress(id)),
    );
    const skip = `Skip delete (related route exist) [address_id=${kept.join(",")}]`;
    if (gone.length === 0) return kept.length === 0 ? undefined : failed(skip);
    const details = `Delete address [address_id=${gone.join(",")}]`;
    return done(kept.length === 0 ? details : `${details}, ${skip}`);
  }

  /** As with Ryu, "all" has packets without a VLAN among them, whether or not anything is set for them. */
  #meant(meant: number | "all"): number[] {
    return meant === "all" ? [...new Set([0, ...this.#vlans.keys()])] : [meant];
  }

  #create(dp: Switch, vlan: number): VlanRouter {
    return new VlanRouter({
      side: { vlan, mac: this.#mac, cookie: cookies.cookieOf(vlan, 0) },
      clock: this.#clock,
      send: (message) => this.#dp?.send(message),
      log: (text) => dp.log.warn(`router: switch ${dp.id}: ${text}`),
    });
  }

  #dropEmpty(vlan: number): void {
    const of = this.#vlans.get(vlan);
    if (!of?.table.isEmpty) return;
    of.stop();
    this.#vlans.delete(vlan);
  }
}
