import { OFPTT, type OfMessageInit } from "@sluice/openflow-codec";
import { expect, test } from "vitest";
import type { App, Switch } from "../framework/app.js";
import { stack } from "./behind.js";

type Flow = Extract<OfMessageInit, { type: "OFPT_FLOW_MOD" }>;
const flow = (table_id?: number, goto?: number): Flow => ({
  ...{ type: "OFPT_FLOW_MOD", command: "OFPFC_ADD" },
  ...(table_id !== undefined && { table_id }),
  ...(goto !== undefined && { instructions: [{ type: "OFPIT_GOTO_TABLE", table_id: goto }] }),
});

/** A gate that says which tables it was told of. */
const gate = (name: string): App & { stand(hasNext: boolean): void; hasNext?: boolean } => ({
  name,
  stand(hasNext) {
    this.hasNext = hasNext;
  },
  events: { datapath_up: () => [flow(0, 1)] },
});

class Recorder {
  readonly dpid = 1n;
  readonly sent: OfMessageInit[] = [];
  send(message: OfMessageInit): boolean {
    this.sent.push(message);
    return true;
  }
  async request(message: OfMessageInit): Promise<unknown> {
    this.sent.push(message);
    const entries = [0, 1, 2].map((table_id) => ({ ...flow(table_id, table_id + 1), type: undefined }));
    const body = { type: "OFPMP_FLOW", entries };
    return message.type === "OFPT_MULTIPART_REQUEST" ? { type: "OFPT_MULTIPART_REPLY", body } : undefined;
  }
}

test("the flows of an app are behind those of the gates before it, in what it answers, sends and asks", async () => {
  const seen: unknown[] = [];
  const app: App = {
    name: "forwards",
    events: {
      datapath_up: async (dp) => {
        dp.send(flow(OFPTT.ALL));
        const body = { type: "OFPMP_FLOW" } as never;
        seen.push(await dp.request({ type: "OFPT_MULTIPART_REQUEST", body }));
        return [flow(), flow(3, 4)];
      },
    },
  };
  const [first, second] = [gate("first"), gate("second")];
  const [a, b, c] = stack([first, second, app]);
  const dp = new Recorder();
  expect(await a!.events.datapath_up!(dp as unknown as Switch)).toEqual([flow(0, 1)]);
  expect(await b!.events.datapath_up!(dp as unknown as Switch)).toEqual([flow(1, 2)]);
  expect(await c!.events.datapath_up!(dp as unknown as Switch)).toEqual([
    { ...flow(2), instructions: undefined },
    flow(5, 6),
  ]);
  expect(dp.sent[0]).toMatchObject({ table_id: OFPTT.ALL });
  const asItsOwn = { table_id: 0, instructions: flow(0, 1).instructions };
  expect(seen).toMatchObject([{ body: { entries: [asItsOwn] } }]);
  expect([first.hasNext, second.hasNext]).toEqual([true, true]);
});

test("the topology app stays in the first table, wherever it is listed", () => {
  const topology = { name: "topology", events: {}, topology: {} } satisfies App & { topology: object };
  expect(stack([gate("first"), topology, { name: "a", events: {} }])[1]).toBe(topology);
});

test("an app that stays where it was is the same to the controller; a gate alone has nobody behind it", () => {
  const [first, app] = [gate("first"), { name: "a", events: {} } satisfies App];
  const before = stack([first, app]);
  expect(stack([first, app])).toEqual(before);
  expect(stack([first, app])[1]).toBe(before[1]);
  expect(stack([app])[0]).toBe(app);
  stack([first]);
  expect(first.hasNext).toBe(false);
});
