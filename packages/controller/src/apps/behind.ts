import { type MessageInitOf, OFPTT, type OfMessage, type OfMessageInit } from "@sluice/openflow-codec";
import type { App, AppEvents, Switch } from "../framework/app.js";

type InstructionInit = NonNullable<MessageInitOf<"OFPT_FLOW_MOD">["instructions"]>[number];

/** An app that lets packets through to the tables of those behind it, by a goto to its table 1. */
export interface Gate extends App {
  /** Told whether other apps stand behind. Without any, it forwards by itself what it lets through, if it can. */
  stand(hasNext: boolean): void;
}
const isGate = (app: App): app is Gate => "stand" in app;

/** Each app where it was put last: so an app that stays is the same app to the controller. */
const placed = new WeakMap<App, { tables: number; app: App }>();

function place(app: App, tables: number): App {
  if (tables === 0) return app;
  const before = placed.get(app);
  if (before?.tables === tables) return before.app;
  const shifted = behind(app, tables);
  placed.set(app, { tables, app: shifted });
  return shifted;
}

/** Gives each app, save the topology app, the tables behind those of the gates that stand before it: what is table 0 to
 *  the app is a later one to the switch. */
export function stack(apps: readonly App[]): App[] {
  let tables = 0;
  return apps.map((app, i) => {
    // Links are found through closed gates, too: what finds them stays in the first table.
    if ("topology" in app) return app;
    const shifted = place(app, tables);
    if (isGate(app)) {
      app.stand(i < apps.length - 1);
      tables++;
    }
    return shifted;
  });
}

/** The app with its flows `tables` tables further. What else the app is (routes, a topology) stays. */
export function behind<A extends App>(app: A, tables: number): A {
  const switches = new WeakMap<Switch, Switch>();
  const seen = (dp: Switch): Switch => {
    let shifted = switches.get(dp);
    if (shifted === undefined) {
      shifted = shiftedSwitch(dp, tables);
      switches.set(dp, shifted);
    }
    return shifted;
  };
  const shiftAll = (answer: unknown): unknown => {
    if (answer instanceof Promise) return answer.then(shiftAll);
    return Array.isArray(answer) ? answer.map((message) => shiftMessage(message, tables)) : answer;
  };
  const events = Object.fromEntries(
    Object.entries(app.events).map(([name, handle]) => [
      name,
      (dp: Switch, detail: never) =>
        shiftAll((handle as (dp: Switch, detail: never) => unknown)(seen(dp), detail)),
    ]),
  ) as Partial<AppEvents>;
  return Object.create(app, {
    events: { value: events, enumerable: true },
    stop: { value: app.stop && (() => app.stop?.()) },
    reload: { value: app.reload && (() => app.reload?.()) },
  }) as A;
}

/** As the switch, but its first table is a later one. */
const shiftedSwitch = (dp: Switch, tables: number): Switch =>
  Object.create(dp, {
    dpid: { get: () => dp.dpid },
    id: { get: () => dp.id },
    ports: { get: () => dp.ports },
    log: { get: () => dp.log },
    barrier: { value: () => dp.barrier() },
    send: { value: (message: OfMessageInit) => dp.send(shiftMessage(message, tables)) },
    request: { value: (message: OfMessageInit) => requestBehind(dp, message, tables) },
  }) as Switch;

async function requestBehind(dp: Switch, message: OfMessageInit, tables: number): Promise<unknown> {
  const reply: OfMessage | undefined = await dp.request(shiftMessage(message, tables));
  if (reply?.type !== "OFPT_MULTIPART_REPLY" || reply.body.type !== "OFPMP_FLOW") return reply;
  const entries = reply.body.entries
    .filter(({ table_id }) => table_id >= tables)
    .map(({ instructions, ...flow }) => ({
      ...flow,
      table_id: flow.table_id - tables,
      instructions: instructions.map((one) => shiftInstruction(one, -tables)),
    }));
  return { ...reply, body: { ...reply.body, entries } };
}

function shiftMessage(message: OfMessageInit, tables: number): OfMessageInit {
  if (message.type !== "OFPT_FLOW_MOD") return message;
  const { table_id = 0, instructions } = message;
  return {
    ...message,
    table_id: table_id === OFPTT.ALL ? table_id : table_id + tables,
    instructions: instructions?.map((one) => shiftInstruction(one, tables)),
  };
}

const shiftInstruction = <I extends InstructionInit>(one: I, tables: number): I =>
  one.type === "OFPIT_GOTO_TABLE" ? { ...one, table_id: one.table_id + tables } : one;
