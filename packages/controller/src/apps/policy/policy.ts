// Hot path: `onPacketIn` runs for each address that is new.
import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { type MessageOf, OFPG, OFPP, OFPPS, OFPVID } from "@sluice/openflow-codec";
import { type Clock, type Log, nullLog, realClock, type Timer } from "@sluice/runtime";
import { macFromNumber } from "@sluice/wire";
import { defineApp } from "../../composition/definition.js";
import type { App, Switch } from "../../framework/app.js";
import { isMulticast, readFrameHead } from "../frame.js";
import { type Policy, type PolicySwitch, readPolicy } from "./document.js";
import {
  difference,
  EXACTLY,
  flowsOfHost,
  type InstalledFlow,
  installed,
  keyOf,
  POLICY_COOKIE,
  type PolicyHost,
  policyFlows,
  removal,
  TABLE,
} from "./flows.js";

export interface PolicyOptions {
  /** JSON or YAML. */
  readonly file: string;
  /** Follow the file's changes; otherwise only at a reload. Done unless false. */
  readonly watch?: boolean | undefined;
  readonly clock?: Clock;
  readonly log?: Log;
}

export interface PolicyCounters {
  /** Times that the file was taken up, and refused. */
  reads: number;
  refused: number;
  /** Flows sent to switches: added or changed, and removed. */
  added: number;
  removed: number;
  /** Addresses pushed out by others. */
  evicted: number;
}

export interface PolicyApp extends App {
  readonly counters: Readonly<PolicyCounters>;
  readonly policy: Policy;
}

interface Site {
  readonly dp: Switch;
  /** Oldest first. */
  readonly hosts: Map<string, PolicyHost>;
  has: Map<string, InstalledFlow>;
  numbers: ReadonlyMap<string, number>;
  /** The flows of an earlier run are known. */
  isKnown: boolean;
}

const ALL_TABLES = 0xff;
/** Addresses of one switch; with one more, the one learned longest ago is forgotten. */
const MAX_HOSTS = 16_384;
/** Editors write a file in several steps. */
const SETTLE_MS = 100;

const hostKey = ({ vid, mac }: { vid: number; mac: string }): string => `${vid} ${mac}`;

/** VLANs, access lists and mirrors of switches, as a file declares them. The flows of each switch are a function of the file,
 *  of the switch's ports and of the addresses seen; what is sent is always the difference to what the switch has.
 *  Throws a one-line Error where the file is wrong; a change that is wrong is logged, and the last good one stays. */
export function policy(options: PolicyOptions): PolicyApp {
  const { file, clock = realClock, log = nullLog } = options;
  const counters = { reads: 1, refused: 0, added: 0, removed: 0, evicted: 0 };
  let current = readPolicy(file);
  const sites = new Map<bigint, Site>();

  const send = (site: Site, messages: ReturnType<typeof difference>["messages"]): void => {
    for (const message of messages) {
      if (message.command === "OFPFC_ADD") counters.added++;
      else counters.removed++;
      site.dp.send(message);
    }
  };

  /** Brings a switch to what the file says of it. */
  const settle = (site: Site): void => {
    if (!site.isKnown) return;
    const sw = current.switches.get(site.dp.dpid);
    site.numbers = sw ? portNumbers(sw, site.dp) : new Map();
    if (sw) dropLostHosts(site, sw);
    else site.hosts.clear();
    const wanted = sw ? policyFlows(sw, site.numbers, site.hosts.values()) : [];
    const { messages, then } = difference(site.has, wanted);
    site.has = then;
    send(site, messages);
  };

  const dropLostHosts = (site: Site, sw: PolicySwitch): void => {
    for (const [key, host] of site.hosts)
      if (isDown(site.dp, host.port) || flowsOfHost(host, sw, site.numbers).length === 0)
        site.hosts.delete(key);
  };

  /** The flows that an earlier run of this app left, and the addresses that they tell of: they are kept. */
  const meet = async (site: Site): Promise<void> => {
    const { dp } = site;
    const sw = current.switches.get(dp.dpid);
    const { body } = await dp.request({
      type: "OFPT_MULTIPART_REQUEST",
      body: {
        type: "OFPMP_FLOW",
        table_id: ALL_TABLES,
        out_port: OFPP.ANY,
        out_group: OFPG.ANY,
        cookie: POLICY_COOKIE,
        cookie_mask: EXACTLY,
      },
    });
    for (const stats of body.entries) {
      site.has.set(keyOf(stats), installed(stats));
      const host = stats.table_id === TABLE.SENDER ? hostOf(stats.match) : undefined;
      if (host && sw) site.hosts.set(hostKey(host), host);
    }
    site.isKnown = true;
    for (const { name } of sw?.ports ?? [])
      if (sw && !portNumbers(sw, dp).has(name)) log.warn(`switch ${dp.id} has no port ${name} (yet)`);
    settle(site);
  };

  const onPacketIn = ({ dpid }: Switch, message: MessageOf<"OFPT_PACKET_IN">): [] | undefined => {
    if (message.cookie !== POLICY_COOKIE) return undefined;
    const site = sites.get(dpid);
    const sw = current.switches.get(dpid);
    const head = readFrameHead(message.data);
    const { in_port } = message.match;
    if (!site?.isKnown || !sw || head === undefined || in_port === undefined || isMulticast(head.src))
      return [];
    learn(site, sw, { mac: macFromNumber(head.src), vid: head.vlan, port: in_port });
    return [];
  };

  const learn = (site: Site, sw: PolicySwitch, host: PolicyHost): void => {
    const key = hostKey(host);
    const before = site.hosts.get(key);
    if (before?.port === host.port) return;
    site.hosts.delete(key);
    change(site, before ? flowsOfHost(before, sw, site.numbers) : [], flowsOfHost(host, sw, site.numbers));
    site.hosts.set(key, host);
    if (site.hosts.size > MAX_HOSTS) {
      const [oldest] = site.hosts.values();
      counters.evicted++;
      forget(site, sw, oldest!);
    }
  };
  const forget = (site: Site, sw: PolicySwitch, host: PolicyHost): void => {
    site.hosts.delete(hostKey(host));
    change(site, flowsOfHost(host, sw, site.numbers), []);
  };
  /** Some flows take the place of some others. */
  const change = (
    site: Site,
    from: ReturnType<typeof flowsOfHost>,
    to: ReturnType<typeof flowsOfHost>,
  ): void => {
    const before = difference(new Map(), from).then;
    const { messages, then } = difference(before, to);
    for (const key of before.keys()) site.has.delete(key);
    for (const [key, flow] of then) site.has.set(key, flow);
    send(site, messages);
  };

  const reload = (): void => {
    let next: Policy;
    try {
      next = readPolicy(file);
    } catch (error) {
      counters.refused++;
      throw error;
    }
    current = next;
    counters.reads++;
    const { added, removed } = counters;
    for (const site of sites.values()) settle(site);
    log.info(
      `${file}: taken up: ${counters.added - added} flows added, ${counters.removed - removed} removed`,
    );
  };

  let watcher: FSWatcher | undefined;
  let settleTimer: Timer | undefined;
  const reloadQuietly = (): void => {
    try {
      reload();
    } catch (error) {
      log.err(`not taken up: ${(error as Error).message}`);
    }
  };
  if (options.watch !== false) {
    // The directory, since editors put a new file in the place of the old.
    watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
      if (name !== null && name !== basename(file)) return;
      settleTimer?.cancel();
      settleTimer = clock.setTimeout(reloadQuietly, SETTLE_MS);
    });
    watcher.on("error", (error) => log.warn(`cannot watch ${dirname(file)}: ${error.message}`));
  }

  return {
    name: "policy",
    counters,
    get policy() {
      return current;
    },
    events: {
      datapath_up: async (dp) => {
        const site: Site = { dp, hosts: new Map(), has: new Map(), numbers: new Map(), isKnown: false };
        sites.set(dp.dpid, site);
        await meet(site);
      },
      datapath_down: (dp) => void sites.delete(dp.dpid),
      datapath_release: (dp) => {
        const site = sites.get(dp.dpid);
        sites.delete(dp.dpid);
        return site ? [...site.has.values()].map(removal) : [];
      },
      port_status: (dp) => {
        const site = sites.get(dp.dpid);
        if (site) settle(site);
      },
      packet_in: onPacketIn,
      flow_removed: (dp, { cookie, reason, match }) => {
        const site = sites.get(dp.dpid);
        const sw = current.switches.get(dp.dpid);
        if (cookie !== POLICY_COOKIE || reason !== "OFPRR_IDLE_TIMEOUT") return;
        const silent = hostOf(match);
        const host = silent && site?.hosts.get(hostKey(silent));
        if (site && sw && host && host.port === silent.port) forget(site, sw, host);
      },
    },
    reload,
    stop: () => {
      settleTimer?.cancel();
      watcher?.close();
    },
  };
}

/** The address that a flow of the table of senders is for. */
function hostOf({ in_port, vlan_vid, eth_src }: MessageOf<"OFPT_FLOW_MOD">["match"]): PolicyHost | undefined {
  if (in_port === undefined || typeof vlan_vid !== "number" || typeof eth_src !== "string") return undefined;
  return { mac: eth_src, vid: vlan_vid & ~OFPVID.PRESENT, port: in_port };
}

/** By the names that the policy has: a port's name, or its number. */
function portNumbers({ ports }: PolicySwitch, dp: Switch): ReadonlyMap<string, number> {
  const byName = new Map([...dp.ports.values()].map(({ name, port_no }) => [name, port_no]));
  const numbers = new Map<string, number>();
  for (const { name } of ports) {
    const number = byName.get(name) ?? (/^\d+$/.test(name) ? Number(name) : undefined);
    if (number !== undefined && dp.ports.has(number)) numbers.set(name, number);
  }
  return numbers;
}

const isDown = (dp: Switch, port: number): boolean =>
  ((dp.ports.get(port)?.state ?? OFPPS.LINK_DOWN) & OFPPS.LINK_DOWN) !== 0;

export const policyApp = defineApp({
  name: "policy",
  summary: "VLANs, access lists and mirrors, as a JSON or YAML file declares them",
  settings: {
    type: "object",
    required: ["file"],
    properties: {
      file: { type: "string", description: "the file, JSON or YAML" },
      watch: { type: "boolean", default: true, description: "follow the file's changes" },
    },
  },
  create: (settings, { clock, log }) => policy({ ...settings, clock, log }),
});
