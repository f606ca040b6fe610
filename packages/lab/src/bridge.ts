import { type Clock, type Log, nullLog } from "@sluice/runtime";
import { createUserspaceDpif, DpBacker, DummyHub, Ofproto } from "@sluice/switch";
import { dummySocket } from "./dummy-port.js";
import type { Socket } from "./link.js";

export interface LabBridgeOptions {
  clock: Clock;
  /** Dummy ports 1..n. */
  ports: number;
  name?: string;
  datapathId?: bigint;
  log?: Log;
}

/** One bridge without a daemon, a database or a connection: the OpenFlow switch and its datapath in this thread, all
 *  its time from `clock`. Until it is told otherwise it is a learning switch of its own (fail-mode standalone). */
export interface LabBridge {
  readonly ofproto: Ofproto;
  /** Of the ports, for `Network.addHost`. */
  readonly sockets: readonly Socket[];
  destroy(): Promise<void>;
}

export async function labBridge(options: LabBridgeOptions): Promise<LabBridge> {
  const { clock, ports, name = "br0", datapathId = 1n, log = nullLog } = options;
  const dummies = new DummyHub();
  const dpif = createUserspaceDpif({ clock, log, host: "inline", dummies });
  const backer = new DpBacker({ dpif, clock, log });
  const ofproto = new Ofproto({ name, datapathId, backer, clock, log });
  const sockets: Socket[] = [];
  for (let port = 1; port <= ports; port++) {
    await ofproto.addPort({ name: `p${port}`, type: "dummy", ofportRequest: port, options: {} });
    sockets.push(dummySocket(dummies.port(`p${port}`)));
  }
  await ofproto.setFailMode("standalone");
  return {
    ofproto,
    sockets,
    destroy: async () => {
      await ofproto.destroy();
      backer.close();
      await dpif.destroy();
    },
  };
}
