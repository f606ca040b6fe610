import {
  type ActionInit,
  type FlowStats,
  type InstructionInit,
  type MessageInitOf,
  OFPP,
} from "@sluice/openflow-codec";
import { defineApp } from "../../composition/definition.js";
import type { Switch } from "../../framework/app.js";
import { type Body, readInt, readName } from "../../rest/ofctl/read.js";
import { badField } from "../../rest/problem.js";
import type { RestApp } from "../../rest/route.js";
import type { Gate } from "../behind.js";
import { describeFrame } from "../rest/describe-frame.js";
import { readRuleMatch, showRuleMatch } from "../rest/rule-match.js";
import {
  idOf,
  listRules,
  onlyIf,
  RuleTable,
  type RuleWords,
  removeRules,
  requestAll,
} from "../rest/rule-table.js";
import { SwitchSet } from "../rest/switch-set.js";
import { firewallRoutes } from "./routes.js";

type FlowMod = MessageInitOf<"OFPT_FLOW_MOD">;

/** "FW" in ASCII. */
const TAG = 0x4657;
/** Everything stops above all, ARP passes next, then the rules, then what none of them allowed. As in Ryu, but one less:
 *  above them is only the flow by which the topology app gets LLDP. */
const STOPPED = 0xfffe;
const ARP = 0xfffd;
const [RULE_MIN, RULE_MAX] = [1, 0xfffc];
const REST = 0;
const ETH_ARP = 0x0806;
/** Bytes of a blocked packet that are told. */
const LOGGED_BYTES = 128;

const WORDS: RuleWords = {
  ...{ field: "rule_id", id: "ruleID", missing: "Rule is not exist.", deleted: "Rule deleted." },
};

const isRule = ({ priority }: FlowStats): boolean => priority >= RULE_MIN && priority <= RULE_MAX;
const apply = (...actions: ActionInit[]): InstructionInit[] => [{ type: "OFPIT_APPLY_ACTIONS", actions }];
const toController = apply({ type: "OFPAT_OUTPUT", port: OFPP.CONTROLLER, max_len: LOGGED_BYTES });

/** Lets pass what rules allow, and tells in the log what it blocks. What is allowed goes on to the tables of the apps
 *  behind; where there are none it is forwarded as by a learning switch. Its routes are those of Ryu's rest_firewall. A
 *  switch new to it lets nothing pass but ARP until it is enabled; one that has its flows keeps them. */
export function firewall(): RestApp & Gate {
  const switches = new SwitchSet<Firewall>("firewall sw");
  let hasNext = false;
  return {
    name: "firewall",
    routes: firewallRoutes(switches),
    stand: (isFollowed) => {
      if (isFollowed === hasNext) return;
      hasNext = isFollowed;
      switches.onAll("firewall", (dp, state) => state.begin(dp));
    },
    events: {
      datapath_up: (dp) => {
        const state = new Firewall(() => hasNext);
        switches.add(dp, state, "firewall", (dp) => state.begin(dp));
      },
      datapath_down: (dp) => switches.remove(dp.dpid),
      datapath_release: () => [new RuleTable(TAG).removal],
      packet_in: (dp, { cookie, match, data }) => {
        if (!switches.get(dp.dpid)?.rules.isOurs(cookie)) return undefined;
        dp.log.info(`firewall: switch ${dp.id} port ${match.in_port}: blocked ${describeFrame(data)}`);
        return [];
      },
    },
  };
}

export const firewallApp = defineApp({
  name: "firewall",
  summary: "lets pass what rules allow; rules by REST, as Ryu's rest_firewall",
  settings: { type: "object" },
  create: firewall,
});

/** The firewall of one switch. All that it knows stands in the switch's flows. */
export class Firewall {
  readonly rules = new RuleTable(TAG);
  readonly #hasNext: () => boolean;

  constructor(hasNext: () => boolean) {
    this.#hasNext = hasNext;
  }

  /** What is done with packets that may pass. */
  get #pass(): InstructionInit[] {
    return this.#hasNext()
      ? [{ type: "OFPIT_GOTO_TABLE", table_id: 1 }]
      : apply({ type: "OFPAT_OUTPUT", port: OFPP.NORMAL, max_len: 0 });
  }

  async begin(dp: Switch): Promise<void> {
    const flows = await this.rules.flows(dp);
    if (flows.length > 0) {
      await this.#redirect(dp, flows);
      return;
    }
    await requestAll(dp, [
      this.#flow(STOPPED, []),
      { ...this.#flow(ARP, this.#pass), match: { eth_type: ETH_ARP } },
      this.#flow(REST, toController),
    ]);
  }

  /** Flows of a time when the list of apps was another lead where they do now. */
  async #redirect(dp: Switch, flows: readonly FlowStats[]): Promise<void> {
    const leadsOn = ({ instructions }: FlowStats): boolean =>
      instructions.some(({ type }) => type === "OFPIT_GOTO_TABLE");
    const astray = flows.filter((flow) => this.#passes(flow) && leadsOn(flow) !== this.#hasNext());
    await requestAll(
      dp,
      astray.map(({ cookie, priority, match }) => ({
        ...this.#flow(priority, this.#pass),
        cookie,
        match,
      })),
    );
  }

  async status(dp: Switch): Promise<"enable" | "disable"> {
    const flows = await this.rules.flows(dp);
    return flows.some(({ priority }) => priority === STOPPED) ? "disable" : "enable";
  }

  async enable(dp: Switch): Promise<object> {
    await dp.request({ ...this.#flow(STOPPED, []), command: "OFPFC_DELETE_STRICT" });
    return { result: "success", details: "firewall running." };
  }

  async disable(dp: Switch): Promise<object> {
    await dp.request(this.#flow(STOPPED, []));
    return { result: "success", details: "firewall stopped." };
  }

  async logStatus(dp: Switch): Promise<"enable" | "disable"> {
    return isLogging(await this.rules.flows(dp)) ? "enable" : "disable";
  }

  /** Whether packets that are not allowed are told: of all flows that stop them. */
  async setLog(dp: Switch, isOn: boolean): Promise<object> {
    const flows = await this.rules.flows(dp);
    const stopping = flows.filter((flow) => flow.priority === REST || (isRule(flow) && !this.#passes(flow)));
    await requestAll(
      dp,
      stopping.map(({ cookie, priority, match, table_id }) => ({
        type: "OFPT_FLOW_MOD",
        command: "OFPFC_ADD",
        cookie,
        priority,
        match,
        table_id,
        instructions: isOn ? toController : [],
      })),
    );
    return { result: "success", details: isOn ? "Log collection started." : "Log collection stopped." };
  }

  async list(dp: Switch, vlan: number | "all"): Promise<object[]> {
    const rules = (await this.rules.flows(dp)).filter(isRule);
    return listRules(rules, vlan, "rules", (rule) => ({
      rule_id: idOf(rule),
      priority: rule.priority,
      ...showRuleMatch(rule.match),
      actions: this.#passes(rule) ? "ALLOW" : "DENY",
    }));
  }

  async add(dp: Switch, body: Body, vlan: number | "all"): Promise<object[]> {
    const { priority: given = RULE_MIN, actions = "ALLOW", ...match } = body;
    const priority = readInt(given, "priority", RULE_MAX);
    if (priority < RULE_MIN) throw badField("priority", `is ${priority}. Set [${RULE_MIN}-${RULE_MAX}]`);
    const isAllowed = readName(actions, "actions", { ALLOW: true, DENY: false });
    const flows = await this.rules.flows(dp);
    const instructions = isAllowed ? this.#pass : isLogging(flows) ? toController : [];
    const added: object[] = [];
    for (const group of this.rules.groups(vlan, flows.filter(isRule))) {
      const flow = { ...this.#flow(priority, instructions), match: readRuleMatch(match, "", group) };
      const id = this.rules.nextId(group, flows.filter(isRule));
      await dp.request({ ...flow, cookie: this.rules.cookieOf(group, id) });
      added.push({
        result: "success",
        details: `Rule added. : rule_id=${id}`,
        ...onlyIf(group, group),
      });
    }
    return added;
  }

  async remove(dp: Switch, body: Body, vlan: number | "all"): Promise<object> {
    return removeRules(dp, (await this.rules.flows(dp)).filter(isRule), body, vlan, WORDS);
  }

  #passes({ instructions }: FlowStats): boolean {
    return instructions.some(
      (one) =>
        one.type === "OFPIT_GOTO_TABLE" ||
        (one.type === "OFPIT_APPLY_ACTIONS" &&
          one.actions.some((action) => action.type === "OFPAT_OUTPUT" && action.port === OFPP.NORMAL)),
    );
  }

  #flow(priority: number, instructions: InstructionInit[]): FlowMod {
    return {
      type: "OFPT_FLOW_MOD",
      command: "OFPFC_ADD",
      cookie: this.rules.cookie,
      priority,
      instructions,
    };
  }
}

const isLogging = (flows: readonly FlowStats[]): boolean =>
  flows.some(({ priority, instructions }) => priority === REST && instructions.length > 0);
