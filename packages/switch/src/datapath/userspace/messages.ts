import type { OdpAction } from "../../dpif/actions.js";
import type {
  DpFlow,
  DpPortChange,
  DpPortEvent,
  DpPortSpec,
  FlowStatsDelta,
  MeterConfig,
  NetdevStats,
  Offload,
  QueuesConfig,
  Upcall,
} from "../../dpif/dpif.js";
import type { FlowKey } from "../../flow/flow-key.js";
import type { NetdevStatus } from "../../netdev/netdev.js";

/** What the dpif tells its worker, some at a time. Those with `seq` are answered by a Reply. */
export type Command =
  | {
      op: "portAdd";
      seq: number;
      odpPort: number;
      spec: DpPortSpec;
      adoptFd: number | undefined;
      /** Of a device that several threads receive from: the group of their sockets. */
      fanout: number | "new" | undefined;
    }
  | { op: "portDel"; seq: number; odpPort: number }
  | { op: "portStats"; seq: number; odpPort: number }
  | { op: "portSet"; seq: number; odpPort: number; change: DpPortChange }
  | { op: "meterStats"; seq: number; id: number }
  | { op: "queueStats"; seq: number; odpPort: number }
  | { op: "counters"; seq: number }
  | { op: "barrier"; seq: number }
  | { op: "syncStats"; seq: number }
  | { op: "destroy"; seq: number }
  /** As destroy, but TAP devices stay for those that come after. */
  | { op: "leave"; seq: number }
  | { op: "flowPut"; flow: DpFlow }
  | { op: "flowDel"; id: number }
  | { op: "flowFlush" }
  /** `memory`: what all threads share of it. */
  | { op: "meterSet"; id: number; config: MeterConfig; memory: SharedArrayBuffer }
  | { op: "meterSet"; id: number; config: null }
  | { op: "queuesSet"; odpPort: number; config: QueuesConfig; memory: SharedArrayBuffer }
  | { op: "queuesSet"; odpPort: number; config: null }
  | { op: "dummyReceive"; odpPort: number; frame: Uint8Array }
  | { op: "dummyLink"; odpPort: number; link: boolean }
  /** For tests of the restart: the worker fails as if by a bug. */
  | { op: "crash" }
  | {
      op: "execute";
      packet: Uint8Array;
      odpPort: number;
      actions: readonly OdpAction[];
      key: FlowKey | undefined;
      offload: Offload | undefined;
    };

/** What the worker tells, in one message a turn of its loop. */
export interface Report {
  upcalls: Upcall[];
  /** `usedMs` is how long ago, ms: the two threads' clocks start apart. */
  stats: FlowStatsDelta[];
  /** Those of many flows, as Megaflows.packCounts lays them out. */
  packedStats: Float64Array<ArrayBuffer>[];
  ports: DpPortEvent[];
  /** What ports counted, from a thread that fails. */
  counted: { odpPort: number; stats: NetdevStats }[];
  replies: Reply[];
  errors: string[];
  /** Frames that left by dummy ports. */
  transmitted: { name: string; frame: Uint8Array }[];
}

export type Reply = { seq: number; value?: unknown; error?: string };

/** The answer to counters. */
export interface Counts {
  counters: Record<string, number>;
  times: Record<string, number>;
}

/** The answer to portAdd. */
export interface AddedPort {
  status: NetdevStatus;
  /** Of a TAP device, for a successor to go on with. */
  fd: number | undefined;
  /** The group, where the device's sockets are in one. */
  fanout: number | undefined;
}

export interface WorkerData {
  /** Which of the datapath's threads it is, and the core that it keeps to. */
  index: number;
  core: number | undefined;
  /** Becomes readable when there are commands. */
  wakeFd: number;
  /** Upcalls that have been sent and not taken: word 0 in all, the others by port (modulo). */
  pending: Int32Array;
  maxFlows: number | undefined;
}

/** Words of `pending`. */
export const PENDING_WORDS = 1024;
export const pendingIndex = (odpPort: number): number => 1 + (odpPort % (PENDING_WORDS - 1));
/** Upcalls that may wait: of one port, and of all. A port that floods leaves room for the others. */
export const MAX_PENDING_PER_PORT = 256;
export const MAX_PENDING = 4096;
