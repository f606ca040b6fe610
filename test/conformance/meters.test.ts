import { OFPM, OFPMF } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { hex, rawMessage } from "../support/conformance/raw.js";
import { flowMod, meterMod, type Session } from "../support/conformance/session.js";

/** 1000 bits. */
const frame = (tos = 0): Uint8Array => f.udp4({ ip: { tos } }, new Uint8Array(125 - 42));

/** How many of `count` frames at once get through to port 2. */
async function through(sw: Session, count: number): Promise<number> {
  const out = await sw.frame(1, ...Array.from({ length: count }, () => frame()));
  return out[2]?.length ?? 0;
}

const drop: Case[] = [
  {
    section: "§5.7.1",
    name: "drop, packets a second: what is over the burst is dropped, what time gives back passes",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,burst,bands=type=drop,rate=10,burst_size=10"));
      await sw.flows("actions=meter:1,output:2");
      expect(await through(sw, 15)).toBe(10);
      await sw.bench.advance(500);
      expect(await through(sw, 15)).toBe(5);
      await sw.bench.advance(10_000);
      expect(await through(sw, 15)).toBe(10);
    },
  },
  {
    section: "§5.7.1",
    name: "drop, kilobits a second: frames count with their bits",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,kbps,burst,bands=type=drop,rate=8,burst_size=8"));
      await sw.flows("actions=meter:1,output:2");
      expect(await through(sw, 12)).toBe(8);
      await sw.bench.advance(250);
      expect(await through(sw, 12)).toBe(2);
    },
  },
  {
    section: "§5.7.1",
    name: "below the rate everything passes",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,burst,bands=type=drop,rate=10,burst_size=1"));
      await sw.flows("actions=meter:1,output:2");
      for (let time = 0; time < 10; time++) {
        expect(await through(sw, 1)).toBe(1);
        await sw.bench.advance(100);
      }
    },
  },
  {
    section: "§5.7",
    name: "a meter without bands lets everything pass",
    ovs: "asks for one band",
    run: async (sw) => {
      await sw.ok({
        type: "OFPT_METER_MOD",
        command: "OFPMC_ADD",
        flags: OFPMF.PKTPS,
        meter_id: 1,
        bands: [],
      });
      await sw.flows("actions=meter:1,output:2");
      expect(await through(sw, 50)).toBe(50);
    },
  },
  {
    section: "§5.7",
    name: "several flows share the meter that they name",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,burst,bands=type=drop,rate=10,burst_size=10"));
      await sw.flows("in_port=1,actions=meter:1,output:2", "in_port=3,actions=meter:1,output:2");
      expect(await through(sw, 6)).toBe(6);
      const out = await sw.frame(3, ...Array.from({ length: 6 }, () => frame()));
      expect(out[2]).toHaveLength(4);
    },
  },
  {
    section: "§5.9",
    name: "a packet that a meter drops goes nowhere, whatever the flow says next",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,burst,bands=type=drop,rate=1,burst_size=1"));
      await sw.flows(
        "actions=meter:1,output:2,write_actions(output:3),goto_table:1",
        "table=1,actions=output:4",
      );
      expect(Object.keys(await sw.frame(1, frame()))).toEqual(["2", "3", "4"]);
      expect(await sw.frame(1, frame())).toEqual({});
    },
  },
  {
    section: "§5.7",
    name: "of two bands the one of the highest rate that is exceeded acts",
    run: async (sw) => {
      await sw.ok({
        ...meterMod("meter=1,pktps,burst,stats,bands=type=drop,rate=5,burst_size=5"),
        bands: [
          { type: "OFPMBT_DSCP_REMARK", rate: 5, burst_size: 5, prec_level: 1 },
          { type: "OFPMBT_DROP", rate: 10, burst_size: 10 },
        ],
      });
      await sw.flows("ip,actions=meter:1,output:2");
      const out = await sw.frame(1, ...Array.from({ length: 12 }, () => frame(10 << 2)));
      expect(out).toEqual({
        2: [...Array(5).fill(frame(10 << 2)), ...Array(5).fill(frame(12 << 2))],
      });
    },
    ovs: "has drop bands only",
  },
];

/** RFC 2597: the drop precedence of an assured forwarding class is in the DSCP's second and third bits from below. */
const remark: Case[] = (
  [
    ["AF11 by 1 becomes AF12", 10, 1, 12],
    ["AF11 by 2 becomes AF13", 10, 2, 14],
    ["AF41 by 1 becomes AF42", 34, 1, 36],
    ["AF13 stays: there is no higher precedence", 14, 1, 14],
    ["AF12 by 2 becomes AF13", 12, 2, 14],
    ["best effort is in no class and stays", 0, 1, 0],
    ["expedited forwarding is in no class and stays", 46, 1, 46],
  ] as const
).map(
  ([name, before, prec_level, after]): Case => ({
    section: "§5.7.1",
    name: `dscp_remark: ${name}`,
    run: async (sw) => {
      await sw.ok({
        ...meterMod("meter=1,pktps,burst,bands=type=drop,rate=1,burst_size=1"),
        bands: [{ type: "OFPMBT_DSCP_REMARK", rate: 1, burst_size: 1, prec_level }],
      });
      await sw.flows("ip,actions=meter:1,output:2");
      // ECN bits are not the meter's.
      const given = frame((before << 2) | 1);
      expect(await sw.frame(1, given, given)).toEqual({ 2: [given, frame((after << 2) | 1)] });
    },
    ovs: "has drop bands only",
  }),
);

const remark6: Case = {
  section: "§5.7.1",
  name: "dscp_remark: IPv6's traffic class",
  run: async (sw) => {
    await sw.ok({
      ...meterMod("meter=1,pktps,burst,bands=type=drop,rate=1,burst_size=1"),
      bands: [{ type: "OFPMBT_DSCP_REMARK", rate: 1, burst_size: 1, prec_level: 1 }],
    });
    await sw.flows("ipv6,actions=meter:1,output:2");
    const given = f.udp6({ ip: { traffic_class: 10 << 2 } });
    expect(await sw.frame(1, given, given)).toEqual({
      2: [given, f.udp6({ ip: { traffic_class: 12 << 2 } })],
    });
  },
  ovs: "has drop bands only",
};

const modification: Case[] = [
  {
    section: "§6.6",
    name: "modify changes the bands at once",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,burst,bands=type=drop,rate=10,burst_size=10"));
      await sw.flows("actions=meter:1,output:2");
      expect(await through(sw, 20)).toBe(10);
      await sw.ok(meterMod("meter=1,pktps,burst,bands=type=drop,rate=4,burst_size=4", "modify"));
      await sw.bench.advance(10_000);
      expect(await through(sw, 20)).toBe(4);
    },
  },
  {
    section: "§6.6",
    name: "deleting a meter deletes the flows that use it",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,bands=type=drop,rate=10"));
      await sw.flows("cookie=1,udp,actions=meter:1,output:2", "cookie=2,tcp,actions=output:2");
      await sw.ok(meterMod("meter=1", "delete"));
      expect((await sw.multipart({ type: "OFPMP_FLOW" })).entries).toMatchObject([{ cookie: 2n }]);
    },
  },
  {
    section: "§6.6",
    name: "OFPM_ALL deletes every meter",
    run: async (sw) => {
      await sw.ok(
        meterMod("meter=1,pktps,bands=type=drop,rate=10"),
        meterMod("meter=2,pktps,bands=type=drop,rate=10"),
        { type: "OFPT_METER_MOD", command: "OFPMC_DELETE", meter_id: OFPM.ALL },
      );
      expect(await sw.multipart({ type: "OFPMP_METER_CONFIG" })).toMatchObject({ entries: [] });
    },
  },
  ...(
    [
      [
        "adding a meter that exists",
        meterMod("meter=1,pktps,bands=type=drop,rate=1"),
        "OFPMMFC_METER_EXISTS",
      ],
      [
        "modifying one that does not",
        meterMod("meter=9,pktps,bands=type=drop,rate=1", "modify"),
        "OFPMMFC_UNKNOWN_METER",
      ],
      ["deleting one that does not exist", meterMod("meter=9", "delete"), "accepted"],
      [
        "meter 0",
        { ...meterMod("meter=9,pktps,bands=type=drop,rate=1"), meter_id: 0 },
        "OFPMMFC_INVALID_METER",
      ],
      [
        "a number above OFPM_MAX",
        { ...meterMod("meter=9,pktps,bands=type=drop,rate=1"), meter_id: OFPM.MAX + 1 },
        "OFPMMFC_INVALID_METER",
      ],
      [
        "kbps and pktps at once",
        { ...meterMod("meter=9,pktps,bands=type=drop,rate=1"), flags: 3 },
        "OFPMMFC_BAD_FLAGS",
      ],
      [
        "undefined flags",
        { ...meterMod("meter=9,pktps,bands=type=drop,rate=1"), flags: 0x42 },
        "OFPMMFC_BAD_FLAGS",
      ],
      [
        "an unknown command",
        { ...meterMod("meter=9,pktps,bands=type=drop,rate=1"), command: 9 },
        "OFPMMFC_BAD_COMMAND",
      ],
      [
        "a rate of 0",
        { ...meterMod("meter=9,pktps,bands=type=drop,rate=1"), bands: [{ type: "OFPMBT_DROP", rate: 0 }] },
        "OFPMMFC_BAD_RATE",
      ],
      [
        "a prec_level of 0",
        {
          ...meterMod("meter=9,pktps,bands=type=drop,rate=1"),
          bands: [{ type: "OFPMBT_DSCP_REMARK", rate: 1, prec_level: 0 }],
        },
        "OFPMMFC_BAD_BAND_VALUE",
        "has drop bands only",
      ],
    ] as const
  ).map(
    ([name, message, code, ovs]): Case => ({
      section: "§7.4.4",
      name: `${name}: ${code}`,
      ...(ovs ? { ovs } : {}),
      run: async (sw) => {
        await sw.ok(meterMod("meter=1,pktps,bands=type=drop,rate=10"));
        expect(await sw.verdict(message as ReturnType<typeof meterMod>)).toBe(code);
      },
    }),
  ),
];

const METER_MOD = 29;
const rawBands = (bands: string): Uint8Array =>
  rawMessage(METER_MOD, hex(0, 2) + hex(OFPMF.PKTPS, 2) + hex(9, 4) + bands);
const band = (type: number): string => hex(type, 2) + hex(16, 2) + hex(5, 4) + hex(0, 8);
const bandErrors: Case[] = (
  [
    ["a band of an unknown type", rawBands(band(9)), "OFPMMFC_BAD_BAND"],
    ["a band of length 4", rawBands(hex(1, 2) + hex(4, 2) + hex(0, 12)), "OFPBRC_BAD_LEN"],
    ["more bands than meter features tell of", rawBands(band(1).repeat(300)), "OFPMMFC_OUT_OF_BANDS"],
  ] as const
).map(
  ([name, message, code]): Case => ({
    section: "§7.4.4",
    name: `${name}: ${code}`,
    run: async (sw) => expect(await sw.verdict(message)).toBe(code),
  }),
);

const statistics: Case[] = [
  {
    section: "§7.3.5.12",
    name: "a meter counts what came in and what each band took",
    run: async (sw) => {
      await sw.ok(meterMod("meter=1,pktps,burst,stats,bands=type=drop,rate=10,burst_size=10"));
      await sw.flows("udp,actions=meter:1,output:2", "tcp,actions=meter:1,output:2");
      expect(await through(sw, 14)).toBe(10);
      await sw.bench.advance(2000);
      const { entries } = await sw.multipart({ type: "OFPMP_METER", meter_id: 1 });
      expect(entries).toMatchObject([
        {
          meter_id: 1,
          flow_count: 2,
          packet_in_count: 14n,
          byte_in_count: 14n * 125n,
          duration_sec: 2,
          band_stats: [{ packet_band_count: 4n, byte_band_count: 4n * 125n }],
        },
      ]);
    },
  },
  {
    section: "§7.3.5.13",
    name: "the configuration is what was configured",
    ovs: "tells of the burst that it chose where none was given",
    run: async (sw) => {
      const mods = [
        meterMod("meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=2000"),
        meterMod("meter=7,pktps,bands=type=drop,rate=55"),
      ];
      await sw.ok(...mods);
      const { entries } = await sw.multipart({ type: "OFPMP_METER_CONFIG" });
      expect([...entries].sort((a, b) => a.meter_id - b.meter_id)).toMatchObject(
        mods.map(({ meter_id, flags, bands }) => ({ meter_id, flags, bands })),
      );
    },
  },
  {
    section: "§7.3.5.13",
    name: "the configuration of one meter",
    run: async (sw) => {
      await sw.ok(
        meterMod("meter=1,pktps,bands=type=drop,rate=5"),
        meterMod("meter=2,pktps,bands=type=drop,rate=6"),
      );
      const { entries } = await sw.multipart({ type: "OFPMP_METER_CONFIG", meter_id: 2 });
      expect(entries).toMatchObject([{ meter_id: 2, bands: [{ rate: 6 }] }]);
    },
  },
  {
    section: "§7.3.5.14",
    name: "features tell of drop and dscp_remark bands, kbps, pktps, burst and statistics",
    run: async (sw) => {
      const features = await sw.multipart({ type: "OFPMP_METER_FEATURES" });
      expect(features.band_types & 6).toBe(6);
      expect(features.capabilities & 0xf).toBe(0xf);
      expect(features.max_meter).toBeGreaterThan(0);
    },
    ovs: "has drop bands only",
  },
];

const virtual: Case[] = [
  {
    section: "§5.7",
    name: "OFPM_CONTROLLER meters the packet-ins",
    run: async (sw) => {
      await sw.ok({
        ...meterMod("meter=9,pktps,burst,bands=type=drop,rate=3,burst_size=3"),
        meter_id: OFPM.CONTROLLER,
      });
      await sw.ok(flowMod("actions=controller"));
      await sw.frame(1, ...Array.from({ length: 10 }, () => frame()));
      expect(await sw.unasked("OFPT_PACKET_IN", 3)).toHaveLength(3);
    },
  },
];

conformance("§5.7 meters", [
  ...drop,
  ...remark,
  remark6,
  ...modification,
  ...bandErrors,
  ...statistics,
  ...virtual,
]);
