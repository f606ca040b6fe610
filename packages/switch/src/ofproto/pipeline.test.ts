import type { Clock } from "@sluice/runtime";
import { ethernet, type Frame, ipv4, ipv6, parseFrame, tcp, toHex, udp } from "@sluice/wire";
import { describe, expect, test } from "vitest";
import { createUserspaceDpif } from "../datapath/userspace/dpif.js";
import { DummyHub } from "../netdev/dummy.js";
import { cableRig, output, quiet, type Rig, TestBench } from "./bench.testkit.js";
import type { Action, Bucket, GroupMod, Match } from "./of.js";
import { OFPP } from "./xlate/reserved.js";

/** The user-space datapath in this thread, with dummy ports. */
function userspaceRig(clock: Clock): Rig {
  const dummies = new DummyHub();
  return cableRig(createUserspaceDpif({ clock, log: quiet, host: "inline", dummies }), dummies);
}

const open = (ports: number) => TestBench.over(userspaceRig, ports);

const SRC = "00:00:00:00:00:01";
const DST = "00:00:00:00:00:02";
const hosts = { src: SRC, dst: DST };

const udpFrame = (
  options: {
    ttl?: number;
    sport?: number;
    dport?: number;
    vlans?: { vid: number; pcp?: number; tpid?: number }[];
  } = {},
): Uint8Array =>
  ethernet(
    { ...hosts, ...(options.vlans ? { vlans: options.vlans } : {}) },
    ipv4(
      { src: "10.0.0.1", dst: "10.0.0.2", ttl: options.ttl ?? 64 },
      udp({ src_port: options.sport ?? 1000, dst_port: options.dport ?? 2000 }, new Uint8Array(20)),
    ),
  );

const parsed = (frame: Uint8Array): Frame => {
  const value = parseFrame(frame);
  if (value.kind !== "ethernet") throw new Error(`malformed: ${toHex(frame)}`);
  return value;
};

/** What a packet looks like after actions in one table. */
async function after(match: Match, actions: readonly Action[], frame: Uint8Array): Promise<Frame> {
  const bench = await open(2);
  bench.flow(match, [...actions, output(2)]);
  for (let i = 0; i < 2; i++) {
    const sent = await bench.forward("p1", frame);
    expect(sent.map(({ port }) => port)).toEqual(["p2"]);
  }
  // The second one went by the cached flow and looks the same.
  expect(bench.rig.sent[1]).toEqual(bench.rig.sent[0]);
  return parsed(bench.rig.sent[0]!.frame);
}

const IP = { eth_type: 0x0800 } as const;
const UDP = { ...IP, ip_proto: 17 } as const;

describe("§5.12 actions", () => {
  test("set_field writes addresses, ports and fixes the checksums", async () => {
    const set = (field: Match): Action => ({ type: "OFPAT_SET_FIELD", field });
    const frame = await after(
      UDP,
      [
        set({ eth_dst: "00:00:00:00:00:99" }),
        set({ ipv4_src: "1.2.3.4" }),
        set({ udp_dst: 53 }),
        set({ ip_dscp: 46 }),
      ],
      udpFrame(),
    );
    expect(frame).toMatchObject({
      dst: "00:00:00:00:00:99",
      payload: { src: "1.2.3.4", dst: "10.0.0.2", tos: 46 << 2, payload: { src_port: 1000, dst_port: 53 } },
    });
    expect(frame.payload).not.toHaveProperty("checksum");
  });

  test("push_vlan copies nothing onto an untagged packet, set_field sets the new tag", async () => {
    const push: Action = { type: "OFPAT_PUSH_VLAN", ethertype: 0x8100 };
    expect((await after({}, [push], udpFrame())).vlans).toMatchObject([{ tpid: 0x8100, vid: 0, pcp: 0 }]);
    const set: Action = { type: "OFPAT_SET_FIELD", field: { vlan_vid: 0x1000 | 77 } };
    expect((await after({}, [push, set], udpFrame())).vlans).toMatchObject([{ vid: 77 }]);
  });

  test("push_vlan copies vid and pcp of the outer tag", async () => {
    const frame = await after(
      {},
      [{ type: "OFPAT_PUSH_VLAN", ethertype: 0x88a8 }],
      udpFrame({ vlans: [{ vid: 5, pcp: 3 }] }),
    );
    expect(frame.vlans).toMatchObject([
      { tpid: 0x88a8, vid: 5, pcp: 3 },
      { tpid: 0x8100, vid: 5, pcp: 3 },
    ]);
  });

  test("pop_vlan takes the outer tag and the inner one is matched next, where two may be matched", async () => {
    const bench = await open(3);
    bench.backer.configure({ vlanLimit: 2 });
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      match: { vlan_vid: 0x1000 | 5 },
      instructions: [
        { type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_POP_VLAN" }] },
        { type: "OFPIT_GOTO_TABLE", table_id: 1 },
      ],
    });
    bench.flow({ vlan_vid: 0x1000 | 7 }, [output(2)], { table_id: 1 });
    bench.flow({ vlan_vid: 0 }, [output(3)], { table_id: 1 });
    const double = udpFrame({ vlans: [{ vid: 5, tpid: 0x88a8 }, { vid: 7 }] });
    for (let i = 0; i < 2; i++) {
      const [sent] = await bench.forward("p1", double);
      expect(sent?.port).toBe("p2");
      expect(parsed(sent!.frame).vlans).toMatchObject([{ vid: 7 }]);
      expect(await bench.receive("p1", udpFrame({ vlans: [{ vid: 5 }] }))).toEqual(["p3"]);
    }
  });

  test("copy_ttl_out: what is matched and counted down after it is the TTL that was copied", async () => {
    const bench = await open(2);
    const push: Action = { type: "OFPAT_PUSH_MPLS", ethertype: 0x8847 };
    const setTtl: Action = { type: "OFPAT_SET_MPLS_TTL", mpls_ttl: 200 };
    bench.flow(IP, [
      push,
      setTtl,
      { type: "OFPAT_COPY_TTL_OUT" },
      { type: "OFPAT_DEC_MPLS_TTL" },
      { type: "OFPAT_COPY_TTL_IN" },
      { type: "OFPAT_POP_MPLS", ethertype: 0x0800 },
      output(2),
    ]);
    // The TTLs differ from packet to packet of one flow, and of one megaflow where only push_mpls looked at it.
    for (const ttl of [64, 64, 9, 9]) {
      const [sent] = await bench.forward("p1", udpFrame({ ttl }));
      expect(parsed(sent!.frame).payload).toMatchObject({ kind: "ipv4", ttl: ttl - 1 });
      expect(parsed(sent!.frame).payload).not.toHaveProperty("checksum");
    }
  });

  test("dec_nw_ttl counts down", async () => {
    expect(await after(IP, [{ type: "OFPAT_DEC_NW_TTL" }], udpFrame({ ttl: 9 }))).toMatchObject({
      payload: { ttl: 8 },
    });
  });

  test("dec_nw_ttl of 1 gives an INVALID_TTL packet-in and nothing goes out", async () => {
    const bench = await open(2);
    bench.flow(IP, [{ type: "OFPAT_DEC_NW_TTL" }, output(2)], { cookie: 3n });
    expect(await bench.receive("p1", udpFrame({ ttl: 1 }))).toEqual([]);
    expect(bench.packetIns).toMatchObject([{ reason: "OFPR_INVALID_TTL", cookie: 3n, max_len: undefined }]);
    expect(await bench.receive("p1", udpFrame({ ttl: 2 }))).toEqual(["p2"]);
  });

  test("push_mpls takes the TTL of the IP header, pop_mpls gives the IP packet back to be matched", async () => {
    const bench = await open(3);
    bench.flow(IP, [
      { type: "OFPAT_PUSH_MPLS", ethertype: 0x8847 },
      { type: "OFPAT_SET_FIELD", field: { mpls_label: 77 } },
      output(2),
    ]);
    const [sent] = await bench.forward("p1", udpFrame({ ttl: 33 }));
    // Label 77, TC 0, bottom of stack, TTL 33.
    expect(toHex(sent!.frame.subarray(12, 18))).toBe(
      `8847${((77 << 12) | 0x100 | 33).toString(16).padStart(8, "0")}`,
    );
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      match: { in_port: 2, eth_type: 0x8847, mpls_label: 77 },
      priority: 50000,
      instructions: [
        { type: "OFPIT_WRITE_METADATA", metadata: 5n, metadata_mask: 0xffn },
        { type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_POP_MPLS", ethertype: 0x0800 }] },
        { type: "OFPIT_GOTO_TABLE", table_id: 3 },
      ],
    });
    bench.flow({ ...UDP, metadata: 5n, udp_dst: 2000 }, [output(3)], { table_id: 3 });
    for (let i = 0; i < 2; i++) {
      const [back] = await bench.forward("p2", sent!.frame);
      expect(back?.port).toBe("p3");
      expect(toHex(back!.frame)).toBe(toHex(udpFrame({ ttl: 33 })));
    }
    // A packet to another port is not taken for it.
    const other = await bench.forward("p1", udpFrame({ dport: 9 }));
    expect(await bench.receive("p2", other[0]!.frame)).toEqual([]);
  });
});

describe("§5.10 the action set", () => {
  test("is executed at the end, in its own order, the last written of each kind", async () => {
    const bench = await open(3);
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      match: IP,
      instructions: [
        {
          type: "OFPIT_WRITE_ACTIONS",
          actions: [output(3), { type: "OFPAT_PUSH_VLAN", ethertype: 0x8100 }],
        },
        { type: "OFPIT_GOTO_TABLE", table_id: 1 },
      ],
    });
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      table_id: 1,
      instructions: [{ type: "OFPIT_WRITE_ACTIONS", actions: [output(2)] }],
    });
    const [sent, ...rest] = await bench.forward("p1", udpFrame());
    expect(rest).toEqual([]);
    expect(sent?.port).toBe("p2");
    expect(parsed(sent!.frame).vlans).toMatchObject([{ vid: 0 }]);
  });

  test("is cleared by CLEAR_ACTIONS, and a miss in a later table drops the packet", async () => {
    const bench = await open(3);
    const to = (table_id: number) => ({ type: "OFPIT_GOTO_TABLE", table_id }) as const;
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      match: { in_port: 1 },
      instructions: [{ type: "OFPIT_WRITE_ACTIONS", actions: [output(2)] }, to(1)],
    });
    expect(await bench.receive("p1", udpFrame())).toEqual([]);
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      table_id: 1,
      instructions: [{ type: "OFPIT_CLEAR_ACTIONS" }],
    });
    expect(await bench.receive("p1", udpFrame())).toEqual([]);
    bench.bridge.flowMod({ command: "OFPFC_ADD", table_id: 1 });
    expect(await bench.receive("p1", udpFrame())).toEqual(["p2"]);
  });
});

describe("§5.6 groups", () => {
  const withGroup = async (ports: number, group: Partial<GroupMod>) => {
    const bench = await open(ports);
    bench.bridge.groupMod({ command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 1, ...group });
    bench.flow({}, [{ type: "OFPAT_GROUP", group_id: 1 }]);
    return bench;
  };
  const to = (port: number, more: Partial<Bucket> = {}): Bucket => ({ actions: [output(port)], ...more });

  test("all: each bucket has its own copy of the packet", async () => {
    const set: Action = { type: "OFPAT_SET_FIELD", field: { eth_dst: "00:00:00:00:00:77" } };
    const bench = await withGroup(4, { buckets: [{ actions: [set, output(2)] }, to(3), to(1)] });
    const sent = await bench.forward("p1", udpFrame());
    expect(sent.map(({ port, frame }) => [port, parsed(frame).dst])).toEqual([
      ["p2", "00:00:00:00:00:77"],
      ["p3", DST],
    ]);
  });

  test("select: spreads flows by weight, keeps a flow where it is, and skips dead buckets", async () => {
    const buckets = [to(2, { weight: 1, watch_port: 2 }), to(3, { weight: 3 })];
    const bench = await withGroup(3, { group_type: "OFPGT_SELECT", buckets });
    const where = new Map<number, string>();
    const count = { p2: 0, p3: 0 } as Record<string, number>;
    for (let sport = 1; sport <= 400; sport++) {
      const [port] = await bench.receive("p1", udpFrame({ sport }));
      where.set(sport, port!);
      count[port!]!++;
    }
    expect(count.p2).toBeGreaterThan(60);
    expect(count.p2).toBeLessThan(140);
    for (let sport = 1; sport <= 400; sport += 37)
      expect(await bench.receive("p1", udpFrame({ sport }))).toEqual([where.get(sport)]);
    await bench.bridge.portMod({
      port_no: 2,
      hw_addr: bench.bridge.port(2)!.mac,
      config: 1,
      mask: 1,
      advertise: 0,
    });
    for (let sport = 1; sport <= 40; sport++)
      expect(await bench.receive("p1", udpFrame({ sport }))).toEqual(["p3"]);
  });

  test("fast failover: the first live bucket, and back again", async () => {
    const buckets = [to(2, { watch_port: 2 }), to(3, { watch_port: 3 })];
    const bench = await withGroup(3, { group_type: "OFPGT_FF", buckets });
    const hw_addr = bench.bridge.port(2)!.mac;
    expect(await bench.receive("p1", udpFrame())).toEqual(["p2"]);
    bench.bridge.portMod({ port_no: 2, hw_addr, config: 1, mask: 1, advertise: 0 });
    expect(await bench.receive("p1", udpFrame())).toEqual(["p3"]);
    bench.bridge.portMod({ port_no: 2, hw_addr, config: 0, mask: 1, advertise: 0 });
    expect(await bench.receive("p1", udpFrame())).toEqual(["p2"]);
  });

  test("count packets by group and bucket; deleting one takes its flows with it", async () => {
    const bench = await withGroup(3, { buckets: [to(2), to(3)] });
    for (let i = 0; i < 3; i++) await bench.receive("p1", udpFrame());
    const reply = await bench.bridge.multipart({ type: "OFPMP_GROUP" });
    const size = BigInt(udpFrame().length);
    expect(reply.entries).toMatchObject([
      {
        group_id: 1,
        ref_count: 1,
        packet_count: 3n,
        bucket_stats: [
          { packet_count: 3n, byte_count: 3n * size },
          { packet_count: 3n, byte_count: 3n * size },
        ],
      },
    ]);
    bench.bridge.groupMod({ command: "OFPGC_DELETE", group_type: "OFPGT_ALL", group_id: 0xffff_fffc });
    expect(await bench.dump()).toEqual([]);
  });

  test("refuses what §6.5 refuses", async () => {
    const bench = await withGroup(2, { buckets: [to(2)] });
    const refusal = (message: Partial<GroupMod>): string => {
      try {
        bench.bridge.groupMod({ command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 2, ...message });
      } catch (error) {
        return (error as { error_code: string }).error_code;
      }
      return "accepted";
    };
    const chain = (group_id: number): Bucket[] => [{ actions: [{ type: "OFPAT_GROUP", group_id }] }];
    expect(refusal({ group_id: 1 })).toBe("OFPGMFC_GROUP_EXISTS");
    expect(refusal({ group_id: 0xffff_ff01 })).toBe("OFPGMFC_INVALID_GROUP");
    expect(refusal({ command: "OFPGC_MODIFY", group_id: 5 })).toBe("OFPGMFC_UNKNOWN_GROUP");
    expect(refusal({ group_type: 77 })).toBe("OFPGMFC_BAD_TYPE");
    expect(refusal({ group_type: "OFPGT_INDIRECT" })).toBe("OFPGMFC_INVALID_GROUP");
    expect(refusal({ buckets: chain(1) })).toBe("accepted");
    expect(refusal({ command: "OFPGC_DELETE", group_id: 1, buckets: chain(2) })).toBe(
      "OFPGMFC_INVALID_GROUP",
    );
    expect(refusal({ command: "OFPGC_DELETE", group_id: 99 })).toBe("accepted");
  });
});

describe("§5.7 meters", () => {
  test("drop what exceeds the band's rate, and count", async () => {
    const bench = await open(2);
    bench.bridge.meterMod({
      command: "OFPMC_ADD",
      flags: 2 | 4 | 8,
      meter_id: 9,
      bands: [{ type: "OFPMBT_DROP", rate: 5, burst_size: 5 }],
    });
    bench.bridge.flowMod({
      command: "OFPFC_ADD",
      instructions: [
        { type: "OFPIT_APPLY_ACTIONS", actions: [output(2)] },
        { type: "OFPIT_METER", meter_id: 9 },
      ],
    });
    let passed = 0;
    for (let i = 0; i < 20; i++) passed += (await bench.receive("p1", udpFrame())).length;
    expect(passed).toBe(5);
    const { entries } = await bench.bridge.multipart({ type: "OFPMP_METER" });
    expect(entries).toMatchObject([
      { meter_id: 9, flow_count: 1, packet_in_count: 20n, band_stats: [{ packet_band_count: 15n }] },
    ]);
    bench.bridge.meterMod({ command: "OFPMC_DELETE", meter_id: 9 });
    expect(await bench.dump()).toEqual([]);
  });
});

test("§7.3.4.4 the CONTROLLER meter limits packet-ins, and nothing else", async () => {
  const bench = await open(2);
  bench.bridge.meterMod({
    command: "OFPMC_ADD",
    flags: 2 | 4,
    meter_id: 0xffff_fffe,
    bands: [{ type: "OFPMBT_DROP", rate: 3, burst_size: 3 }],
  });
  bench.flow({}, [output(OFPP.CONTROLLER), output(2)]);
  for (let i = 0; i < 10; i++) expect(await bench.receive("p1", udpFrame())).toEqual(["p2"]);
  expect(bench.packetIns.length).toBe(3);
});

describe("§7.3.7 packet_out", () => {
  test("carries out its actions on the packet, and TABLE sends it through the tables", async () => {
    const bench = await open(3);
    bench.flow({ in_port: 1 }, [output(2)]);
    const data = udpFrame();
    const out = async (in_port: number, ...actions: Action[]): Promise<string[]> => {
      const before = bench.rig.sent.length;
      bench.bridge.packetOut({ in_port, actions, data });
      return bench.rig.sent.slice(before).map(({ port }) => port);
    };
    expect(await out(OFPP.CONTROLLER, output(3))).toEqual(["p3"]);
    expect(await out(OFPP.CONTROLLER, output(OFPP.ALL))).toEqual(["p1", "p2", "p3"]);
    expect(await out(1, output(OFPP.FLOOD))).toEqual(["p2", "p3"]);
    expect(await out(1, output(OFPP.TABLE))).toEqual(["p2"]);
    expect(await out(2, output(OFPP.TABLE))).toEqual([]);
    expect(await bench.dump()).toMatchObject([{ packet_count: 1n, byte_count: BigInt(data.length) }]);
  });
});

test("a flow of TCP over IPv6 is matched on all its fields", async () => {
  const bench = await open(2);
  bench.flow(
    {
      in_port: 1,
      eth_type: 0x86dd,
      ip_proto: 6,
      ipv6_src: { value: "fe80::", mask: "ffff::" },
      ipv6_dst: "fe80::2",
      tcp_dst: 80,
    },
    [output(2)],
  );
  const frame = (dst_port: number): Uint8Array =>
    ethernet(hosts, ipv6({ src: "fe80::1", dst: "fe80::2" }, tcp({ src_port: 5, dst_port })));
  expect(await bench.receive("p1", frame(80))).toEqual(["p2"]);
  expect(await bench.receive("p1", frame(81))).toEqual([]);
  expect(await bench.receive("p1", frame(80))).toEqual(["p2"]);
});
