import type {
  Topology,
  TopologyHost,
  TopologyLink,
  TopologyPort,
  TopologySwitch,
} from "../apps/topology/index.js";
import { dpidText } from "./dpid.js";
import { badField } from "./problem.js";
import type { JsonSchema, Route, RouteRequest } from "./route.js";

/** The topology in the JSON of Ryu's rest_topology: numbers as hexadecimal text of fixed width. */

export const showPort = ({ dpid, port_no, hw_addr, name }: Omit<TopologyPort, "isUp">): object => ({
  dpid: dpidText(dpid),
  port_no: port_no.toString(16).padStart(8, "0"),
  hw_addr,
  name,
});
export const showSwitch = ({ dpid, ports }: TopologySwitch): object => ({
  dpid: dpidText(dpid),
  ports: [...ports.values()].map(showPort),
});
export const showLink = ({ src, dst }: TopologyLink): object => ({ src: showPort(src), dst: showPort(dst) });
export const showHost = ({ mac, ipv4, ipv6, port }: TopologyHost): object => ({
  mac,
  ipv4,
  ipv6,
  port: showPort(port),
});

const portSchema: JsonSchema = {
  type: "object",
  properties: {
    dpid: { type: "string", pattern: "^[0-9a-f]{16}$" },
    port_no: { type: "string", pattern: "^[0-9a-f]{8}$" },
    hw_addr: { type: "string" },
    name: { type: "string" },
  },
};
const listOf = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: "array",
  items: { type: "object", properties },
});
const addresses: JsonSchema = { type: "array", items: { type: "string" } };

function dpidOf({ params: { dpid } }: RouteRequest): bigint | undefined {
  if (dpid === undefined) return undefined;
  if (!/^[0-9a-f]{16}$/i.test(dpid)) throw badField("dpid", "is not 16 hexadecimal digits");
  return BigInt(`0x${dpid}`);
}

/** Of all switches, or of one; one that is not there has none of anything. */
export function topologyRoutes(topology: Topology): Route[] {
  const row = (
    what: string,
    summary: string,
    answer: JsonSchema,
    list: (isMeant: (dpid: bigint) => boolean) => object[],
  ): Route[] =>
    ["", "/{dpid}"].map((suffix) => ({
      method: "GET",
      path: `/v1.0/topology/${what}${suffix}`,
      tag: "topology",
      summary: suffix === "" ? summary : `${summary} of a switch`,
      answer,
      handle: (request) => {
        const meant = dpidOf(request);
        return list((dpid) => meant === undefined || dpid === meant);
      },
    }));
  const ports: JsonSchema = { type: "array", items: portSchema };
  return [
    ...row("switches", "Switches and their ports", listOf({ dpid: { type: "string" }, ports }), (isMeant) =>
      [...topology.switches.values()].filter(({ dpid }) => isMeant(dpid)).map(showSwitch),
    ),
    ...row("links", "Links", listOf({ src: portSchema, dst: portSchema }), (isMeant) =>
      topology
        .links()
        .filter(({ src }) => isMeant(src.dpid))
        .map(showLink),
    ),
    ...row(
      "hosts",
      "Hosts",
      listOf({ mac: { type: "string" }, ipv4: addresses, ipv6: addresses, port: portSchema }),
      (isMeant) =>
        topology
          .hosts()
          .filter(({ port }) => isMeant(port.dpid))
          .map(showHost),
    ),
  ];
}
