import { encode, experimenterErrorNumbers, OFPP, OFPPC, type OfMessageInit } from "@sluice/openflow-codec";
import { expect } from "vitest";
import { type Case, conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";
import { rawMessage } from "../support/conformance/raw.js";
import { flowMod, groupMod, type Session } from "../support/conformance/session.js";

/** Bundles (ONF extension 230): a line of steps and what each is answered with. */

type Verb = "OPEN" | "CLOSE" | "COMMIT" | "DISCARD";
type Step = readonly [Verb, flags?: number] | readonly ["ADD", OfMessageInit | Uint8Array, flags?: number];

const ATOMIC = 1;
const ORDERED = 2;
const BUNDLE = 7;

/** The codes of errors that the ONF has given numbers of its own. */
const CODES = new Map(
  (
    [
      "OFPBFC_BAD_ID",
      "OFPBFC_BUNDLE_CLOSED",
      "OFPBFC_BAD_TYPE",
      "OFPBFC_BAD_FLAGS",
      "OFPBFC_MSG_BAD_LEN",
      "OFPBFC_MSG_BAD_XID",
      "OFPBFC_MSG_UNSUP",
      "OFPBFC_MSG_FAILED",
      "OFPBFC_TIMEOUT",
    ] as const
  ).map((name): [number, string] => [experimenterErrorNumbers(name).code, name]),
);
const codeOf = (code: string | number): string => (typeof code === "number" ? CODES.get(code)! : code);

/** A message in the envelope that puts it into the bundle. */
function envelope(message: OfMessageInit | Uint8Array, flags: number, xid = 0x7000): OfMessageInit {
  const inner = message instanceof Uint8Array ? message.slice() : encode({ ...message, xid });
  if (message instanceof Uint8Array) new DataView(inner.buffer).setUint32(4, xid);
  return { type: "ONFT_BUNDLE_ADD_MESSAGE", xid, bundle_id: BUNDLE, flags, message: inner };
}

function request(step: Step): OfMessageInit {
  if (step[0] === "ADD") return envelope(step[1], step[2] ?? 0);
  const ctrl_type = `OFPBCT_${step[0]}_REQUEST` as const;
  return { type: "ONFT_BUNDLE_CONTROL", bundle_id: BUNDLE, ctrl_type, flags: step[1] ?? 0 };
}

/** What the switch says to a request: replies as "OPEN" or "COMMIT", errors by their codes, nothing as "". */
async function answer(sw: Session, message: OfMessageInit): Promise<string> {
  const answers = await sw.client.exchange(message);
  return answers
    .map((one) => {
      if (one.type === "OFPT_ERROR") return codeOf(one.error_code);
      if (one.type !== "ONFT_BUNDLE_CONTROL") return one.type;
      // Whatever the request's flags.
      expect(one.flags).toBe(0);
      return String(one.ctrl_type).replace(/OFPBCT_(.*)_REPLY/, "$1");
    })
    .join(" ");
}

async function answers(sw: Session, steps: readonly Step[]): Promise<string[]> {
  const all: string[] = [];
  for (const step of steps) all.push(await answer(sw, request(step)));
  return all;
}

const flow = flowMod("udp,actions=output:2");
const conversations: Case[] = (
  [
    [
      "opened, filled, closed and committed",
      [
        ["OPEN", 3],
        ["ADD", flow, 3],
        ["CLOSE", 3],
        ["COMMIT", 3],
      ],
      "OPEN||CLOSE|COMMIT",
    ],
    ["need not be closed", [["OPEN"], ["ADD", flow], ["COMMIT"]], "OPEN||COMMIT"],
    ["need not be opened", [["ADD", flow], ["COMMIT"]], "|COMMIT"],
    ["opened twice is thrown away", [["OPEN"], ["OPEN"], ["COMMIT"]], "OPEN|OFPBFC_BAD_ID|OFPBFC_BAD_ID"],
    ["that is not there", [["CLOSE"], ["COMMIT"], ["DISCARD"]], "OFPBFC_BAD_ID|OFPBFC_BAD_ID|OFPBFC_BAD_ID"],
    [
      "closed twice is thrown away",
      [["OPEN"], ["CLOSE"], ["CLOSE"], ["COMMIT"]],
      "OPEN|CLOSE|OFPBFC_BUNDLE_CLOSED|OFPBFC_BAD_ID",
    ],
    [
      "added to when it is closed is thrown away",
      [["OPEN"], ["CLOSE"], ["ADD", flow], ["COMMIT"]],
      "OPEN|CLOSE|OFPBFC_BUNDLE_CLOSED|OFPBFC_BAD_ID",
    ],
    [
      "closed with other flags is thrown away",
      [
        ["OPEN", ATOMIC],
        ["CLOSE", ORDERED],
        ["COMMIT", ATOMIC],
      ],
      "OPEN|OFPBFC_BAD_FLAGS|OFPBFC_BAD_ID",
    ],
    [
      "committed with other flags is thrown away",
      [["OPEN", ATOMIC], ["COMMIT"], ["COMMIT", ATOMIC]],
      "OPEN|OFPBFC_BAD_FLAGS|OFPBFC_BAD_ID",
    ],
    [
      "added to with other flags is thrown away",
      [
        ["OPEN", ATOMIC],
        ["ADD", flow],
        ["COMMIT", ATOMIC],
      ],
      "OPEN|OFPBFC_BAD_FLAGS|OFPBFC_BAD_ID",
    ],
    ["discarded, with any flags", [["OPEN", ATOMIC], ["DISCARD"], ["DISCARD"]], "OPEN|DISCARD|OFPBFC_BAD_ID"],
  ] as const
).map(
  ([name, steps, expected]): Case => ({
    section: "EXT-230",
    name: `a bundle ${name}`,
    run: async (sw) => expect((await answers(sw, steps)).join("|")).toBe(expected),
  }),
);

const badPort: OfMessageInit = {
  ...flow,
  instructions: [{ type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: OFPP.ANY }] }],
};
/** What is refused at once stays out of the bundle, which goes on. */
const additions: Case[] = (
  [
    ["an echo request", { type: "OFPT_ECHO_REQUEST" }, "OFPBFC_MSG_UNSUP"],
    ["a barrier", { type: "OFPT_BARRIER_REQUEST" }, "OFPBFC_MSG_UNSUP"],
    ["a table_mod", { type: "OFPT_TABLE_MOD", table_id: 0 }, "OFPBFC_MSG_UNSUP"],
    ["a message of an unknown type", rawMessage(77), "OFPBFC_MSG_UNSUP"],
    ["a flow that outputs to ANY", badPort, "OFPBAC_BAD_OUT_PORT"],
    ["a flow for table 255", { ...flow, table_id: 255 }, "OFPFMFC_BAD_TABLE_ID"],
    ["a flow for table 254", { ...flow, table_id: 254 }, "OFPBRC_EPERM"],
    ["an unknown flow_mod command", { ...flow, command: 9 }, "OFPFMFC_BAD_COMMAND"],
    ["a flow_mod with a buffer", { ...flow, buffer_id: 3 }, "OFPBRC_BUFFER_UNKNOWN"],
    [
      "a goto_table backwards",
      { ...flow, table_id: 3, instructions: [{ type: "OFPIT_GOTO_TABLE", table_id: 3 }] },
      "OFPBIC_BAD_TABLE_ID",
    ],
    [
      "an indirect group without a bucket",
      { type: "OFPT_GROUP_MOD", command: "OFPGC_ADD", group_type: "OFPGT_INDIRECT", group_id: 1 },
      "OFPGMFC_INVALID_GROUP",
    ],
    [
      "a packet-out from TABLE",
      { type: "OFPT_PACKET_OUT", in_port: OFPP.TABLE, actions: [], data: f.udp4() },
      "OFPBRC_BAD_PORT",
    ],
  ] as const satisfies readonly (readonly [string, OfMessageInit | Uint8Array, string])[]
).map(
  ([name, message, code]): Case => ({
    section: "EXT-230",
    name: `${name} is refused when it is added: ${code}`,
    run: async (sw) => {
      const steps: Step[] = [["OPEN"], ["ADD", message], ["ADD", flow], ["COMMIT"]];
      expect(await answers(sw, steps)).toEqual(["OPEN", code, "", "COMMIT"]);
      expect(await sw.ports(1, f.udp4())).toEqual([2]);
    },
  }),
);

const portMod = async (sw: Session): Promise<OfMessageInit> => {
  const { entries } = await sw.multipart({ type: "OFPMP_PORT_DESC" });
  const { hw_addr } = entries.find(({ port_no }) => port_no === 2)!;
  return { type: "OFPT_PORT_MOD", port_no: 2, hw_addr, config: OFPPC.NO_FWD, mask: OFPPC.NO_FWD };
};

const commits: Case[] = [
  ...(
    [
      ["an overlap", flowMod("check_overlap,priority=32768,actions=output:3"), "OFPFMFC_OVERLAP"],
      ["a group that is not there", flowMod("tcp,actions=group:9"), "OFPBAC_BAD_OUT_GROUP"],
      ["a meter that is not there", flowMod("tcp,actions=meter:9,output:3"), "OFPMMFC_INVALID_METER"],
      [
        "a group that is not there to be modified",
        groupMod("group_id=9,type=all,bucket=actions=output:2", "modify"),
        "OFPGMFC_UNKNOWN_GROUP",
      ],
    ] as const
  ).map(
    ([name, message, code]): Case => ({
      section: "EXT-230",
      name: `${name} is refused by the commit, and with it everything`,
      run: async (sw) => {
        const steps: Step[] = [["OPEN"], ["ADD", flow], ["ADD", message]];
        expect(await answers(sw, steps)).toEqual(["OPEN", "", ""]);
        const commit = request(["COMMIT"]);
        const xid = sw.client.send(commit);
        await sw.client.settle();
        const errors = sw.client.answers([xid, 0x7000]);
        expect(errors.map((one) => one.type === "OFPT_ERROR" && [one.xid, codeOf(one.error_code)])).toEqual([
          [0x7000, code],
          [xid, "OFPBFC_MSG_FAILED"],
        ]);
        // The first one quotes what the message came in.
        const quoted = (errors[0] as Extract<(typeof errors)[number], { type: "OFPT_ERROR" }>).data;
        expect(quoted.slice(0, 20)).toEqual(encode(envelope(message, 0)).slice(0, 20));
        expect(await sw.ports(1, f.udp4())).toEqual([]);
        expect(await answers(sw, [["COMMIT"]])).toEqual(["OFPBFC_BAD_ID"]);
      },
    }),
  ),
  {
    section: "EXT-230",
    name: "what comes first makes way for what comes after it",
    run: async (sw) => {
      const group = groupMod("group_id=9,type=all,bucket=actions=output:3");
      const steps: Step[] = [["ADD", group], ["ADD", flowMod("actions=group:9")], ["COMMIT"]];
      expect(await answers(sw, steps)).toEqual(["", "", "COMMIT"]);
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "EXT-230",
    name: "a port_mod is carried out by a bundle",
    run: async (sw) => {
      await sw.flows("actions=output:2,output:3");
      expect(await answers(sw, [["ADD", await portMod(sw)], ["COMMIT"]])).toEqual(["", "COMMIT"]);
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "EXT-230",
    name: "a port_mod has no place in an atomic one: OFPBFC_MSG_FAILED",
    run: async (sw) => {
      const steps: Step[] = [
        ["ADD", flow, ATOMIC],
        ["ADD", await portMod(sw), ATOMIC],
      ];
      expect(await answers(sw, steps)).toEqual(["", ""]);
      const xid = sw.client.send(request(["COMMIT", ATOMIC]));
      await sw.client.settle();
      expect(
        sw.client.answers([xid, 0x7000]).map((one) => one.type === "OFPT_ERROR" && codeOf(one.error_code)),
      ).toEqual(["OFPBFC_MSG_FAILED", "OFPBFC_MSG_FAILED"]);
      expect(await sw.ports(1, f.udp4())).toEqual([]);
    },
  },
  {
    section: "OVS",
    name: "a packet-out goes by the tables as they are at its place",
    run: async (sw) => {
      const packet: OfMessageInit = {
        type: "OFPT_PACKET_OUT",
        in_port: OFPP.CONTROLLER,
        actions: [{ type: "OFPAT_OUTPUT", port: OFPP.TABLE }],
        data: f.udp4(),
      };
      const steps: Step[] = [
        ["ADD", flowMod("actions=output:2")],
        ["ADD", packet],
        ["ADD", flowMod("actions=output:3")],
      ];
      expect(await answers(sw, steps)).toEqual(["", "", ""]);
      expect(await sw.sent()).toEqual({});
      expect(await answers(sw, [["COMMIT"]])).toEqual(["COMMIT"]);
      expect(await sw.sent()).toEqual({ 2: [f.udp4()] });
      expect(await sw.ports(1, f.udp4())).toEqual([3]);
    },
  },
  {
    section: "OVS",
    name: "a bundle that nothing comes for in 10 s is thrown away, and its controller told",
    run: async (sw) => {
      const open = request(["OPEN"]);
      const xid = sw.client.send(open);
      await sw.client.settle();
      await sw.bench.advance(8_000);
      expect(await answers(sw, [["ADD", flow]])).toEqual([""]);
      await sw.bench.advance(8_000);
      await sw.client.settle();
      expect(sw.client.answers([xid]).map(({ type }) => type)).toEqual(["ONFT_BUNDLE_CONTROL"]);
      await sw.bench.advance(12_000);
      await sw.client.settle();
      const told = sw.client.answers([xid]);
      expect(told.map((one) => one.type === "OFPT_ERROR" && codeOf(one.error_code))).toEqual([
        "OFPBFC_TIMEOUT",
      ]);
      expect(await answers(sw, [["COMMIT"]])).toEqual(["OFPBFC_BAD_ID"]);
    },
  },
];

conformance("EXT-230 bundles", [...conversations, ...additions, ...commits]);
