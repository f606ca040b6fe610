import { OFPP } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, type Session } from "../support/conformance/session.js";

/** The `learn` action. */
const section = "ovs-actions(7), learn";

const MAC = ["0a:00:00:00:00:0a", "0a:00:00:00:00:0b", "0a:00:00:00:00:0c"];
const heard = (n: number): Uint8Array => f.udp4({ eth: { src: MAC[n]! } });
const learn = (more: string): string =>
  `table=0,cookie=1,actions=learn(table=1,cookie=7,${more}NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)`;

const learned = async (sw: Session): Promise<string[]> => {
  // Open vSwitch learns in its own time.
  await sw.bench.advance(1000);
  const { entries } = await sw.multipart({ type: "OFPMP_FLOW", table_id: 1 });
  return (entries ?? []).map(({ match }) => String(match.eth_dst)).sort();
};

const cases: Case[] = [
  {
    section,
    name: "a flow is added for what was heard, and packets take it",
    run: async (sw) => {
      await sw.flows(learn(""));
      await sw.frame(2, heard(0));
      expect(await learned(sw)).toEqual([MAC[0]]);
      expect(await sw.ports(1, f.udp4({ eth: { dst: MAC[0]!, src: MAC[1]! } }))).toEqual([2]);
      expect(await learned(sw)).toEqual([MAC[0], MAC[1]]);
    },
  },
  {
    section,
    name: "a load of more than 64 bits is one of each 64, and the flow can be told of",
    run: async (sw) => {
      await sw.flows(
        "table=0,udp6,actions=learn(table=1,eth_type=0x86dd,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0x20010db885a308d313198a2e03707348->NXM_NX_IPV6_DST[],output:NXM_OF_IN_PORT[]),resubmit(,1)",
      );
      await sw.frame(2, f.udp6({ eth: { src: MAC[0]!, dst: MAC[1]! } }));
      expect(await learned(sw)).toEqual([MAC[0]]);
      const back = (dst: string) => f.udp6({ eth: { src: MAC[1]!, dst: MAC[0]! }, ip: { dst } });
      expect(await sw.frame(1, back(f.IP6_A))).toEqual({ 2: [back("2001:db8:85a3:8d3:1319:8a2e:370:7348")] });
    },
  },
  {
    section,
    name: "16 bits of a register name the reserved ports, too",
    run: async (sw) => {
      await sw.flows(
        "table=0,actions=load:0xfffe->NXM_NX_REG0[0..15],learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_NX_REG0[0..15]),resubmit(,1)",
      );
      await sw.frame(2, heard(0));
      expect(await learned(sw)).toEqual([MAC[0]]);
      expect(await sw.ports(1, f.udp4({ eth: { dst: MAC[0]!, src: MAC[1]! } }))).toEqual([OFPP.LOCAL]);
    },
  },
  {
    section,
    name: "limit: no more flows with its cookie than that",
    run: async (sw) => {
      await sw.flows(learn("limit=2,"));
      for (const n of [0, 1, 2]) await sw.frame(2, heard(n));
      expect(await learned(sw)).toEqual([MAC[0], MAC[1]]);
      await sw.ok(flowMod(`table=1,dl_dst=${MAC[0]}`, "delete"));
      await sw.frame(2, heard(2));
      expect(await learned(sw)).toEqual([MAC[1], MAC[2]]);
    },
  },
  {
    section,
    name: "without delete_learned what was learned stays",
    run: async (sw) => {
      await sw.flows(learn(""));
      await sw.frame(2, heard(0));
      await sw.ok(flowMod("table=0", "delete"));
      expect(await learned(sw)).toEqual([MAC[0]]);
    },
  },
  ...(
    [
      ["is deleted", (sw: Session) => sw.ok(flowMod("table=0,priority=32768", "delete_strict"))],
      ["gets other actions", (sw: Session) => sw.ok(flowMod("table=0,actions=drop", "modify"))],
      ["is replaced", (sw: Session) => sw.flows("table=0,actions=drop")],
    ] as const
  ).map(
    ([name, change]): Case => ({
      section,
      name: `delete_learned: what was learned goes when the flow ${name}`,
      run: async (sw) => {
        await sw.flows(learn("delete_learned,"), `table=1,cookie=8,dl_dst=${MAC[2]},actions=drop`);
        await sw.frame(2, heard(0));
        expect(await learned(sw)).toEqual([MAC[0], MAC[2]]);
        await change(sw);
        expect(await learned(sw)).toEqual([MAC[2]]);
      },
    }),
  ),
  {
    section,
    name: "delete_learned: not before the last flow that learns the same",
    run: async (sw) => {
      const another = learn("delete_learned,").replace("table=0,", "table=0,in_port=3,priority=9,");
      await sw.flows(learn("delete_learned,"), another);
      await sw.frame(2, heard(0));
      await sw.ok(flowMod("table=0,priority=32768", "delete_strict"));
      expect(await learned(sw)).toEqual([MAC[0]]);
      await sw.ok(flowMod("table=0", "delete"));
      expect(await learned(sw)).toEqual([]);
    },
  },
];

conformance("The learn action", cases);
