import type { Duplex } from "node:stream";
import { type Clock, type Log, nullLog } from "@sluice/runtime";
import { ConnMgr, createUserspaceDpif, DpBacker, DummyHub, Ofproto } from "@sluice/switch";
import { dummySocket } from "./dummy-port.js";
import type { Socket } from "./link.js";

export interface LabBridgeOptions {
  clock: Clock;
  /** Dummy ports 1..n. */
  ports: number;
  name?: string;
  datapathId?: bigint;
  log?: Log;
  /** "standalone" unless given. */
  failMode?: "standalone" | "secure";
}

/** One bridge without a daemon, a database or a connection: the OpenFlow switch and its datapath in this thread, all
 *  its time from `clock`. Without a controller it is a learning switch of its own, unless `failMode` is secure. */
export interface LabBridge {
  readonly ofproto: Ofproto;
  /** Of the ports, for `Network.addHost`. */
  readonly sockets: readonly Socket[];
  /** Has a controller on a stream, most often one of a `streamPair`. */
  connect(controller: Duplex): void;
  destroy(): Promise<void>;
}

export async function labBridge(options: LabBridgeOptions): Promise<LabBridge> {
  const { clock, ports, name = "br0", datapathId = 1n, log = nullLog, failMode = "standalone" } = options;
  const dummies = new DummyHub();
  const dpif = createUserspaceDpif({ clock, log, host: "inline", dummies });
  const backer = new DpBacker({ dpif, clock, log });
  const ofproto = new Ofproto({ name, datapathId, backer, clock, log });
  const sockets: Socket[] = [];
  for (let port = 1; port <= ports; port++) {
    await ofproto.addPort({ name: `p${port}`, type: "dummy", ofportRequest: port, options: {} });
    sockets.push(dummySocket(dummies.port(`p${port}`)));
  }
  await ofproto.setFailMode(failMode);
  const connmgr = new ConnMgr({ ofproto, clock, log });
  return {
    ofproto,
    sockets,
    connect: (controller) => connmgr.serve(controller, "lab"),
    destroy: async () => {
      await connmgr.close();
      await ofproto.destroy();
      backer.close();
      await dpif.destroy();
    },
  };
}
