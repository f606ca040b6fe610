import { expect, test } from "vitest";
import type { Action, FlowMod, Infer, Init, MessageOf, OfMessage, OfMessageInit } from "./index.js";

test("types are inferred from the declarations", () => {
  const init: OfMessageInit = {
    type: "OFPT_FLOW_MOD",
    command: "OFPFC_ADD",
    match: { in_port: 1, eth_dst: { value: "00:00:00:00:00:01", mask: "ff:ff:ff:ff:ff:ff" } },
    instructions: [
      {
        type: "OFPIT_APPLY_ACTIONS",
        actions: [
          { type: "OFPAT_OUTPUT", port: 1 },
          { type: "NXAST_CLONE", actions: [{ type: "OFPAT_SET_FIELD", field: { eth_dst: "x" } }] },
        ],
      },
    ],
  };
  const flow: Init<typeof FlowMod> = init;
  const out = (message: OfMessage): number =>
    message.type === "OFPT_PACKET_IN"
      ? message.total_len
      : message.type === "OFPT_MULTIPART_REPLY" && message.body.type === "OFPMP_FLOW"
        ? message.body.entries[0]!.priority
        : 0;
  const port = (action: Action): number => (action.type === "OFPAT_OUTPUT" ? action.port : 0);
  const mod = (m: Infer<typeof FlowMod>): bigint => m.cookie;
  const x: MessageOf<"OFPT_PORT_STATUS">["desc"]["name"] = "a";
  // @ts-expect-error a command is one of the names, or a number
  const bad: OfMessageInit = { type: "OFPT_FLOW_MOD", command: "ADD" };
  expect([flow, out, port, mod, x, bad]).toHaveLength(6);
});
