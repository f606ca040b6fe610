import { encode, type MessageInitOf, OFPFMF, OFPP, OFPTT } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import type { OfClient } from "../support/conformance/client.js";
import { flowMod, groupMod, type Session } from "../support/conformance/session.js";

/** Flow monitors (ONF extension 187). */

type Body = Extract<MessageInitOf<"OFPT_MULTIPART_REQUEST">["body"], { type: "ONFMP_FLOW_MONITOR" }>;
type Monitor = NonNullable<Body["entries"]>[number];

const ALL = OFPFMF.INITIAL | OFPFMF.ADD | OFPFMF.DELETE | OFPFMF.MODIFY | OFPFMF.ACTIONS;

const request = (...monitors: readonly Partial<Monitor>[]): MessageInitOf<"OFPT_MULTIPART_REQUEST"> => ({
  type: "OFPT_MULTIPART_REQUEST",
  body: {
    type: "ONFMP_FLOW_MONITOR",
    entries: monitors.map((monitor) => ({
      id: 1,
      flags: ALL,
      out_port: OFPP.ANY,
      table_id: OFPTT.ALL,
      match: {},
      ...monitor,
    })),
  },
});

/** Another connection with a monitor. */
async function watcher(sw: Session, monitor: Partial<Monitor> = {}): Promise<OfClient> {
  const client = await sw.bench.connect(0);
  await client.exchange(request(monitor));
  return client;
}

/** What a connection was told since it was last asked: of each message its updates, as "ADDED 1>2" for a flow with
 *  in_port 1 that outputs to 2. */
async function told(client: OfClient): Promise<string[]> {
  await client.settle();
  return client.answers([0]).map((message) => {
    if (message.type !== "OFPT_MULTIPART_REPLY" || message.body.type !== "ONFMP_FLOW_MONITOR")
      return message.type;
    return message.body.entries
      .map((update) => {
        const what = String(update.type).replace("ONFFME_", "");
        if (!("instructions" in update)) return what;
        const [first] = update.instructions as readonly { actions?: readonly { port?: number }[] }[];
        const ports = (first?.actions ?? []).map(({ port }) => port ?? "").join("+");
        return `${what} ${(update.match as { in_port?: number }).in_port}>${ports}`;
      })
      .sort()
      .join(", ");
  });
}

const [two, three, four] = [2, 3, 4].map((port) => `in_port=${port},actions=output:1`) as [
  string,
  string,
  string,
];

const cases: Case[] = [
  {
    section: "EXT-187",
    name: "what one request changes is told in one message",
    run: async (sw) => {
      const client = await watcher(sw);
      await sw.flows(two, three);
      expect(await told(client)).toEqual(["ADDED 2>1", "ADDED 3>1"]);
      await sw.ok(flowMod("actions=output:4", "modify"));
      expect(await told(client)).toEqual(["MODIFIED 2>4, MODIFIED 3>4"]);
      await sw.ok(flowMod("", "delete"));
      expect(await told(client)).toEqual(["DELETED 2>4, DELETED 3>4"]);
    },
  },
  {
    section: "EXT-187",
    name: "a modification that changes nothing is not told of",
    run: async (sw) => {
      await sw.flows(two, "in_port=3,actions=output:4");
      const client = await watcher(sw, { flags: ALL & ~OFPFMF.INITIAL });
      await sw.ok(flowMod("actions=output:1", "modify"));
      expect(await told(client)).toEqual(["MODIFIED 3>1"]);
    },
  },
  {
    section: "EXT-187",
    name: "what a bundle changes is told in one message",
    run: async (sw) => {
      const client = await watcher(sw);
      const add = (text: string, xid: number) =>
        ({
          type: "ONFT_BUNDLE_ADD_MESSAGE",
          xid,
          bundle_id: 1,
          flags: 0,
          message: encode({ ...flowMod(text), xid }),
        }) as const;
      await sw.ok(add(two, 901), add(three, 902), {
        type: "ONFT_BUNDLE_CONTROL",
        bundle_id: 1,
        ctrl_type: "OFPBCT_COMMIT_REQUEST",
        flags: 0,
      });
      expect(await told(client)).toEqual(["ADDED 2>1, ADDED 3>1"]);
    },
  },
  {
    section: "EXT-187",
    name: "flows that go with their group are told of in one message",
    run: async (sw) => {
      await sw.ok(groupMod("group_id=1,type=all,bucket=actions=output:1"));
      await sw.flows("in_port=2,actions=group:1", "in_port=3,actions=group:1", four);
      const client = await watcher(sw, { flags: OFPFMF.DELETE });
      await sw.ok(groupMod("group_id=1", "delete"));
      expect(await told(client)).toEqual(["DELETED 2>, DELETED 3>"]);
    },
  },
  {
    section: "EXT-187",
    name: "one's own requests are told of by their xid, once each",
    run: async (sw) => {
      await sw.flows(two, three);
      const client = await watcher(sw, { flags: ALL & ~OFPFMF.INITIAL });
      const xid = client.send(flowMod("actions=output:4", "modify"));
      await client.settle();
      expect(client.answers([0])).toMatchObject([{ body: { entries: [{ type: "ONFFME_ABBREV", xid }] } }]);
    },
  },
  {
    section: "EXT-187",
    name: "a monitor of a port is told of a flow that takes the place of one which sent there",
    run: async (sw) => {
      await sw.flows("in_port=2,actions=output:3");
      const client = await watcher(sw, { out_port: 3, flags: ALL & ~OFPFMF.INITIAL });
      await sw.flows(two, four);
      expect(await told(client)).toEqual(["ADDED 2>1"]);
    },
  },
  {
    section: "EXT-187",
    name: "cancelled, it tells no more, and cannot be cancelled again",
    run: async (sw) => {
      const client = await watcher(sw);
      const cancel = { type: "ONFT_FLOW_MONITOR_CANCEL", id: 1 } as const;
      expect(await client.errorOf(cancel)).toBe(undefined);
      await sw.flows(two);
      expect(await told(client)).toEqual([]);
      // OFPMOFC_UNKNOWN_MONITOR, which Nicira has given a number.
      expect(await client.errorOf(cancel)).toMatchObject({
        error_type: "OFPET_EXPERIMENTER",
        error_code: 8,
      });
    },
  },
  ...(
    [
      ["a monitor that exists", [{}, {}], 6],
      ["unknown flags", [{ id: 1, flags: 0x100 | ALL }], 7],
      ["no kind of change to tell of", [{ id: 1, flags: OFPFMF.INITIAL }], 7],
    ] as const
  ).map(
    ([name, monitors, error_code]): Case => ({
      section: "EXT-187",
      name: `${name} is refused, and nothing of the request stays`,
      ovs: "answers with an error of no version",
      run: async (sw) => {
        expect(await sw.client.errorOf(request(...monitors))).toMatchObject({
          error_type: "OFPET_EXPERIMENTER",
          error_code,
        });
        await sw.flows(two);
        expect(await told(sw.client)).toEqual([]);
      },
    }),
  ),
];

conformance("EXT-187 flow monitors", cases);
