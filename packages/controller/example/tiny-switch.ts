import { type App, addFlow, output, packetOut, tableMissToController } from "@sluice/controller";
import { OFPP } from "@sluice/openflow-codec";
import { readMac } from "@sluice/wire";

/** Frames go where their destination was last seen. */
export function tinySwitch(): App {
  const seen = new Map<string, number>();
  return {
    name: "tiny-switch",
    events: {
      datapath_up: () => [tableMissToController],
      packet_in: (dp, message) => {
        const { in_port = 0 } = message.match;
        const [eth_dst, eth_src] = [readMac(message.data, 0), readMac(message.data, 6)];
        seen.set(`${dp.id} ${eth_src}`, in_port);
        const port = seen.get(`${dp.id} ${eth_dst}`);
        if (port === undefined) return [packetOut(message, output(OFPP.FLOOD))];
        const match = { in_port, eth_dst, eth_src };
        return [addFlow({ priority: 1, match }, output(port)), packetOut(message, output(port))];
      },
    },
  };
}
