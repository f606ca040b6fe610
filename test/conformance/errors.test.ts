import { OFPP, type OfMessageInit, type OxmField, oxmFields } from "@sluice/openflow-codec";
import { toHex } from "@sluice/wire";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import { applyActions, hex, oxm, rawFlowMod, rawMessage, setField, tlv } from "../support/conformance/raw.js";
import { flowMod } from "../support/conformance/session.js";

type Row = readonly [
  name: string,
  message: OfMessageInit | Uint8Array,
  code: string,
  excuse?: { readonly ovs?: string; readonly open?: string },
];
const verdicts = (section: string, rows: readonly Row[]): Case[] =>
  rows.map(
    ([name, message, code, excuse]): Case => ({
      section,
      name: `${name}: ${code}`,
      ...excuse,
      run: async (sw) => expect(await sw.verdict(message)).toBe(code),
    }),
  );

/** Of table 11; Open vSwitch has put one more into the class. */
const basic = oxmFields.filter((field) => field.className === "OFPXMC_OPENFLOW_BASIC" && field.field < 40);
const byName = new Map<string, OxmField>(basic.map((field) => [field.name, field]));
const ovsLacks: ReadonlySet<string> = new Set(["in_phy_port", "pbb_isid", "ipv6_exthdr"]);
const lacks = (field: OxmField) => (ovsLacks.has(field.name) ? { ovs: `has no ${field.name}` } : {});

/** Table 11's column "mask". Open vSwitch, and so we, take masks in more fields than that. */
const MASKABLE: ReadonlySet<string> = new Set([
  ...["metadata", "eth_dst", "eth_src", "vlan_vid", "ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "arp_sha"],
  ...["arp_tha", "ipv6_src", "ipv6_dst", "ipv6_flabel", "pbb_isid", "tunnel_id", "ipv6_exthdr"],
]);

const sampleOf = (field: OxmField): string =>
  hex(field.name === "vlan_vid" ? 0x1001 : field.name === "eth_type" ? 0x0800 : 1, field.bytes);

/** The fields that a field needs before it, each once, with the first value that it may have. */
function neededBy(field: OxmField, found = new Map<string, string>()): Map<string, string> {
  for (const [name, values] of Object.entries(field.prerequisites)) {
    const before = byName.get(name)!;
    neededBy(before, found);
    const value = values[0] === undefined ? sampleOf(before) : hex(values[0], before.bytes);
    found.set(name, oxm(before.field, value));
  }
  return found;
}
const needs = (field: OxmField): string => [...neededBy(field).values()].join("");

const whole = (field: OxmField): string => oxm(field.field, sampleOf(field));

const matchRows = basic.flatMap((field): Row[] => {
  const { name, field: number, bytes, bits } = field;
  const before = needs(field);
  const excuse = lacks(field);
  const rows: Row[] = [
    [`${name} with what it needs`, rawFlowMod(before + whole(field)), "accepted", excuse],
    [`${name} twice`, rawFlowMod(before + whole(field) + whole(field)), "OFPBMC_DUP_FIELD", excuse],
    [
      `${name} with a length of ${bytes + 1}`,
      rawFlowMod(before + oxm(number, hex(1, bytes + 1))),
      "OFPBMC_BAD_LEN",
      { ovs: "takes a field of another length for one that it does not know" },
    ],
  ];
  if (before !== "")
    rows.push([`${name} without what it needs`, rawFlowMod(whole(field)), "OFPBMC_BAD_PREREQ", excuse]);
  if (MASKABLE.has(name)) {
    rows.push([
      `${name} with a bit outside of its mask`,
      rawFlowMod(before + oxm(number, sampleOf(field), hex(name === "vlan_vid" ? 0x1000 : 2, bytes))),
      "OFPBMC_BAD_WILDCARDS",
      {},
    ]);
  } else if (!field.maskable) {
    rows.push([
      `${name} with a mask`,
      rawFlowMod(before + oxm(number, sampleOf(field), hex(name === "eth_type" ? 0xff00 : 3, bytes))),
      "OFPBMC_BAD_MASK",
      excuse,
    ]);
  }
  if (bits < bytes * 8 && name !== "vlan_vid")
    rows.push([
      `${name} with more than its ${bits} bits`,
      rawFlowMod(before + oxm(number, hex(1 << bits, bytes))),
      "OFPBMC_BAD_VALUE",
      excuse,
    ]);
  return rows;
});

const otherMatchRows: Row[] = [
  [
    "a match of type OFPMT_STANDARD",
    rawFlowMod("", "", { type: 0 }),
    "OFPBMC_BAD_TYPE",
    { ovs: "looks at the length first" },
  ],
  ["a match of an unknown type", rawFlowMod("", "", { type: 7 }), "OFPBMC_BAD_TYPE"],
  ["a match that says it is longer than the message", rawFlowMod("", "", { length: 400 }), "OFPBMC_BAD_LEN"],
  ["a match shorter than its header", rawFlowMod("", "", { length: 3 }), "OFPBMC_BAD_LEN"],
  [
    "a field that ends behind the match",
    rawFlowMod(`${oxm(3, "0a0000000001").slice(0, -4)}`),
    "OFPBMC_BAD_LEN",
  ],
  ["an unknown field of the basic class", rawFlowMod(oxm(77, "01")), "OFPBMC_BAD_FIELD"],
  ["an unknown class", rawFlowMod(oxm(1, "01", "", 0x7777)), "OFPBMC_BAD_FIELD"],
  ["a field of an unknown experimenter", rawFlowMod(oxm(1, "00badbad01", "", 0xffff)), "OFPBMC_BAD_FIELD"],
];

/** Fields that a set_field may write are those whose prerequisites the match gives. */
const setRows = basic.flatMap((field): Row[] => {
  const { name, field: number, bytes, bits } = field;
  const before = needs(field);
  const excuse = lacks(field);
  if (!field.settable)
    return [
      [
        `set_field of ${name}`,
        rawFlowMod(before, applyActions(setField(whole(field)))),
        "OFPBAC_BAD_SET_TYPE",
        { ovs: "answers OFPBAC_BAD_SET_ARGUMENT", ...excuse },
      ],
    ];
  const rows: Row[] = [
    [
      `set_field of ${name} with what it needs`,
      rawFlowMod(before, applyActions(setField(whole(field)))),
      "accepted",
      name === "vlan_vid" ? { ovs: "asks for a match on a tag" } : excuse,
    ],
  ];
  if (before !== "")
    rows.push([
      `set_field of ${name} without what it needs`,
      rawFlowMod("", applyActions(setField(whole(field)))),
      "OFPBAC_MATCH_INCONSISTENT",
      excuse,
    ]);
  if (bits < bytes * 8 && name !== "vlan_vid")
    rows.push([
      `set_field of ${name} with more than its ${bits} bits`,
      rawFlowMod(before, applyActions(setField(oxm(number, hex(1 << bits, bytes))))),
      "OFPBAC_BAD_SET_ARGUMENT",
      excuse,
    ]);
  return rows;
});
const otherSetRows: Row[] = [
  [
    "set_field of an unknown field",
    rawFlowMod("", applyActions(setField(oxm(77, "01")))),
    "OFPBAC_BAD_SET_TYPE",
    { ovs: "answers OFPBAC_BAD_SET_LEN" },
  ],
  [
    "set_field with a mask, which OpenFlow 1.3 has not",
    rawFlowMod("", applyActions(setField(oxm(3, "0a0000000000", "ffffff000000")))),
    "OFPBAC_BAD_SET_TYPE",
    { ovs: "answers with an error of its own" },
  ],
  [
    "set_field of vlan_vid without OFPVID_PRESENT",
    rawFlowMod(oxm(6, "1005"), applyActions(setField(oxm(6, "0007")))),
    "OFPBAC_BAD_SET_ARGUMENT",
  ],
  [
    "set_field of 5 bytes of a MAC address",
    rawFlowMod("", applyActions(setField(oxm(3, "0a00000001")))),
    "OFPBAC_BAD_SET_LEN",
  ],
];

const IPV4 = oxm(5, "0800");
const MPLS = oxm(5, "8847");
const VLAN = oxm(6, "1005");
const acting = (actions: string, fields = ""): Uint8Array => rawFlowMod(fields, applyActions(actions));
const actionRows: Row[] = [
  ["an unknown action", acting(tlv(99, hex(0, 4))), "OFPBAC_BAD_TYPE"],
  ["an action of length 4", acting(`${hex(0, 2)}${hex(4, 2)}00000000`), "OFPBAC_BAD_LEN"],
  ["an action of length 0", acting(`${hex(18, 2)}${hex(0, 2)}00000000`), "OFPBAC_BAD_LEN"],
  ["an output of 24 bytes", acting(tlv(0, hex(2, 4) + hex(0, 16))), "OFPBAC_BAD_LEN"],
  [
    "an action that ends behind its instruction",
    acting(tlv(0, `${hex(2, 4)}0000000000000000`, 32)),
    "OFPBAC_BAD_LEN",
  ],
  [
    "an unknown experimenter's action",
    acting(tlv(0xffff, hex(0x00badbad, 4) + hex(0, 8))),
    "OFPBAC_BAD_EXPERIMENTER",
  ],
  [
    "an unknown Nicira action",
    acting(tlv(0xffff, `00002320${hex(9999, 2)}${hex(0, 6)}`)),
    "OFPBAC_BAD_EXP_TYPE",
  ],
  ["push_vlan 0x0800", acting(tlv(17, "08000000")), "OFPBAC_BAD_ARGUMENT"],
  ["push_mpls 0x0800", acting(tlv(19, "08000000"), IPV4), "OFPBAC_BAD_ARGUMENT"],
  ["push_pbb 0x0800", acting(tlv(26, "08000000")), "OFPBAC_BAD_ARGUMENT", { ovs: "has no push_pbb" }],
  ["pop_vlan without a match on a tag", acting(tlv(18, "00000000")), "OFPBAC_MATCH_INCONSISTENT"],
  ["pop_vlan with a match on a tag", acting(tlv(18, "00000000"), VLAN), "accepted"],
  ["pop_mpls without a match on MPLS", acting(tlv(20, "08000000"), IPV4), "OFPBAC_MATCH_INCONSISTENT"],
  ["dec_nw_ttl without a match on IP", acting(tlv(24, "00000000")), "OFPBAC_MATCH_INCONSISTENT"],
  ["dec_nw_ttl on ARP", acting(tlv(24, "00000000"), oxm(5, "0806")), "OFPBAC_MATCH_INCONSISTENT"],
  ["set_nw_ttl without a match on IP", acting(tlv(23, "05000000")), "OFPBAC_MATCH_INCONSISTENT"],
  ["set_mpls_ttl without a match on MPLS", acting(tlv(15, "05000000"), IPV4), "OFPBAC_MATCH_INCONSISTENT"],
  ["dec_mpls_ttl without a match on MPLS", acting(tlv(16, "00000000"), IPV4), "OFPBAC_MATCH_INCONSISTENT"],
  ["dec_mpls_ttl behind a push_mpls", acting(tlv(19, "88470000") + tlv(16, "00000000"), IPV4), "accepted"],
  [
    "dec_nw_ttl behind a push_mpls",
    acting(tlv(19, "88470000") + tlv(24, "00000000"), IPV4),
    "OFPBAC_MATCH_INCONSISTENT",
  ],
  ["dec_nw_ttl behind a pop_mpls to IP", acting(tlv(20, "08000000") + tlv(24, "00000000"), MPLS), "accepted"],
  ["pop_vlan behind a push_vlan", acting(tlv(17, "81000000") + tlv(18, "00000000")), "accepted"],
  ["a group above OFPG_MAX", acting(tlv(22, "fffffffe")), "OFPBAC_BAD_OUT_GROUP"],
  ["a group that is not there", acting(tlv(22, "00000063")), "OFPBAC_BAD_OUT_GROUP"],
  ["an output to ANY", acting(tlv(0, `${hex(OFPP.ANY, 4)}0000000000000000`)), "OFPBAC_BAD_OUT_PORT"],
];

const metadataInstruction = tlv(2, hex(0, 4) + hex(1n, 8) + hex(0xffn, 8));
const instructionRows: Row[] = [
  ["an unknown instruction", rawFlowMod("", tlv(9, hex(0, 4))), "OFPBIC_UNKNOWN_INST"],
  [
    "an unknown experimenter's instruction",
    rawFlowMod("", tlv(0xffff, hex(0x00badbad, 4))),
    "OFPBIC_BAD_EXPERIMENTER",
  ],
  ["an instruction of length 4", rawFlowMod("", `${hex(1, 2)}${hex(4, 2)}00000000`), "OFPBIC_BAD_LEN"],
  ["an instruction of length 0", rawFlowMod("", `${hex(1, 2)}${hex(0, 2)}00000000`), "OFPBIC_BAD_LEN"],
  ["a goto_table of 16 bytes", rawFlowMod("", tlv(1, `01000000${hex(0, 8)}`)), "OFPBIC_BAD_LEN"],
  ["an instruction that ends behind the message", rawFlowMod("", tlv(1, "01000000", 64)), "OFPBIC_BAD_LEN"],
  ["goto_table to the same table", rawFlowMod("", tlv(1, "00000000")), "OFPBIC_BAD_TABLE_ID"],
  [
    "goto_table backwards",
    { ...flowMod("table=5,actions=drop"), instructions: [{ type: "OFPIT_GOTO_TABLE", table_id: 4 }] },
    "OFPBIC_BAD_TABLE_ID",
  ],
  ...[
    ...["output(port=2,max_len=64)", "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])", "clone(output:2)"],
    ...["learn(NXM_OF_ETH_DST[])", "note:01", "push:NXM_NX_REG0[]", "check_pkt_larger(99)->NXM_NX_REG0[0]"],
    ...["output:NXM_NX_REG0[]", "controller(id=5)", "exit", "bundle(eth_src,0,hrw,ofport,members:1)"],
  ].map(
    (action): Row => [
      `${action} in an action set`,
      flowMod(`actions=write_actions(${action})`),
      "OFPBAC_BAD_TYPE",
    ],
  ),
  ...["set_queue:5,output:2", "move:NXM_NX_REG0[]->NXM_NX_REG1[]", "controller", "resubmit(,3)"].map(
    (actions): Row => [
      `${actions} in an action set`,
      flowMod(`actions=write_actions(${actions})`),
      "accepted",
    ],
  ),
  [
    "bundle with a member that is no port",
    flowMod("actions=bundle(eth_src,0,hrw,ofport,members:none,1)"),
    "accepted",
  ],
  ["goto_table 255, where packets are lost", rawFlowMod("", tlv(1, "ff000000")), "accepted"],
  ["goto_table 254, where packets are lost", rawFlowMod("", tlv(1, "fe000000")), "accepted"],
  ["goto_table 253", rawFlowMod("", tlv(1, "fd000000")), "accepted"],
  [
    "write_metadata twice",
    rawFlowMod("", metadataInstruction + metadataInstruction),
    "OFPBIC_UNSUP_INST",
    { ovs: "answers OFPBIC_DUP_INST of OpenFlow 1.4" },
  ],
  ["a meter that is not there", rawFlowMod("", tlv(6, hex(9, 4))), "OFPMMFC_INVALID_METER"],
];

const flowModRows: Row[] = [
  ["adding to table 255", { ...flowMod("actions=drop"), table_id: 255 }, "OFPFMFC_BAD_TABLE_ID"],
  // Table 254 is the switch's own.
  ["adding to table 254", { ...flowMod("actions=drop"), table_id: 254 }, "OFPBRC_EPERM"],
  ["modifying in table 254", { ...flowMod("actions=drop", "modify"), table_id: 254 }, "OFPBRC_EPERM"],
  ["deleting all of table 254", { ...flowMod("", "delete"), table_id: 254 }, "OFPBRC_EPERM"],
  [
    "deleting from table 254 what is not there",
    { ...flowMod("in_port=1", "delete_strict"), table_id: 254 },
    "accepted",
  ],
  ["an unknown command", { ...flowMod("actions=drop"), command: 9 }, "OFPFMFC_BAD_COMMAND"],
  ["an unknown flag", { ...flowMod("actions=drop"), flags: 0x4000 }, "OFPFMFC_BAD_FLAGS"],
  ["an unknown buffer", { ...flowMod("actions=drop"), buffer_id: 5 }, "OFPBRC_BUFFER_UNKNOWN"],
];

const requestRows: Row[] = [
  ["another version", rawMessage(5, "", 1), "OFPBRC_BAD_VERSION"],
  ["an unknown type", rawMessage(99), "OFPBRC_BAD_TYPE"],
  ["a type that only a switch sends", rawMessage(6, hex(0, 24)), "OFPBRC_BAD_TYPE"],
  ["a flow_mod cut short", rawMessage(14, hex(0, 16)), "OFPBRC_BAD_LEN"],
  ["a features request that is too long", rawMessage(5, hex(0, 8)), "OFPBRC_BAD_LEN"],
  ["a port_mod cut short", rawMessage(16, hex(0, 8)), "OFPBRC_BAD_LEN"],
  ["a role request cut short", rawMessage(24, hex(0, 8)), "OFPBRC_BAD_LEN"],
  ["an unknown experimenter", rawMessage(4, hex(0x00badbad, 4) + hex(1, 4)), "OFPBRC_BAD_EXPERIMENTER"],
  [
    "an unknown type of a known experimenter",
    rawMessage(4, hex(0x2320, 4) + hex(9999, 4)),
    "OFPBRC_BAD_EXP_TYPE",
  ],
  ["an unknown multipart", rawMessage(18, `${hex(99, 2)}${hex(0, 6)}`), "OFPBRC_BAD_MULTIPART"],
  [
    "an unknown experimenter's multipart",
    rawMessage(18, `ffff${hex(0, 6)}${hex(0x00badbad, 4)}${hex(1, 4)}`),
    "OFPBRC_BAD_EXPERIMENTER",
  ],
  [
    "a flow statistics request cut short",
    rawMessage(18, `${hex(1, 2)}${hex(0, 6)}${hex(0, 8)}`),
    "OFPBRC_BAD_LEN",
  ],
  [
    "a packet_out whose actions are longer than it",
    rawMessage(13, `ffffffff${hex(1, 4)}${hex(400, 2)}${hex(0, 6)}`),
    "OFPBRC_BAD_LEN",
  ],
];

const multipart = (
  body: Extract<OfMessageInit, { type: "OFPT_MULTIPART_REQUEST" }>["body"],
): OfMessageInit => ({
  type: "OFPT_MULTIPART_REQUEST",
  body,
});
const multipartRows: Row[] = [
  ["flow statistics of table 254", multipart({ type: "OFPMP_FLOW", table_id: 254 }), "accepted"],
  ["aggregates of table 254", multipart({ type: "OFPMP_AGGREGATE", table_id: 254 }), "accepted"],
  [
    "statistics of a port that is not there",
    multipart({ type: "OFPMP_PORT_STATS", port_no: 99 }),
    "accepted",
  ],
  [
    "statistics of queues of a port that is not there",
    multipart({ type: "OFPMP_QUEUE", port_no: 99 }),
    "OFPQOFC_BAD_PORT",
  ],
  [
    "statistics of a queue that is not there",
    multipart({ type: "OFPMP_QUEUE", port_no: 1, queue_id: 99 }),
    "OFPQOFC_BAD_QUEUE",
  ],
  [
    "statistics of a meter that is not there",
    multipart({ type: "OFPMP_METER", meter_id: 99 }),
    "OFPMMFC_UNKNOWN_METER",
  ],
  [
    "configuration of a meter that is not there",
    multipart({ type: "OFPMP_METER_CONFIG", meter_id: 99 }),
    "OFPMMFC_UNKNOWN_METER",
  ],
  [
    "queues of a port that is not there",
    { type: "OFPT_QUEUE_GET_CONFIG_REQUEST", port: 99 },
    "OFPQOFC_BAD_PORT",
  ],
];

const otherRows: Row[] = [
  ["table_mod of table 254", { type: "OFPT_TABLE_MOD", table_id: 254, config: 0 }, "OFPTMFC_EPERM"],
  ["table_mod of a table", { type: "OFPT_TABLE_MOD", table_id: 0, config: 0 }, "accepted"],
  ["table_mod of all tables", { type: "OFPT_TABLE_MOD", table_id: 255, config: 0 }, "accepted"],
  [
    "table_mod with undefined bits",
    { type: "OFPT_TABLE_MOD", table_id: 0, config: 0x100 },
    "OFPTMFC_BAD_CONFIG",
    { ovs: "ignores them" },
  ],
  [
    "set_config with undefined flags",
    { type: "OFPT_SET_CONFIG", flags: 0x80, miss_send_len: 128 },
    "OFPSCFC_BAD_FLAGS",
  ],
  [
    "a role that does not exist",
    { type: "OFPT_ROLE_REQUEST", role: 9, generation_id: 0n },
    "OFPRRFC_BAD_ROLE",
  ],
];

const replies: Case[] = [
  {
    section: "§7.5.4",
    name: "an error has the request's xid and its first 64 bytes",
    run: async (sw) => {
      const request = rawFlowMod(oxm(77, "01"), applyActions(tlv(0, `${hex(2, 4)}0000000000000000`)));
      const error = await sw.client.errorOf(request);
      expect(error?.xid).toBe(99);
      expect(error!.data.length).toBeGreaterThanOrEqual(64);
      expect(toHex(request)).toContain(toHex(error!.data));
    },
  },
  {
    section: "§7.5.4",
    name: "an error has all of a request that is shorter than 64 bytes",
    run: async (sw) => {
      const request = rawMessage(99);
      expect((await sw.client.errorOf(request))?.data).toEqual(request);
    },
  },
  {
    section: "§7.5.4",
    name: "after an error the connection goes on",
    run: async (sw) => {
      for (const request of [rawMessage(99), rawMessage(14, hex(0, 16)), rawFlowMod(oxm(77, "01"))])
        expect(await sw.verdict(request)).not.toBe("accepted");
      await sw.flows("actions=output:2");
      expect((await sw.multipart({ type: "OFPMP_FLOW" })).entries).toHaveLength(1);
    },
  },
  {
    section: "§7.5.4",
    name: "what was refused has changed nothing",
    run: async (sw) => {
      await sw.flows("cookie=1,priority=5,ip,actions=output:2");
      expect(await sw.verdict(flowMod("priority=5,ip,actions=output:3,group:77"))).toBe(
        "OFPBAC_BAD_OUT_GROUP",
      );
      expect((await sw.multipart({ type: "OFPMP_FLOW" })).entries).toMatchObject([
        { cookie: 1n, instructions: [{ actions: [{ port: 2 }] }] },
      ]);
    },
  },
  {
    section: "§7.5.4",
    name: "an error that comes as a request is not answered",
    ovs: "answers one that has less than 64 bytes of a request",
    run: async (sw) => {
      expect(await sw.client.exchange(rawMessage(1, hex(1, 2) + hex(1, 2)))).toEqual([]);
    },
  },
];

conformance("§7.4.4 errors", [
  ...verdicts("§7.2.3", matchRows),
  ...verdicts("§7.2.3", otherMatchRows),
  ...verdicts("§7.2.5.5", setRows),
  ...verdicts("§7.2.5.5", otherSetRows),
  ...verdicts("§7.2.5", actionRows),
  ...verdicts("§7.2.4", instructionRows),
  ...verdicts("§7.3.4.1", flowModRows),
  ...verdicts("§7.1", requestRows),
  ...verdicts("§7.3.5", multipartRows),
  ...verdicts("§7.3", otherRows),
  ...replies,
]);
