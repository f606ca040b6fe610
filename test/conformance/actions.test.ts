import { expect } from "vitest";
import { conformance } from "../support/conformance/case.js";
import * as f from "../support/conformance/frames.js";

conformance("§5.12 actions", [
  {
    section: "§5.12",
    name: "output sends the packet as it is out of the port",
    flows: ["actions=output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4() },
  },
  {
    section: "§5.12",
    name: "set_field ipv4_src fixes the checksums of IPv4 and UDP",
    flows: ["udp,actions=set_field:1.2.3.4->ip_src,output:2"],
    in: [1, f.udp4()],
    out: { 2: f.udp4({ ip: { src: "1.2.3.4" } }) },
  },
  {
    section: "§5.12",
    name: "output to the controller sends a packet-in",
    flows: ["cookie=5,actions=controller"],
    in: [1, f.udp4()],
    packetIn: [{ reason: "OFPR_ACTION", table_id: 0, cookie: 5n, match: { in_port: 1 }, data: f.udp4() }],
  },
  {
    section: "§7.4.4",
    name: "output to OFPP_ANY is refused",
    run: async (sw) => {
      expect(
        await sw.verdict({
          type: "OFPT_FLOW_MOD",
          command: "OFPFC_ADD",
          instructions: [
            { type: "OFPIT_APPLY_ACTIONS", actions: [{ type: "OFPAT_OUTPUT", port: 0xffffffff }] },
          ],
        }),
      ).toBe("OFPBAC_BAD_OUT_PORT");
    },
  },
]);
