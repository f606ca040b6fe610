import { OFPC_FRAG } from "@sluice/openflow-codec";
import { fromHex, toHex } from "@sluice/wire";
import { expect } from "vitest";
import { type Case, conformance, readable } from "../support/conformance/case.js";
import { OfClient } from "../support/conformance/client.js";
import * as f from "../support/conformance/frames.js";
import { hex, rawMessage } from "../support/conformance/raw.js";
import { flowMod, groupMod, meterMod, type Session } from "../support/conformance/session.js";

type RoleName = "OFPCR_ROLE_NOCHANGE" | "OFPCR_ROLE_EQUAL" | "OFPCR_ROLE_MASTER" | "OFPCR_ROLE_SLAVE";

const ask = (client: OfClient, role: RoleName, generation_id = 0n) =>
  client.request({ type: "OFPT_ROLE_REQUEST", role, generation_id }, "OFPT_ROLE_REPLY");

/** The switch keeps the newest generation_id: what comes next is newer than what other cases gave. */
async function newer(sw: Session): Promise<bigint> {
  const { generation_id } = await ask(sw.client, "OFPCR_ROLE_NOCHANGE");
  return BigInt.asUintN(64, generation_id + 1n);
}

/** An echo request. */
const hexOf = (xid: number): string => toHex(rawMessage(2, "aabb", 4, xid));

const handshake: Case[] = [
  ...(
    [
      ["of a version that the switch does not speak", rawMessage(0, "", 1)],
      ["whose bitmap has no common version", rawMessage(0, `${hex(1, 2)}${hex(8, 2)}${hex(1 << 9, 4)}`, 6)],
    ] as const
  ).map(
    ([name, hello]): Case => ({
      section: "§6.3.1",
      name: `a HELLO ${name} is answered with OFPHFC_INCOMPATIBLE, and the connection ends`,
      run: async (sw) => {
        const client = await OfClient.open(sw.bench.target);
        client.write(hello);
        expect((await client.ended()).filter(({ type }) => type === "OFPT_ERROR")).toMatchObject([
          { error_type: "OFPET_HELLO_FAILED", error_code: "OFPHFC_INCOMPATIBLE" },
        ]);
      },
    }),
  ),
  {
    section: "§6.3.1",
    name: "a HELLO of a newer version without a bitmap leads to 1.3",
    run: async (sw) => {
      const client = await OfClient.open(sw.bench.target);
      client.write(rawMessage(0, "", 6));
      await client.settle();
      client.close();
    },
  },
  {
    section: "§7.5.2",
    name: "an echo is answered with its data",
    run: async (sw) => {
      for (const size of [0, 1, 1000]) {
        const data = new Uint8Array(size).fill(0xa5);
        const reply = await sw.client.request({ type: "OFPT_ECHO_REQUEST", data }, "OFPT_ECHO_REPLY");
        expect(reply.data).toEqual(data);
      }
    },
  },
  {
    section: "§7.3.1",
    name: "features tell the datapath_id, the number of tables, and no auxiliary connection",
    run: async (sw) => {
      const reply = await sw.client.request({ type: "OFPT_FEATURES_REQUEST" }, "OFPT_FEATURES_REPLY");
      expect(reply).toMatchObject({ datapath_id: 0x1234n, n_tables: 254, auxiliary_id: 0 });
      // FLOW_STATS, TABLE_STATS, PORT_STATS, GROUP_STATS.
      expect(reply.capabilities & 0xf).toBe(0xf);
    },
  },
  {
    section: "§7.3.8",
    name: "a barrier is answered behind the answers to what was asked before it",
    run: async (sw) => {
      for (const xid of [11, 12, 13])
        sw.client.send({ type: "OFPT_MULTIPART_REQUEST", xid, body: { type: "OFPMP_FLOW" } });
      await sw.client.settle();
      expect(sw.client.answers([11, 12, 13]).map(({ xid }) => xid)).toEqual([11, 12, 13]);
    },
  },
  {
    section: "§7.1",
    name: "messages that come in one piece, or byte by byte, are answered one by one",
    run: async (sw) => {
      sw.client.write(fromHex(hexOf(21) + hexOf(22)));
      for (const byte of fromHex(hexOf(23))) sw.client.write(Uint8Array.of(byte));
      await sw.client.settle();
      expect(sw.client.answers([21, 22, 23]).map(({ type }) => type)).toEqual(
        Array(3).fill("OFPT_ECHO_REPLY"),
      );
    },
  },
];

const configuration: Case[] = [
  {
    section: "§7.3.2",
    name: "what set_config sets get_config tells",
    run: async (sw) => {
      await sw.ok({ type: "OFPT_SET_CONFIG", flags: OFPC_FRAG.DROP, miss_send_len: 77 });
      const reply = await sw.client.request({ type: "OFPT_GET_CONFIG_REQUEST" }, "OFPT_GET_CONFIG_REPLY");
      expect(reply).toMatchObject({ flags: OFPC_FRAG.DROP, miss_send_len: 77 });
    },
  },
  {
    section: "§7.3.2",
    name: "miss_send_len belongs to the connection",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await sw.ok({ type: "OFPT_SET_CONFIG", flags: 0, miss_send_len: 77 });
      expect(
        (await other.request({ type: "OFPT_GET_CONFIG_REQUEST" }, "OFPT_GET_CONFIG_REPLY")).miss_send_len,
      ).toBe(0xffff);
    },
  },
];

const first = (data: Uint8Array = new Uint8Array(fromHex(`03e807d00031${"00".repeat(34)}`))) =>
  f.raw4(17, data, { ip: { flags: 1 } });
const later = () => f.raw4(17, f.DATA.slice(0, 40), { ip: { frag_offset: 5 } });
const fragment6 = (offset: number) =>
  f.udp6({
    ip: { extensions: [{ type: 44, data: fromHex(`00${hex((offset << 3) | 1, 2)}00000001`) }] },
  });

/** §7.3.2: fragments by the configured mode. */
const fragments: Case[] = [
  {
    section: "§7.3.2",
    name: "normal: a first fragment is matched with its transport header",
    flows: ["priority=2,udp,udp_dst=2000,actions=output:2", "priority=1,udp,actions=output:3"],
    in: [1, first()],
    out: { 2: first() },
    ovs: "takes the ports of every fragment for 0, of a first one too",
  },
  {
    section: "§7.3.2",
    name: "normal: a later fragment has no transport header to match, but its protocol",
    flows: ["priority=2,udp,udp_dst=2000,actions=output:2", "priority=1,udp,actions=output:3"],
    in: [1, later()],
    out: { 3: later() },
  },
  ...(
    [
      ["a whole packet passes", f.udp4(), [2]],
      ["a first fragment is dropped", first(), []],
      ["a later fragment is dropped", later(), []],
      ["a whole IPv6 packet passes", f.udp6(), [2]],
      ["a first IPv6 fragment is dropped", fragment6(0), []],
      ["a later IPv6 fragment is dropped", fragment6(5), []],
    ] as const
  ).map(
    ([name, frame, ports]): Case => ({
      section: "§7.3.2",
      name: `drop: ${name}`,
      run: async (sw) => {
        await sw.ok({ type: "OFPT_SET_CONFIG", flags: OFPC_FRAG.DROP, miss_send_len: 0xffff });
        await sw.flows("actions=output:2");
        expect(await sw.ports(1, frame)).toEqual(ports);
      },
    }),
  ),
];

const REASSEMBLE = { type: "OFPT_SET_CONFIG", flags: OFPC_FRAG.REASM, miss_send_len: 0xffff } as const;
const DATA = Uint8Array.from({ length: 100 }, (_, i) => i);
const whole4 = f.udp4({ dst_port: 2000 }, DATA);
const whole6 = f.udp6({ dst_port: 2000 }, DATA);

/** The IPv4 frame's payload from `from` to `to`, as a fragment. */
function piece4(from: number, to: number): Uint8Array {
  const payload = whole4.subarray(34);
  const flags = to < payload.length ? 1 : 0;
  return f.raw4(17, payload.slice(from, to), { ip: { flags, frag_offset: from / 8 } });
}

function piece6(from: number, to: number): Uint8Array {
  const payload = whole6.slice(54);
  const more = to < payload.length ? 1 : 0;
  const header = fromHex(`11 00 ${hex(from | more, 2)} 00000007`.replaceAll(" ", ""));
  const frame = Uint8Array.from([...whole6.subarray(0, 54), ...header, ...payload.subarray(from, to)]);
  const view = new DataView(frame.buffer);
  view.setUint16(18, 8 + to - from);
  frame[20] = 44;
  return frame;
}

/** §7.3.2, OFPC_FRAG_REASM: a datagram goes through the tables whole. */
const reassembly: Case[] = (
  [
    ["a datagram in order", [piece4(0, 48), piece4(48, 108)], whole4],
    ["one in three pieces, the last one first", [piece4(96, 108), piece4(0, 48), piece4(48, 96)], whole4],
    ["an IPv6 datagram", [piece6(56, 108), piece6(0, 56)], whole6],
    ["a whole packet", [whole4], whole4],
    ["an incomplete one does not pass", [piece4(0, 48), piece4(96, 108)], undefined],
    ["one whose pieces overlap does not pass", [piece4(0, 48), piece4(40, 96), piece4(96, 108)], undefined],
  ] as const
).map(
  ([name, pieces, out]): Case => ({
    section: "§7.3.2",
    name: `reassemble: ${name}`,
    ...(pieces.length === 1 ? {} : { ovs: "has no reassembly, and says nothing" }),
    run: async (sw) => {
      await sw.ok(REASSEMBLE);
      await sw.flows(
        "priority=2,udp,udp_dst=2000,actions=output:2",
        "priority=2,udp6,udp_dst=2000,actions=output:2",
        "priority=1,actions=output:3",
      );
      for (const piece of pieces.slice(0, -1)) expect(await sw.frame(1, piece)).toEqual({});
      expect(readable(await sw.frame(1, pieces.at(-1)!))).toEqual(readable(out ? { 2: [out] } : {}));
    },
  }),
);
const patience: Case = {
  section: "§7.3.2",
  name: "reassemble: what is not complete after 30 s never will be",
  ovs: "has no reassembly, and says nothing",
  run: async (sw) => {
    await sw.ok(REASSEMBLE);
    await sw.flows("actions=output:2");
    expect(await sw.frame(1, piece4(0, 48))).toEqual({});
    await sw.bench.advance(31_000);
    expect(await sw.frame(1, piece4(48, 108))).toEqual({});
  },
};

const roles: Case[] = [
  {
    section: "§6.3.4",
    name: "a connection begins as EQUAL",
    run: async (sw) => {
      expect((await ask(sw.client, "OFPCR_ROLE_NOCHANGE")).role).toBe("OFPCR_ROLE_EQUAL");
    },
  },
  {
    section: "§6.3.4",
    name: "a role is taken and told",
    run: async (sw) => {
      const generation_id = await newer(sw);
      for (const role of ["OFPCR_ROLE_MASTER", "OFPCR_ROLE_SLAVE", "OFPCR_ROLE_EQUAL"] as const) {
        expect((await ask(sw.client, role, generation_id)).role).toBe(role);
        expect((await ask(sw.client, "OFPCR_ROLE_NOCHANGE")).role).toBe(role);
      }
    },
  },
  {
    section: "§6.3.4",
    name: "there is one master: a new one makes the old one a slave",
    run: async (sw) => {
      const other = await sw.bench.connect();
      const generation_id = await newer(sw);
      await ask(sw.client, "OFPCR_ROLE_MASTER", generation_id);
      await ask(other, "OFPCR_ROLE_MASTER", generation_id);
      expect((await ask(sw.client, "OFPCR_ROLE_NOCHANGE")).role).toBe("OFPCR_ROLE_SLAVE");
      expect((await ask(other, "OFPCR_ROLE_NOCHANGE")).role).toBe("OFPCR_ROLE_MASTER");
    },
  },
  {
    section: "§6.3.4",
    name: "a new master leaves an equal as it is",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await ask(other, "OFPCR_ROLE_MASTER", await newer(sw));
      expect((await ask(sw.client, "OFPCR_ROLE_NOCHANGE")).role).toBe("OFPCR_ROLE_EQUAL");
    },
  },
  ...(["OFPCR_ROLE_MASTER", "OFPCR_ROLE_SLAVE"] as const).map(
    (role): Case => ({
      section: "§6.3.4",
      name: `${role} with an older generation_id is refused as stale, and nothing changes`,
      run: async (sw) => {
        const generation_id = await newer(sw);
        await ask(sw.client, "OFPCR_ROLE_SLAVE", generation_id + 5n);
        await ask(sw.client, "OFPCR_ROLE_EQUAL");
        expect(await sw.verdict({ type: "OFPT_ROLE_REQUEST", role, generation_id })).toBe("OFPRRFC_STALE");
        expect((await ask(sw.client, "OFPCR_ROLE_NOCHANGE")).role).toBe("OFPCR_ROLE_EQUAL");
      },
    }),
  ),
  {
    section: "§6.3.4",
    name: "the generation_id may wrap around",
    run: async (sw) => {
      let generation_id = await newer(sw);
      // Three steps of a third of the circle: each is newer than the one before.
      for (let step = 0; step < 3; step++) {
        generation_id = BigInt.asUintN(64, generation_id + 0x5555_5555_5555_5555n);
        expect((await ask(sw.client, "OFPCR_ROLE_MASTER", generation_id)).role).toBe("OFPCR_ROLE_MASTER");
      }
    },
  },
  {
    section: "§6.3.4",
    name: "EQUAL asks for no generation_id",
    run: async (sw) => {
      await ask(sw.client, "OFPCR_ROLE_MASTER", (await newer(sw)) + 9n);
      expect((await ask(sw.client, "OFPCR_ROLE_EQUAL", 0n)).role).toBe("OFPCR_ROLE_EQUAL");
    },
  },
  ...(
    [
      ["flow_mod", () => flowMod("actions=output:2")],
      ["group_mod", () => groupMod("group_id=1,type=all")],
      ["meter_mod", () => meterMod("meter=1,pktps,bands=type=drop,rate=10")],
      ["table_mod", () => ({ type: "OFPT_TABLE_MOD", table_id: 0, config: 0 }) as const],
      [
        "port_mod",
        () =>
          ({
            type: "OFPT_PORT_MOD",
            port_no: 1,
            hw_addr: "00:00:00:00:00:00",
            config: 0,
            mask: 0,
            advertise: 0,
          }) as const,
      ],
      [
        "packet_out",
        () =>
          ({
            type: "OFPT_PACKET_OUT",
            in_port: 1,
            actions: [{ type: "OFPAT_OUTPUT", port: 2 }],
            data: f.udp4(),
          }) as const,
      ],
    ] as const
  ).map(
    ([name, message]): Case => ({
      section: "§6.3.4",
      name: `a slave's ${name} is refused with OFPBRC_IS_SLAVE`,
      run: async (sw) => {
        await ask(sw.client, "OFPCR_ROLE_SLAVE", await newer(sw));
        expect(await sw.verdict(message())).toBe("OFPBRC_IS_SLAVE");
      },
    }),
  ),
  {
    section: "§6.3.4",
    name: "a slave may ask for statistics",
    run: async (sw) => {
      await sw.flows("cookie=1,actions=output:2");
      await ask(sw.client, "OFPCR_ROLE_SLAVE", await newer(sw));
      expect((await sw.multipart({ type: "OFPMP_FLOW" })).entries).toMatchObject([{ cookie: 1n }]);
    },
  },
];

const DEAF = { packet_in_mask: [0, 0], port_status_mask: [0, 0], flow_removed_mask: [0, 0] } as const;
const asynchronous: Case[] = [
  {
    section: "§7.3.10",
    name: "what set_async sets get_async tells",
    run: async (sw) => {
      const masks = { packet_in_mask: [3, 1], port_status_mask: [5, 2], flow_removed_mask: [9, 4] };
      await sw.ok({ type: "OFPT_SET_ASYNC", ...masks });
      expect(
        await sw.client.request({ type: "OFPT_GET_ASYNC_REQUEST" }, "OFPT_GET_ASYNC_REPLY"),
      ).toMatchObject(masks);
    },
  },
  {
    section: "§6.3.4",
    name: "a slave gets port status and no packet-ins and flow-removed at first",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await ask(sw.client, "OFPCR_ROLE_SLAVE", await newer(sw));
      await other.exchange(flowMod("send_flow_rem,udp,actions=controller"));
      await sw.frame(1, f.udp4());
      await other.exchange(flowMod("", "delete"));
      expect((await other.unasked(2)).map(({ type }) => type).sort()).toEqual([
        "OFPT_FLOW_REMOVED",
        "OFPT_PACKET_IN",
      ]);
      expect(await sw.client.unasked()).toEqual([]);
      await sw.bench.carrier(2, false);
      expect(await sw.unasked("OFPT_PORT_STATUS")).not.toEqual([]);
    },
  },
  {
    section: "§7.3.10",
    name: "reasons that are masked out are not told",
    run: async (sw) => {
      await sw.ok({ type: "OFPT_SET_ASYNC", ...DEAF });
      await sw.flows("send_flow_rem,udp,actions=controller");
      await sw.frame(1, f.udp4());
      await sw.ok(flowMod("", "delete"));
      await sw.bench.carrier(2, false);
      expect(await sw.client.unasked()).toEqual([]);
    },
  },
  {
    section: "§7.3.10",
    name: "packet-ins of one reason only",
    run: async (sw) => {
      // OFPR_NO_MATCH is bit 0.
      await sw.ok({ type: "OFPT_SET_ASYNC", ...DEAF, packet_in_mask: [1, 0] });
      await sw.flows("priority=5,udp,actions=controller", "priority=0,actions=controller");
      await sw.frame(1, f.udp4());
      await sw.frame(1, f.tcp4());
      expect(await sw.unasked("OFPT_PACKET_IN", 1)).toMatchObject([
        { reason: "OFPR_NO_MATCH", data: f.tcp4() },
      ]);
    },
  },
  {
    section: "§7.3.10",
    name: "flow-removed of one reason only",
    run: async (sw) => {
      // OFPRR_HARD_TIMEOUT is bit 1.
      await sw.ok({ type: "OFPT_SET_ASYNC", ...DEAF, flow_removed_mask: [2, 0] });
      await sw.flows(
        "cookie=1,send_flow_rem,hard_timeout=1,udp,actions=drop",
        "cookie=2,send_flow_rem,tcp,actions=drop",
      );
      await sw.ok(flowMod("tcp", "delete"));
      await sw.bench.advance(3000);
      expect(await sw.unasked("OFPT_FLOW_REMOVED", 1)).toMatchObject([{ cookie: 1n }]);
    },
  },
  {
    section: "§7.3.10",
    name: "the second mask is in force while the controller is a slave",
    run: async (sw) => {
      await sw.ok({ type: "OFPT_SET_ASYNC", ...DEAF, packet_in_mask: [0, 2] });
      await sw.flows("priority=5,udp,actions=controller");
      await sw.frame(1, f.udp4());
      expect(await sw.client.unasked()).toEqual([]);
      await ask(sw.client, "OFPCR_ROLE_SLAVE", await newer(sw));
      await sw.frame(1, f.udp4());
      expect(await sw.unasked("OFPT_PACKET_IN", 1)).toHaveLength(1);
    },
  },
  {
    section: "§6.3.4",
    name: "every controller that wants a packet-in gets it",
    run: async (sw) => {
      const others = [await sw.bench.connect(), await sw.bench.connect()];
      await sw.flows("actions=controller");
      await sw.frame(1, f.udp4());
      for (const client of [sw.client, ...others])
        expect(await client.unasked(1)).toMatchObject([{ type: "OFPT_PACKET_IN", data: f.udp4() }]);
    },
  },
  {
    section: "§6.3.4",
    name: "what one controller installs another one sees",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await sw.flows("cookie=5,actions=output:2");
      expect((await other.multipart({ type: "OFPMP_FLOW" })).entries).toMatchObject([{ cookie: 5n }]);
    },
  },
  {
    section: "§6.4",
    name: "flows stay when the controller that installed them goes",
    run: async (sw) => {
      const other = await sw.bench.connect();
      await other.exchange(flowMod("actions=output:2"));
      other.close();
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
    },
  },
];

conformance("§6.3, §7.3.2, §7.3.9, §7.3.10 controllers", [
  ...handshake,
  ...configuration,
  ...fragments,
  ...reassembly,
  patience,
  ...roles,
  ...asynchronous,
]);
