import { createUserspaceDpif } from "../../packages/switch/src/datapath/userspace/dpif.js";
import { DummyHub } from "../../packages/switch/src/netdev/dummy.js";
import { cableRig, quiet, TestBench } from "../../packages/switch/src/ofproto/bench.testkit.js";

/** A switch in this process: bridge br0 with dummy ports p1 … pN over the user-space datapath, on a virtual clock. */
export const openSwitch = (ports: number) =>
  TestBench.over((clock) => {
    const dummies = new DummyHub();
    return cableRig(createUserspaceDpif({ clock, log: quiet, host: "inline", dummies }), dummies);
  }, ports);
