import { decode, encodeMultipart, type MessageInitOf, parseFlow, toJson } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import { expect, test } from "vitest";
import { TestBench } from "./bench.testkit.js";
import type { FlowMod } from "./of.js";

/** Flows with every sort of field, twice with other values each: the second one is written from the first one's bytes. */
const FLOWS = [
  ...[1, 2].flatMap((n) => [
    `cookie=${n},priority=${n},in_port=${n},dl_src=00:00:00:00:00:0${n},dl_dst=01:02:03:04:05:0${n},actions=output:${n}`,
    `table=${n},priority=7,dl_dst=01:00:00:00:00:0${n}/01:00:00:00:00:0f,dl_vlan=${n},dl_vlan_pcp=${n},actions=drop`,
    `priority=${n},vlan_vid=0x1000/0x1000,actions=pop_vlan,output:2`,
    `tcp,nw_src=10.0.0.${n},nw_dst=10.${n}.0.0/16,tp_src=${n},tp_dst=0x100/0xff00,ip_dscp=${n},ip_ecn=${n},actions=output:1`,
    `tcp6,ipv6_src=fd00::${n},ipv6_dst=2001:db8:${n}::/48,tp_dst=${n},ipv6_label=${n},actions=output:1`,
    `arp,arp_op=${n},arp_spa=10.0.0.${n},arp_tpa=10.0.0.9,arp_sha=00:00:00:00:01:0${n},arp_tha=00:00:00:00:02:0${n},actions=controller`,
    `icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::${n},nd_sll=00:00:00:00:00:0${n},actions=normal`,
    `icmp,icmp_type=${n},icmp_code=${n},actions=in_port`,
    `mpls,mpls_label=${n},mpls_tc=${n},mpls_bos=1,actions=dec_mpls_ttl,output:1`,
    `metadata=${n},tun_id=${n}/0xff,reg${n}=${n},conj_id=${n},actions=set_field:00:00:00:00:00:0${n}->eth_dst,output:1`,
    `sctp,tp_dst=${n},idle_timeout=${n}0,hard_timeout=${n}00,send_flow_rem,no_packet_counts,actions=group:1`,
    `udp,tp_dst=${n},no_byte_counts,actions=write_metadata:${n},goto_table:9`,
    `dl_type=0x88e7,priority=${n},actions=clear_actions,write_actions(output:${n})`,
    `ip,nw_frag=later,nw_ttl=${n},actions=resubmit(,${n})`,
    `xreg1=0x10000000${n},pkt_mark=${n},actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])`,
  ]),
  "priority=0,actions=controller",
];

test("the parts of a flow dump are what the codec makes of the same flows", async () => {
  const bench = await TestBench.open(2);
  bench.bridge.groupMod({ command: "OFPGC_ADD", group_type: "OFPGT_ALL", group_id: 1, buckets: [] });
  for (const line of FLOWS) bench.bridge.flowMod(parseFlow(line, "add") as FlowMod);
  await bench.warp(1234);
  // Enough for several parts.
  for (let i = 0; i < 1500; i++)
    bench.bridge.flowMod(
      parseFlow(`table=5,cookie=${i},ip,nw_src=10.1.${i >> 8}.${i & 255},actions=output:2`, "add") as FlowMod,
    );
  const body = await bench.bridge.multipart({ type: "OFPMP_FLOW" });
  const reply = { type: "OFPT_MULTIPART_REPLY", xid: 77, body } as MessageInitOf<"OFPT_MULTIPART_REPLY">;
  const parts: string[] = [];
  for await (const part of bench.bridge.flowStats({ type: "OFPMP_FLOW" }, 77)) parts.push(toHex(part));
  const wanted = [...encodeMultipart(reply)];
  expect(wanted.length).toBeGreaterThan(2);
  expect(parts).toHaveLength(wanted.length);
  parts.forEach((part, i) => {
    if (part !== toHex(wanted[i]!))
      expect(toJson(decode(Buffer.from(part, "hex")))).toEqual(toJson(decode(wanted[i]!)));
    expect(part).toBe(toHex(wanted[i]!));
  });
});
