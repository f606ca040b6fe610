import { OFPP, type OfMessageInit } from "@sluice/openflow-codec";
import { macFromNumber, macToNumber } from "@sluice/wire";
import type { Switch } from "../framework/app.js";
import { type Body, readInt } from "../rest/ofctl/read.js";
import { badField, Problem } from "../rest/problem.js";
import type { JsonSchema, Route } from "../rest/route.js";
import type { MacTable } from "./mac-table.js";
import { requestAll } from "./rest/rule-table.js";
import { readDpid } from "./rest/switch-set.js";

/** A learning switch, for who asks by REST. */
export interface TaughtSwitch {
  readonly dp: Switch;
  readonly table: MacTable;
}

export interface MacTableRoutesOptions {
  readonly find: (dpid: bigint) => TaughtSwitch | undefined;
  /** What the switch is to be told when somebody says where a host is. */
  readonly teach: (table: MacTable, address: number, port: number) => OfMessageInit[];
  readonly now: () => number;
}

const answer: JsonSchema = {
  type: "object",
  additionalProperties: { type: "integer" },
  description: "The port of each address.",
};
const body: JsonSchema = {
  type: "object",
  properties: { mac: { type: "string" }, port: { type: "integer" } },
  required: ["mac", "port"],
};
const PATH = "/simpleswitch/mactable/{dpid}";

/** The routes of Ryu's simple_switch_rest: which address is at which port of a switch. */
export function macTableRoutes({ find, teach, now }: MacTableRoutesOptions): Route[] {
  const switchOf = (dpid: string | undefined): TaughtSwitch => {
    const found = find(readDpid(dpid, "dpid"));
    if (found === undefined)
      throw new Problem(404, `no switch with dpid ${dpid} is connected`, { field: "dpid" });
    return found;
  };
  const show = ({ table }: TaughtSwitch): Record<string, number> =>
    Object.fromEntries([...table.entries(now())].map(([, address, port]) => [macFromNumber(address), port]));
  return [
    {
      ...{
        method: "GET",
        path: PATH,
        tag: "learning switch",
        summary: "The addresses learned, with their ports",
      },
      ...{ answer, handle: ({ params }) => show(switchOf(params.dpid)) },
    },
    {
      ...{ method: "PUT", path: PATH, tag: "learning switch", summary: "Says at which port a host is" },
      ...{ body, answer },
      handle: async ({ params, body }) => {
        const of = switchOf(params.dpid);
        const { mac, port } = body as Body;
        const port_no = readInt(port, "port", OFPP.MAX);
        await requestAll(of.dp, teach(of.table, readMacNumber(mac), port_no));
        return show(of);
      },
    },
  ];
}

function readMacNumber(value: unknown): number {
  if (
    typeof value !== "string" ||
    !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(value) ||
    (Number(`0x${value[1]}`) & 1) !== 0
  )
    throw badField("mac", `is ${JSON.stringify(value)}, not the address of a host`);
  return macToNumber(value);
}
