import type { FlowStats, InstructionInit, MessageInitOf } from "@sluice/openflow-codec";
import { OFPM, OFPP, OFPQ_ALL } from "@sluice/openflow-codec";
import { defineApp } from "../../composition/definition.js";
import type { Switch } from "../../framework/app.js";
import { readMeterMod } from "../../rest/ofctl/entries.js";
import { multipart } from "../../rest/ofctl/multipart.js";
import { METER, QUEUE } from "../../rest/ofctl/names.js";
import { type Body, isBody, readInt, readReserved } from "../../rest/ofctl/read.js";
import { showMeterStats } from "../../rest/ofctl/show.js";
import { badField } from "../../rest/problem.js";
import type { RestApp } from "../../rest/route.js";
import type { Gate } from "../behind.js";
import { readRuleMatch, showRuleMatch } from "../rest/rule-match.js";
import { idOf, listRules, onlyIf, RuleTable, type RuleWords, removeRules } from "../rest/rule-table.js";
import { SwitchSet } from "../rest/switch-set.js";
import { confRoutes } from "./conf-routes.js";
import { ConfStore } from "./conf-store.js";
import type { OpenQueues } from "./queues.js";
import { Queues } from "./queues.js";
import { qosRoutes } from "./routes.js";

export interface QosApp extends RestApp, Gate {
  /** Has the databases of switches reached in this way. Without one queues cannot be set. */
  useQueues(open: OpenQueues): void;
}

/** "Qo" in ASCII. */
const TAG = 0x516f;
const [RULE_MIN, RULE_MAX] = [1, 0xfffe];
const DEFAULT = 0;

const WORDS: RuleWords = {
  ...{ field: "qos_id", id: "QoS ID", missing: "QoS rule is not exist.", deleted: " deleted." },
};

const isRule = ({ priority }: FlowStats): boolean => priority !== DEFAULT;

/** Marks, meters and queues packets by rules, and leaves it to the apps behind where they go. Its routes are those of Ryu's
 *  rest_qos and rest_conf_switch. */
export function qos(): QosApp {
  const switches = new SwitchSet<Qos>("qos sw");
  const conf = new ConfStore();
  const queues = new Queues(conf);
  return {
    name: "qos",
    routes: [...qosRoutes(switches, queues), ...confRoutes(conf, queues)],
    // Where packets go is never its to say.
    stand: () => {},
    useQueues: (open) => queues.use(open),
    events: {
      datapath_up: (dp) => {
        const state = new Qos();
        switches.add(dp, state, "qos", (dp) => state.begin(dp));
      },
      datapath_down: (dp) => switches.remove(dp.dpid),
      datapath_release: () => [new RuleTable(TAG).removal],
    },
  };
}

export const qosApp = defineApp({
  name: "qos",
  summary: "marks, meters, queues by rules; REST as Ryu's rest_qos; to stand before an app that forwards",
  settings: { type: "object" },
  create: qos,
});

type Action = Readonly<Record<string, unknown>>;

/** What a rule does, as `actions` of a body say it; queue 0 where they are not given. Throws a Problem. */
function readInstructions(given: unknown): InstructionInit[] {
  const instructions: InstructionInit[] = [{ type: "OFPIT_GOTO_TABLE", table_id: 1 }];
  const actions: NonNullable<Extract<InstructionInit, { type: "OFPIT_APPLY_ACTIONS" }>["actions"]>[number][] =
    [];
  const { mark, meter, queue, ...others }: Action =
    given === undefined ? { queue: 0 } : isBody(given) ? given : {};
  if (given !== undefined && !isBody(given)) throw badField("actions", "is not an object");
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw badField(`actions.${unknown}`, "is not an action; there are mark, meter, queue");
  if (mark !== undefined)
    actions.push({ type: "OFPAT_SET_FIELD", field: { ip_dscp: readInt(mark, "actions.mark", 63) } });
  if (queue !== undefined)
    actions.push({ type: "OFPAT_SET_QUEUE", queue_id: readReserved(queue, "actions.queue", QUEUE) });
  if (meter !== undefined)
    instructions.push({ type: "OFPIT_METER", meter_id: readReserved(meter, "actions.meter", METER) });
  if (actions.length > 0) instructions.push({ type: "OFPIT_APPLY_ACTIONS", actions });
  return instructions;
}

/** A rule's actions as Ryu's clients read them: one object each, values as text. */
function showActions({ instructions }: FlowStats): object[] {
  return instructions.flatMap((one): object[] => {
    if (one.type === "OFPIT_METER") return [{ meter: String(one.meter_id) }];
    if (one.type !== "OFPIT_APPLY_ACTIONS") return [];
    return one.actions.flatMap((action): object[] => {
      if (action.type === "OFPAT_SET_QUEUE") return [{ queue: String(action.queue_id) }];
      if (action.type !== "OFPAT_SET_FIELD") return [];
      const { ip_dscp } = action.field;
      return ip_dscp === undefined ? [] : [{ mark: String(ip_dscp) }];
    });
  });
}

/** The rules and meters of one switch. All that it knows stands in the switch. */
export class Qos {
  readonly rules = new RuleTable(TAG);

  async begin(dp: Switch): Promise<void> {
    await dp.request(this.#flow(DEFAULT, [{ type: "OFPIT_GOTO_TABLE", table_id: 1 }]));
  }

  async list(dp: Switch, vlan: number | "all"): Promise<object[]> {
    const rules = (await this.rules.flows(dp)).filter(isRule);
    return listRules(rules, vlan, "qos", (rule) => ({
      qos_id: idOf(rule),
      priority: rule.priority,
      ...showRuleMatch(rule.match),
      actions: showActions(rule),
    }));
  }

  async add(dp: Switch, body: Body, vlan: number | "all"): Promise<object[]> {
    const priority = readInt(body.priority ?? RULE_MIN, "priority", RULE_MAX);
    if (priority < RULE_MIN) throw badField("priority", `is ${priority}. Set [${RULE_MIN}-${RULE_MAX}]`);
    const instructions = readInstructions(body.actions);
    const rules = (await this.rules.flows(dp)).filter(isRule);
    const added: object[] = [];
    for (const group of this.rules.groups(vlan, rules)) {
      const match = readRuleMatch(body.match, "match", group);
      const id = this.rules.nextId(group, rules);
      await dp.request({
        ...this.#flow(priority, instructions),
        match,
        cookie: this.rules.cookieOf(group, id),
      });
      added.push({ result: "success", details: `QoS added. : qos_id=${id}`, ...onlyIf(group, group) });
    }
    return added;
  }

  async remove(dp: Switch, body: Body, vlan: number | "all"): Promise<object> {
    return removeRules(dp, (await this.rules.flows(dp)).filter(isRule), body, vlan, WORDS);
  }

  async queueStatus(dp: Switch): Promise<object> {
    const all = { port_no: OFPP.ANY, queue_id: OFPQ_ALL };
    return { [String(dp.dpid)]: (await multipart(dp, { type: "OFPMP_QUEUE", ...all })).entries };
  }

  async meters(dp: Switch): Promise<object> {
    const { entries } = await multipart(dp, { type: "OFPMP_METER", meter_id: OFPM.ALL });
    return { [String(dp.dpid)]: entries.map(showMeterStats) };
  }

  async addMeter(dp: Switch, body: Body): Promise<object[]> {
    await dp.request(readMeterMod("OFPMC_ADD")(body));
    return [{ result: "success", details: `Meter added. : Meter ID=${body.meter_id}` }];
  }

  async removeMeter(dp: Switch, body: Body): Promise<object> {
    await dp.request(readMeterMod("OFPMC_DELETE")({ meter_id: body.meter_id }));
    return { result: "success", details: `Meter deleted. : Meter ID=${body.meter_id}` };
  }

  #flow(priority: number, instructions: InstructionInit[]): MessageInitOf<"OFPT_FLOW_MOD"> {
    return { type: "OFPT_FLOW_MOD", command: "OFPFC_ADD", cookie: this.rules.cookie, priority, instructions };
  }
}
