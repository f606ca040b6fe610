import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, type Session } from "../support/conformance/session.js";

/** The end of a TCP connection, and what `fin_timeout` and `learn` make of it. */
const section = "ovs-actions(7), fin_timeout";
const [ACK, FIN, RST, SYN] = [16, 17, 4, 2];

const segment = (flags: number): Uint8Array => f.tcp4({ flags });

async function timeouts(sw: Session, table_id = 0): Promise<(number | undefined)[][]> {
  // Open vSwitch learns in its own time.
  await sw.bench.advance(1000);
  const { entries } = await sw.multipart({ type: "OFPMP_FLOW", table_id });
  return (entries ?? []).map(({ idle_timeout, hard_timeout }) => [idle_timeout, hard_timeout]);
}

const reduction = (
  name: string,
  flow: string,
  flags: readonly number[],
  expected: readonly number[],
): Case => ({
  section,
  name,
  run: async (sw) => {
    await sw.flows(flow);
    for (const flag of flags) expect(await sw.ports(1, segment(flag))).toEqual([2]);
    expect(await timeouts(sw)).toEqual([expected]);
  },
});

const FLOW = "tcp,idle_timeout=60,actions=fin_timeout(idle_timeout=5,hard_timeout=20),output:2";

const cases: Case[] = [
  reduction("without FIN or RST nothing changes", FLOW, [SYN, ACK], [60, 0]),
  reduction("FIN reduces the timeouts, and sets one that there was none of", FLOW, [ACK, FIN], [5, 20]),
  reduction("so does RST, in the first packet", FLOW, [RST], [5, 20]),
  reduction(
    "a timeout that is shorter stays",
    "tcp,idle_timeout=3,hard_timeout=30,actions=fin_timeout(idle_timeout=5,hard_timeout=20),output:2",
    [FIN],
    [3, 20],
  ),
  reduction(
    "0 leaves one as it is",
    "tcp,idle_timeout=60,hard_timeout=90,actions=fin_timeout(idle_timeout=5),output:2",
    [FIN],
    [5, 90],
  ),
  {
    section,
    name: "the flow goes by its new timeout, with a flow-removed that tells it",
    run: async (sw) => {
      await sw.flows("tcp,send_flow_rem,idle_timeout=60,actions=fin_timeout(idle_timeout=5),output:2");
      await sw.frame(1, segment(ACK), segment(FIN));
      await sw.bench.advance(1000);
      await sw.bench.advance(10_000);
      expect(await timeouts(sw)).toEqual([]);
      const [removed] = await sw.unasked("OFPT_FLOW_REMOVED", 1);
      expect(removed).toMatchObject({ reason: "OFPRR_IDLE_TIMEOUT", idle_timeout: 5 });
    },
  },
  {
    section,
    name: "it is the flow with the action whose timeouts change, not the one that it is resubmitted from",
    run: async (sw) => {
      await sw.flows(
        "table=0,tcp,idle_timeout=60,actions=resubmit(,1),output:2",
        "table=1,tcp,idle_timeout=60,actions=fin_timeout(idle_timeout=5)",
      );
      expect(await sw.ports(1, segment(FIN))).toEqual([2]);
      expect(await timeouts(sw, 0)).toEqual([[60, 0]]);
      expect(await timeouts(sw, 1)).toEqual([[5, 0]]);
    },
  },
  {
    section,
    name: "only a flow of TCP packets may have it",
    run: async (sw) => {
      const flow = "ip,actions=fin_timeout(idle_timeout=5)";
      expect(await sw.verdict(flowMod(flow))).toBe("OFPBAC_MATCH_INCONSISTENT");
    },
  },
  {
    section: "ovs-actions(7), learn",
    name: "fin_idle_timeout and fin_hard_timeout give the learned flow the action",
    run: async (sw) => {
      await sw.flows(
        "table=0,tcp,actions=learn(table=1,idle_timeout=60,hard_timeout=600,fin_idle_timeout=5,fin_hard_timeout=20,eth_type=0x800,nw_proto=6,NXM_OF_TCP_SRC[]=NXM_OF_TCP_DST[],output:NXM_OF_IN_PORT[]),resubmit(,1)",
      );
      await sw.frame(2, f.tcp4({ src_port: 80, dst_port: 4000 }));
      expect(await timeouts(sw, 1)).toEqual([[60, 600]]);
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW", table_id: 1 });
      expect(entries[0]!.instructions).toMatchObject([
        {
          type: "OFPIT_APPLY_ACTIONS",
          actions: [
            { type: "NXAST_FIN_TIMEOUT", fin_idle_timeout: 5, fin_hard_timeout: 20 },
            { type: "OFPAT_OUTPUT", port: 2 },
          ],
        },
      ]);
      const back = (flags: number) => f.tcp4({ src_port: 4000, dst_port: 9, flags });
      expect(await sw.ports(1, back(ACK))).toEqual([2]);
      expect(await timeouts(sw, 1)).toContainEqual([60, 600]);
      await sw.frame(1, back(FIN));
      expect(await timeouts(sw, 1)).toContainEqual([5, 20]);
    },
  },
  {
    section: "ovs-actions(7), dec_ttl",
    name: "dec_ttl(ID, …) decreases as dec_ttl does",
    flows: ["udp,actions=dec_ttl(0,7),output:2"],
    in: [1, f.udp4({ ip: { ttl: 64 } })],
    out: { 2: f.udp4({ ip: { ttl: 63 } }) },
  },
  {
    section: "ovs-actions(7), dec_ttl",
    name: "a TTL that has run out is told to the controllers with these ids, and ends these actions",
    run: async (sw) => {
      await sw.ok({
        type: "OFPT_SET_ASYNC",
        packet_in_mask: [7, 0],
        port_status_mask: [7, 7],
        flow_removed_mask: [15, 0],
      });
      await sw.flows("udp,actions=dec_ttl(0,3),output:2", "tcp,actions=dec_ttl(7),output:2");
      expect(await sw.ports(1, f.udp4({ ip: { ttl: 1 } }))).toEqual([]);
      expect(await sw.ports(1, f.tcp4({ ip: { ttl: 1 } }))).toEqual([]);
      // This connection's id is 0: the one that concerns it, once.
      const packetIns = await sw.unasked("OFPT_PACKET_IN", 1);
      expect(packetIns).toMatchObject([{ reason: "OFPR_INVALID_TTL", match: { in_port: 1 } }]);
    },
  },
  {
    section: "ovs-actions(7), dec_ttl",
    name: "what has resubmitted goes on when a TTL has run out",
    flows: ["table=0,udp,actions=resubmit(,1),output:3", "table=1,udp,actions=dec_ttl,output:2"],
    in: [1, f.udp4({ ip: { ttl: 1 } })],
    out: { 3: f.udp4({ ip: { ttl: 1 } }) },
  },
];

conformance("Timeouts of TCP connections, and TTLs", cases, ["inline", "worker"]);
