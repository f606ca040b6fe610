import { encode, encodeMultipart, OFPP, OFPTT } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { PORTS } from "../support/conformance/bench.js";
import { type Case, conformance } from "../support/conformance/case.js";
import type { ReplyBody } from "../support/conformance/client.js";
import * as f from "../support/conformance/frames.js";
import { flowMod, type Session } from "../support/conformance/session.js";

const size = BigInt(f.udp4().length);

const descriptions: Case[] = [
  {
    section: "§7.3.5.1",
    name: "the description has a manufacturer, hardware, software",
    run: async (sw) => {
      const desc = await sw.multipart({ type: "OFPMP_DESC" });
      expect(desc.mfr_desc).not.toBe("");
      expect(desc.hw_desc).not.toBe("");
      expect(desc.sw_desc).not.toBe("");
    },
  },
  {
    section: "§7.3.5.7",
    name: "port descriptions name every port, LOCAL too, with an address of its own",
    run: async (sw) => {
      const { entries } = await sw.multipart({ type: "OFPMP_PORT_DESC" });
      expect(entries.map(({ port_no, name }) => `${port_no} ${name}`).sort()).toEqual(
        [...PORTS.map((port) => `${port} p${port}`), `${OFPP.LOCAL} br0`].sort(),
      );
      expect(new Set(entries.map(({ hw_addr }) => hw_addr)).size).toBe(entries.length);
    },
  },
  {
    section: "§7.3.5.7",
    name: "a port that is up says so by OFPPS_LIVE",
    run: async (sw) => {
      const { entries } = await sw.multipart({ type: "OFPMP_PORT_DESC" });
      expect(entries.find(({ port_no }) => port_no === 1)!.state & 5).toBe(4);
    },
  },
];

const flows: Case[] = [
  {
    section: "§7.3.5",
    name: "a reply too long for one message comes in parts, whole",
    run: async (sw) => {
      const mods = Array.from({ length: 1500 }, (_, n) =>
        flowMod(`cookie=${n},udp,udp_src=${n + 1},nw_src=10.0.0.1,actions=output:2,output:3`),
      );
      await sw.ok(...mods);
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW" });
      expect(new Set(entries.map(({ cookie }) => cookie)).size).toBe(1500);
      expect(encode(mods[0]!).length * 1500).toBeGreaterThan(65_535);
    },
  },
  {
    section: "§7.3.5.2",
    name: "instructions and actions come back as they were given",
    run: async (sw) => {
      await sw.ok(
        flowMod(
          "table=1,tcp,dl_vlan=5,actions=set_field:80->tcp_dst,set_field:0a:0b:0c:0d:0e:0f->eth_dst,pop_vlan,push_mpls:0x8847,set_field:7->mpls_label,controller:77,output:3,write_actions(output:2),write_metadata:0x1/0xf,goto_table:7",
        ),
      );
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW", table_id: 1 });
      expect(entries).toMatchObject([
        {
          match: { eth_type: 0x0800, ip_proto: 6, vlan_vid: 0x1005 },
          instructions: [
            {
              type: "OFPIT_APPLY_ACTIONS",
              actions: [
                { type: "OFPAT_SET_FIELD", field: { tcp_dst: 80 } },
                { type: "OFPAT_SET_FIELD", field: { eth_dst: "0a:0b:0c:0d:0e:0f" } },
                { type: "OFPAT_POP_VLAN" },
                { type: "OFPAT_PUSH_MPLS", ethertype: 0x8847 },
                { type: "OFPAT_SET_FIELD", field: { mpls_label: 7 } },
                { type: "OFPAT_OUTPUT", port: OFPP.CONTROLLER, max_len: 77 },
                { type: "OFPAT_OUTPUT", port: 3 },
              ],
            },
            { type: "OFPIT_WRITE_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: 2 }] },
            { type: "OFPIT_WRITE_METADATA", metadata: 1n, metadata_mask: 0xfn },
            { type: "OFPIT_GOTO_TABLE", table_id: 7 },
          ],
        },
      ]);
    },
  },
  {
    section: "§7.2.3.5",
    name: "a masked match comes back with its mask, and without the bits that it does not cover",
    run: async (sw) => {
      await sw.flows(
        "ip,nw_src=10.1.0.0/16,metadata=0x12/0xff,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
      );
      const { entries } = await sw.multipart({ type: "OFPMP_FLOW" });
      expect(entries[0]!.match).toEqual({
        metadata: { value: 0x12n, mask: 0xffn },
        eth_dst: { value: "01:00:00:00:00:00", mask: "01:00:00:00:00:00" },
        eth_type: 0x0800,
        ipv4_src: { value: "10.1.0.0", mask: "255.255.0.0" },
      });
    },
  },
];

const tables: Case[] = [
  {
    section: "§7.3.5.4",
    name: "each table counts its flows, lookups and matches",
    run: async (sw) => {
      const before = (await sw.multipart({ type: "OFPMP_TABLE" })).entries;
      await sw.flows("udp,actions=goto_table:1", "tcp,actions=drop", "table=1,priority=5,icmp,actions=drop");
      await sw.frame(1, f.udp4(), f.udp4(), f.tcp4());
      await sw.bench.advance(2000);
      const after = (await sw.multipart({ type: "OFPMP_TABLE" })).entries;
      const change = (table_id: number) => {
        const of = (entries: typeof before) => entries.find((entry) => entry.table_id === table_id)!;
        return {
          active_count: of(after).active_count,
          looked: of(after).lookup_count - of(before).lookup_count,
          matched: of(after).matched_count - of(before).matched_count,
        };
      };
      expect(change(0)).toEqual({ active_count: 2, looked: 3n, matched: 3n });
      expect(change(1)).toEqual({ active_count: 1, looked: 2n, matched: 0n });
    },
  },
  {
    section: "§7.3.5.4",
    name: "statistics name each of the 254 tables",
    run: async (sw) => {
      const { entries } = await sw.multipart({ type: "OFPMP_TABLE" });
      expect(entries.map(({ table_id }) => table_id)).toEqual(Array.from({ length: 254 }, (_, id) => id));
    },
  },
  {
    section: "§7.3.5.5",
    name: "features tell of each table what it can do",
    run: async (sw) => {
      const { entries } = await sw.multipart({ type: "OFPMP_TABLE_FEATURES" });
      expect(entries.map(({ table_id }) => table_id)).toEqual(Array.from({ length: 254 }, (_, id) => id));
      const [table] = entries;
      expect(table).toMatchObject({
        metadata_match: 0xffff_ffff_ffff_ffffn,
        metadata_write: 0xffff_ffff_ffff_ffffn,
      });
      const types = new Set(table!.properties.map(({ type }) => type));
      for (const type of [
        ...["OFPTFPT_INSTRUCTIONS", "OFPTFPT_NEXT_TABLES", "OFPTFPT_WRITE_ACTIONS", "OFPTFPT_APPLY_ACTIONS"],
        ...["OFPTFPT_MATCH", "OFPTFPT_WILDCARDS", "OFPTFPT_WRITE_SETFIELD", "OFPTFPT_APPLY_SETFIELD"],
      ])
        expect([...types]).toContain(type);
      const next = table!.properties.find(({ type }) => type === "OFPTFPT_NEXT_TABLES");
      expect(next).toMatchObject({ next_table_ids: Array.from({ length: 253 }, (_, id) => id + 1) });
    },
  },
  {
    section: "§7.3.5.5",
    name: "the last table leads nowhere",
    run: async (sw) => {
      const { entries } = await sw.multipart({ type: "OFPMP_TABLE_FEATURES" });
      const next = entries[253]!.properties.find(({ type }) => type === "OFPTFPT_NEXT_TABLES");
      expect(next).toMatchObject({ next_table_ids: [] });
    },
  },
];

/** A request with tables in it configures them; without properties, as ovs-ofctl mod-table sends it. */
const request = (table_id: number, change: { name?: string; max_entries?: number; config?: number }) => ({
  type: "OFPMP_TABLE_FEATURES" as const,
  entries: [
    {
      table_id,
      name: "",
      metadata_match: 0n,
      metadata_write: 0n,
      config: 0,
      max_entries: 1000,
      properties: [],
      ...change,
    },
  ],
});

type Entry = ReplyBody<"OFPMP_TABLE_FEATURES">["entries"][number];
type Property = Entry["properties"][number];

const featuresOf = async (sw: Session): Promise<Entry[]> =>
  (await sw.multipart({ type: "OFPMP_TABLE_FEATURES" })).entries;

const rewrite = (entries: readonly Entry[]) => ({ type: "OFPMP_TABLE_FEATURES" as const, entries });

/** What the switch says to a pipeline in which table 3 has other properties. */
async function refusal(sw: Session, change: (table: Entry) => Entry): Promise<string> {
  const entries = await featuresOf(sw);
  const changed = entries.map((entry) => (entry.table_id === 3 ? change(entry) : entry));
  const parts = [...encodeMultipart({ type: "OFPT_MULTIPART_REQUEST", xid: 7, body: rewrite(changed) })];
  for (const part of parts.slice(0, -1)) sw.client.send(part);
  return sw.verdict(parts.at(-1)!);
}

/** Table 3 with other properties; fails when the switch refuses. */
async function change(sw: Session, change: (table: Entry) => Entry): Promise<void> {
  expect(await refusal(sw, change)).toBe("accepted");
}

const withProperty =
  (property: Partial<Property> & { type: string }) =>
  (table: Entry): Entry => ({
    ...table,
    properties: table.properties
      .filter(({ type }) => type !== `${property.type}_MISS`)
      .map((old) => (old.type === property.type ? (property as Property) : old)),
  });

const takesNone = "does not change what its tables can do";

const configuringTables: Case[] = [
  {
    section: "§7.3.5.5",
    name: "a request gives a table its name and its greatest number of flows",
    ovs: "takes no such requests",
    run: async (sw) => {
      const { entries } = await sw.multipart(request(3, { name: "acl", max_entries: 2 }));
      expect(entries.find(({ table_id }) => table_id === 3)).toMatchObject({ name: "acl", max_entries: 2 });
      await sw.flows("table=3,udp,actions=drop", "table=3,tcp,actions=drop");
      expect(await sw.verdict(flowMod("table=3,icmp,actions=drop"))).toBe("OFPFMFC_TABLE_FULL");
      expect(await sw.verdict(flowMod("table=3,udp,actions=output:2"))).toBe("accepted");
      await sw.flows("table=4,icmp,actions=drop");
    },
  },
  {
    section: "§7.4.4",
    name: "a request for a table that is not there: OFPTFFC_BAD_TABLE",
    ovs: "takes no such requests",
    run: async (sw) => {
      expect(await sw.verdict({ type: "OFPT_MULTIPART_REQUEST", body: request(254, { name: "x" }) })).toBe(
        "OFPTFFC_BAD_TABLE",
      );
    },
  },
  ...(
    [
      ["more flows than a table can hold", { max_entries: 0xffff_ffff }],
      ["a table config of unknown bits", { config: 4 }],
    ] as const
  ).map(
    ([name, more]): Case => ({
      section: "§7.4.4",
      name: `${name}: OFPTFFC_BAD_ARGUMENT`,
      ovs: "takes no such requests",
      run: async (sw) => {
        expect(await sw.verdict({ type: "OFPT_MULTIPART_REQUEST", body: request(3, more) })).toBe(
          "OFPTFFC_BAD_ARGUMENT",
        );
      },
    }),
  ),
  {
    section: "§7.3.5.5",
    name: "what the switch says of its tables may be sent back, and changes nothing",
    run: async (sw) => {
      await sw.flows("table=3,udp,actions=drop");
      const before = await featuresOf(sw);
      await change(sw, (table) => table);
      expect(await featuresOf(sw)).toEqual(before);
      expect((await sw.multipart({ type: "OFPMP_FLOW" })).entries).toHaveLength(1);
    },
  },
  ...(
    [
      [
        "instructions",
        withProperty({
          type: "OFPTFPT_INSTRUCTIONS",
          instruction_ids: [{ type: "OFPIT_APPLY_ACTIONS" }],
        } as never),
        "udp,actions=output:2",
        "udp,actions=write_actions(output:2)",
        "OFPBIC_UNSUP_INST",
      ],
      [
        "next tables",
        withProperty({ type: "OFPTFPT_NEXT_TABLES", next_table_ids: [5] } as never),
        "udp,actions=goto_table:5",
        "udp,actions=goto_table:6",
        "OFPBIC_BAD_TABLE_ID",
      ],
      [
        "actions applied",
        withProperty({ type: "OFPTFPT_APPLY_ACTIONS", action_ids: [{ type: "OFPAT_OUTPUT" }] } as never),
        "udp,actions=output:2,write_actions(dec_ttl)",
        "udp,actions=dec_ttl,output:2",
        "OFPBAC_BAD_TYPE",
      ],
      [
        "actions applied, without those of experimenters",
        withProperty({ type: "OFPTFPT_APPLY_ACTIONS", action_ids: [{ type: "OFPAT_OUTPUT" }] } as never),
        "udp,actions=output:2",
        "udp,actions=resubmit(,9),output:2",
        "OFPBAC_BAD_TYPE",
      ],
      [
        "actions written",
        withProperty({ type: "OFPTFPT_WRITE_ACTIONS", action_ids: [{ type: "OFPAT_OUTPUT" }] } as never),
        "udp,actions=dec_ttl,write_actions(output:2)",
        "udp,actions=write_actions(dec_ttl)",
        "OFPBAC_BAD_TYPE",
      ],
      [
        "fields set at once",
        withProperty({ type: "OFPTFPT_APPLY_SETFIELD", oxm_ids: ["eth_dst"] } as never),
        "udp,actions=set_field:0a:00:00:00:00:01->eth_dst,output:2",
        "udp,actions=set_field:0a:00:00:00:00:01->eth_src,output:2",
        "OFPBAC_BAD_SET_TYPE",
      ],
      [
        "fields set in the action set",
        withProperty({ type: "OFPTFPT_WRITE_SETFIELD", oxm_ids: ["eth_dst"] } as never),
        "udp,actions=write_actions(set_field:0a:00:00:00:00:01->eth_dst)",
        "udp,actions=write_actions(set_field:0a:00:00:00:00:01->eth_src)",
        "OFPBAC_BAD_SET_TYPE",
      ],
      [
        "fields matched",
        (table: Entry) =>
          withProperty({ type: "OFPTFPT_WILDCARDS", oxm_ids: ["in_port", "eth_dst"] } as never)(
            withProperty({ type: "OFPTFPT_MATCH", oxm_ids: ["in_port", "eth_dst"] } as never)(table),
          ),
        "in_port=1,actions=drop",
        "dl_src=0a:00:00:00:00:01,actions=drop",
        "OFPBMC_BAD_FIELD",
      ],
      [
        "fields matched without a mask",
        (table: Entry) =>
          withProperty({ type: "OFPTFPT_WILDCARDS", oxm_ids: ["eth_dst"] } as never)(
            withProperty({ type: "OFPTFPT_MATCH", oxm_ids: ["eth_dst"] } as never)(table),
          ),
        "dl_dst=0a:00:00:00:00:01,actions=drop",
        "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
        "OFPBMC_BAD_MASK",
      ],
      [
        "fields that may be left out",
        withProperty({ type: "OFPTFPT_WILDCARDS", oxm_ids: ["eth_dst", "eth_type"] } as never),
        "",
        "dl_dst=0a:00:00:00:00:01,actions=drop",
        "OFPBMC_BAD_WILDCARDS",
      ],
      [
        "metadata matched",
        (table: Entry) => ({ ...table, metadata_match: 0xffn }),
        "metadata=0x12/0xff,actions=drop",
        "metadata=0x100/0x100,actions=drop",
        "OFPBMC_BAD_MASK",
      ],
      [
        "metadata written",
        (table: Entry) => ({ ...table, metadata_write: 0xffn }),
        "udp,actions=write_metadata:0x12/0xff,goto_table:4",
        "udp,actions=write_metadata:0x100/0x100,goto_table:4",
        "OFPBIC_UNSUP_METADATA_MASK",
      ],
    ] as const
  ).map(
    ([name, narrow, fits, other, code]): Case => ({
      section: "§7.3.5.5",
      name: `a request narrows a table's features: ${name}`,
      ovs: takesNone,
      run: async (sw) => {
        expect(await sw.verdict(flowMod(`table=3,${other}`))).toBe("accepted");
        await change(sw, narrow);
        // What was there is gone, and no message tells of it.
        expect((await sw.multipart({ type: "OFPMP_FLOW", table_id: 3 })).entries).toEqual([]);
        expect(await sw.verdict(flowMod(`table=3,${other}`))).toBe(code);
        expect(await sw.verdict(flowMod(`table=4,${other.replace("table:4", "table:5")}`))).toBe("accepted");
        if (fits !== "") expect(await sw.verdict(flowMod(`table=3,${fits}`))).toBe("accepted");
        expect(await sw.verdict(flowMod("table=3,priority=0,actions=drop"))).toBe("accepted");
        const told = (await featuresOf(sw))[3]!;
        expect(told).toMatchObject(narrow(told));
      },
    }),
  ),
  {
    section: "§7.3.5.5",
    name: "what may be done on a miss is told apart",
    ovs: takesNone,
    run: async (sw) => {
      const only = (type: string, ids: string[]) =>
        ({ type, instruction_ids: ids.map((type) => ({ type })) }) as never as Property;
      await change(sw, (table) => ({
        ...table,
        properties: table.properties.map((old) =>
          old.type === "OFPTFPT_INSTRUCTIONS_MISS" ? only(old.type, ["OFPIT_GOTO_TABLE"]) : old,
        ),
      }));
      expect(await sw.verdict(flowMod("table=3,udp,actions=output:2"))).toBe("accepted");
      expect(await sw.verdict(flowMod("table=3,priority=0,actions=output:2"))).toBe("OFPBIC_UNSUP_INST");
      expect(await sw.verdict(flowMod("table=3,priority=0,actions=goto_table:4"))).toBe("accepted");
    },
  },
  {
    section: "§7.3.5.5",
    name: "tables that a request leaves out are gone until one has them again",
    ovs: takesNone,
    run: async (sw) => {
      const all = await featuresOf(sw);
      await sw.flows("table=9,udp,actions=drop", "table=0,udp,actions=goto_table:1");
      const three = all.slice(0, 3).map((table) =>
        withProperty({
          type: "OFPTFPT_NEXT_TABLES",
          next_table_ids: [1, 2].filter((id) => id > table.table_id),
        } as never)(table),
      );
      const { entries } = await sw.multipart(rewrite(three));
      expect(entries.map(({ table_id }) => table_id)).toEqual([0, 1, 2]);
      expect((await sw.multipart({ type: "OFPMP_TABLE" })).entries).toHaveLength(3);
      expect(await sw.verdict(flowMod("table=9,udp,actions=drop"))).toBe("OFPFMFC_BAD_TABLE_ID");
      expect(await sw.verdict(flowMod("table=0,udp,actions=goto_table:9"))).toBe("OFPBIC_BAD_TABLE_ID");
      await sw.flows("table=0,udp,actions=goto_table:2", "table=2,udp,actions=output:3");
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
      const parts = [...encodeMultipart({ type: "OFPT_MULTIPART_REQUEST", xid: 7, body: rewrite(all) })];
      for (const part of parts.slice(0, -1)) sw.client.send(part);
      expect(await sw.verdict(parts.at(-1)!)).toBe("accepted");
      expect(await sw.verdict(flowMod("table=9,udp,actions=drop"))).toBe("accepted");
    },
  },
  ...(
    [
      [
        "a field that is not matched may not be left out either",
        withProperty({ type: "OFPTFPT_MATCH", oxm_ids: ["eth_dst"] } as never),
        "OFPTFFC_BAD_ARGUMENT",
      ],
      [
        "a next table that comes before",
        withProperty({ type: "OFPTFPT_NEXT_TABLES", next_table_ids: [2] } as never),
        "OFPTFFC_BAD_ARGUMENT",
      ],
      [
        "a field that cannot be set",
        withProperty({ type: "OFPTFPT_APPLY_SETFIELD", oxm_ids: ["in_port"] } as never),
        "OFPTFFC_BAD_ARGUMENT",
      ],
      [
        "a property twice",
        (table: Entry) => ({ ...table, properties: [...table.properties, table.properties[0]!] }),
        "OFPTFFC_BAD_ARGUMENT",
      ],
      [
        "a property left out",
        (table: Entry) => ({
          ...table,
          properties: table.properties.filter(({ type }) => type !== "OFPTFPT_MATCH"),
        }),
        "OFPTFFC_BAD_ARGUMENT",
      ],
      [
        "a property of an experimenter",
        (table: Entry) => ({
          ...table,
          properties: [
            ...table.properties,
            {
              type: "OFPTFPT_EXPERIMENTER",
              experimenter: 1,
              exp_type: 1,
              data: new Uint8Array(),
            } as Property,
          ],
        }),
        "OFPTFFC_BAD_TYPE",
      ],
      ["a table twice", (table: Entry) => ({ ...table, table_id: 4 }), "OFPTFFC_BAD_TABLE"],
    ] as const
  ).map(
    ([name, wrong, code]): Case => ({
      section: "§7.4.4",
      name: `features that cannot be: ${name}: ${code}, and nothing changes`,
      ...(code === "OFPTFFC_BAD_TYPE" ? {} : { ovs: takesNone }),
      run: async (sw) => {
        await sw.flows("table=3,udp,actions=drop");
        const before = await featuresOf(sw);
        expect(await refusal(sw, wrong)).toBe(code);
        expect(await featuresOf(sw)).toEqual(before);
        expect((await sw.multipart({ type: "OFPMP_FLOW" })).entries).toHaveLength(1);
      },
    }),
  ),
];

const ports: Case[] = [
  {
    section: "§7.3.5.6",
    name: "ports count packets and bytes both ways",
    run: async (sw) => {
      const read = async (port_no: number) =>
        (await sw.multipart({ type: "OFPMP_PORT_STATS", port_no })).entries;
      const [in1] = await read(1);
      const [out1] = await read(2);
      await sw.flows("actions=push_vlan:0x8100,output:2");
      await sw.frame(1, f.udp4(), f.udp4());
      const [in2] = await read(1);
      const [out2] = await read(2);
      expect(in2!.rx_packets - in1!.rx_packets).toBe(2n);
      expect(in2!.rx_bytes - in1!.rx_bytes).toBe(2n * size);
      expect(out2!.tx_packets - out1!.tx_packets).toBe(2n);
      expect(out2!.tx_bytes - out1!.tx_bytes).toBe(2n * (size + 4n));
    },
  },
  {
    section: "§7.3.5.6",
    name: "OFPP_ANY asks for every port",
    run: async (sw) => {
      const { entries } = await sw.multipart({ type: "OFPMP_PORT_STATS", port_no: OFPP.ANY });
      expect(entries.map(({ port_no }) => port_no).sort((a, b) => a - b)).toEqual([...PORTS, OFPP.LOCAL]);
    },
  },
  {
    section: "§7.3.5.8",
    name: "without queues the statistics of all queues of all ports are empty",
    ovs: "has a queue 0 on each port by default",
    run: async (sw) => {
      expect((await sw.multipart({ type: "OFPMP_QUEUE" })).entries).toEqual([]);
    },
  },
  {
    section: "§7.3.6",
    name: "a port without queues has an empty queue configuration",
    ovs: "has a queue 0 on each port by default",
    run: async (sw) => {
      const reply = await sw.client.request(
        { type: "OFPT_QUEUE_GET_CONFIG_REQUEST", port: 1 },
        "OFPT_QUEUE_GET_CONFIG_REPLY",
      );
      expect(reply).toMatchObject({ port: 1, queues: [] });
    },
  },
];

const empty: Case[] = (
  [
    ["OFPMP_FLOW", { type: "OFPMP_FLOW", table_id: OFPTT.ALL }],
    ["OFPMP_GROUP", { type: "OFPMP_GROUP" }],
    ["OFPMP_GROUP_DESC", { type: "OFPMP_GROUP_DESC" }],
    ["OFPMP_METER", { type: "OFPMP_METER" }],
    ["OFPMP_METER_CONFIG", { type: "OFPMP_METER_CONFIG" }],
  ] as const
).map(
  ([name, body]): Case => ({
    section: "§7.3.5",
    name: `${name} of nothing is an empty list`,
    run: async (sw) => expect(await sw.multipart(body)).toMatchObject({ entries: [] }),
  }),
);

conformance(
  "§7.3.5 multiparts",
  [...descriptions, ...flows, ...tables, ...configuringTables, ...ports, ...empty],
  ["inline", "worker"],
);
