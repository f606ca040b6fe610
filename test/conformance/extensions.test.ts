import { decode, encode, type OfMessageInit } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import type { OfClient } from "../support/conformance/client.js";
import { flowMod, groupMod, meterMod, type Session } from "../support/conformance/session.js";

/** What OpenFlow 1.4 tells controllers, and extensions bring to 1.3. */

/** Makes a connection the master, by a generation that no case before it has had. */
async function becomeMaster(client: OfClient): Promise<bigint> {
  const ask = (role: "OFPCR_ROLE_NOCHANGE" | "OFPCR_ROLE_MASTER", generation_id: bigint) =>
    client.request({ type: "OFPT_ROLE_REQUEST", role, generation_id }, "OFPT_ROLE_REPLY");
  const { generation_id } = await ask("OFPCR_ROLE_NOCHANGE", 0n);
  const newer = BigInt.asUintN(64, generation_id + 1n);
  await ask("OFPCR_ROLE_MASTER", newer);
  return newer;
}

const roleStatus: Case[] = (
  [
    ["that has asked for nothing", 0],
    ["that has set miss_send_len", 128],
  ] as const
).map(
  ([who, miss_send_len]): Case => ({
    section: "EXT-191",
    name: `a master ${who} is told when it is one no longer`,
    run: async (sw) => {
      const first = await sw.bench.connect(miss_send_len);
      await becomeMaster(first);
      const generation_id = await becomeMaster(sw.client);
      expect(await first.unasked()).toMatchObject([
        {
          type: "ONFT_ROLE_STATUS",
          role: "OFPCR_ROLE_SLAVE",
          reason: "OFPCRR_MASTER_REQUEST",
          generation_id,
        },
      ]);
      expect(await sw.client.unasked()).toEqual([]);
    },
  }),
);

const wantsRequests: OfMessageInit = {
  type: "NXT_SET_ASYNC_CONFIG2",
  properties: [{ type: "OFPACPT_REQUESTFORWARD_MASTER", mask: 3 }],
};
const group = groupMod("group_id=1,type=all,bucket=actions=output:2");

/** The requests that were forwarded. */
const forwarded = async (client: OfClient): Promise<unknown[]> =>
  (await client.unasked()).map((message) =>
    message.type === "ONFT_REQUESTFORWARD" ? decode(message.request) : message.type,
  );

async function inBundle(sw: Session, message: OfMessageInit): Promise<void> {
  const control = { type: "ONFT_BUNDLE_CONTROL", bundle_id: 1, flags: 0 } as const;
  const inner = encode({ ...message, xid: 900 });
  await sw.ok(
    { ...control, ctrl_type: "OFPBCT_OPEN_REQUEST" },
    { type: "ONFT_BUNDLE_ADD_MESSAGE", xid: 900, bundle_id: 1, flags: 0, message: inner },
    { ...control, ctrl_type: "OFPBCT_COMMIT_REQUEST" },
  );
}

const requestForward: Case[] = [
  {
    section: "EXT-235",
    name: "group_mods and meter_mods of others are forwarded to a controller that asks for them, also by BRIDGE.mgmt",
    run: async (sw) => {
      const other = await sw.bench.connect(0);
      await other.exchange(wantsRequests);
      await sw.ok(group, groupMod("group_id=1", "delete"));
      await sw.ok(meterMod("meter=1,kbps,band=type=drop,rate=100"), meterMod("meter=1", "delete"));
      expect(await forwarded(other)).toMatchObject([
        { type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_id: 1 },
        { type: "OFPT_GROUP_MOD", command: "OFPGC_DELETE", group_id: 1 },
        { type: "OFPT_METER_MOD", command: "OFPMC_ADD", meter_id: 1 },
        { type: "OFPT_METER_MOD", command: "OFPMC_DELETE", meter_id: 1 },
      ]);
      expect(await sw.client.unasked()).toEqual([]);
    },
  },
  {
    section: "EXT-235",
    name: "those that are refused, and one's own, are not forwarded",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await other.exchange(wantsRequests, group);
      expect(await sw.verdict(group)).toBe("OFPGMFC_GROUP_EXISTS");
      expect(await forwarded(other)).toEqual([]);
    },
  },
  {
    section: "EXT-235",
    name: "those of a bundle are forwarded when it is committed",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await other.exchange(wantsRequests);
      await inBundle(sw, group);
      expect(await forwarded(other)).toMatchObject([{ type: "OFPT_GROUP_MOD", xid: 900, group_id: 1 }]);
    },
  },
];

const asking: Case[] = [
  {
    section: "OVS",
    name: "a connection to BRIDGE.mgmt that says which messages it wants gets them",
    run: async (sw) => {
      const other = await sw.bench.connect(0);
      await other.exchange({
        type: "OFPT_SET_ASYNC",
        packet_in_mask: [0, 0],
        port_status_mask: [0, 0],
        flow_removed_mask: [0xf, 0],
      });
      await sw.ok(flowMod("send_flow_rem,actions=drop"), flowMod("", "delete"));
      expect(await other.unasked(1)).toMatchObject([{ type: "OFPT_FLOW_REMOVED" }]);
    },
  },
  {
    section: "§7.3.10",
    name: "what a controller gets that has not asked",
    run: async (sw) =>
      expect(
        await sw.client.request({ type: "OFPT_GET_ASYNC_REQUEST" }, "OFPT_GET_ASYNC_REPLY"),
      ).toMatchObject({ packet_in_mask: [3, 0], port_status_mask: [7, 7], flow_removed_mask: [15, 0] }),
  },
  {
    section: "§7.3.10",
    name: "reasons that there are not are forgotten",
    run: async (sw) => {
      const all = [0xffff_ffff, 0xff] as const;
      await sw.ok({
        type: "OFPT_SET_ASYNC",
        packet_in_mask: all,
        port_status_mask: all,
        flow_removed_mask: all,
      });
      expect(
        await sw.client.request({ type: "OFPT_GET_ASYNC_REQUEST" }, "OFPT_GET_ASYNC_REPLY"),
      ).toMatchObject({ packet_in_mask: [7, 7], port_status_mask: [7, 7], flow_removed_mask: [63, 63] });
    },
  },
];

conformance("Extensions: what controllers are told", [...roleStatus, ...requestForward, ...asking]);
