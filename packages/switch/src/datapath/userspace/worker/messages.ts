import type {
  DpPortChange,
  DpPortEvent,
  DpPortSpec,
  MeterConfig,
  NetdevStats,
  QueuesConfig,
} from "../../../dpif/dpif.js";
import type { FoundFeature } from "../../../netdev/feature-record.js";
import type { NetdevStatus } from "../../../netdev/netdev.js";

/** What the dpif tells its worker, but for flows and packets of the slow path, which are many and go as records of a ring
 *  (records.ts). Those with `seq` are answered by a Reply. */
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
  /** `memory`: what all threads share of it. */
  | { op: "meterSet"; id: number; config: MeterConfig; memory: SharedArrayBuffer }
  | { op: "meterSet"; id: number; config: null }
  | { op: "queuesSet"; odpPort: number; config: QueuesConfig; memory: SharedArrayBuffer }
  | { op: "queuesSet"; odpPort: number; config: null }
  | { op: "tagsSet"; tags: number }
  | { op: "dummyReceive"; odpPort: number; frame: Uint8Array }
  | { op: "dummyLink"; odpPort: number; link: boolean }
  /** What FeatureNotes told of up to that number is on record. */
  | { op: "featuresKept"; number: number }
  /** For tests of the restart: the worker fails as if by a bug. */
  | { op: "crash" }
  /** For tests: the worker stands still until word 0 of `until` is not 0. */
  | { op: "stall"; until: Int32Array };

/** What comes by the thread's port, when the ring says so: a command, or records that found no room in the ring, of
 *  which the last are marked. */
export type Message = Command | { records: Int32Array<ArrayBuffer>; isLast: boolean };

/** What the worker tells besides upcalls, in one message a turn of its loop. */
export interface Report {
  /** How far the ring of upcalls was by then: those before come first. */
  position: number;
  /** What flows have counted, as PackedCounts.take gives it: the two threads' clocks start apart. */
  counts: Float64Array<ArrayBuffer>;
  ports: DpPortEvent[];
  /** What ports counted, from a thread that fails. */
  counted: { odpPort: number; stats: NetdevStats }[];
  replies: Reply[];
  errors: string[];
  /** What is to be on record of devices from now on. */
  features: FeatureNote | undefined;
  /** Frames that left by dummy ports. */
  transmitted: { name: string; frame: Uint8Array }[];
}

/** All that a thread has changed at devices, or is about to, as they were found; counted from 1. */
export interface FeatureNote {
  readonly number: number;
  readonly features: readonly FoundFeature[];
}

/** Posted when there are upcalls in the ring, and the dpif waits for such. */
export const UPCALLS = "upcalls";

/** Posted when the dpif waits for the thread to have taken what was sent by its port. */
export const CAUGHT_UP = "caught up";

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
  /** Flows at most. There is memory for all from the start, which the system gives only as it is touched: to grow takes
   *  longer than packets may wait. */
  maxFlows: number;
  /** Becomes readable when there are commands and the thread waits. */
  wakeFd: number;
  /** Rings of commands and of upcalls. */
  commands: SharedArrayBuffer;
  upcalls: SharedArrayBuffer;
  /** What was sent by the port and not taken (backlog.ts). */
  backlog: SharedArrayBuffer;
  /** Room that upcalls take which have been sent and not taken: word 0 of all, the others by port (modulo). */
  pending: Int32Array;
}

/** Words of the rings. */
export const COMMAND_RING_WORDS = 1 << 18;
export const UPCALL_RING_WORDS = 1 << 21;

/** Words of `pending`. */
export const PENDING_WORDS = 1024;
export const pendingIndex = (odpPort: number): number => 1 + (odpPort % (PENDING_WORDS - 1));
/** Upcalls that may wait: of one port, and of all. A port that floods leaves room for the others. One that is long counts
 *  as several: each stands for 2 KB of the ring. */
export const MAX_PENDING_PER_PORT = 256;
export const MAX_PENDING = 4096;
const PENDING_UNIT_WORDS = 512;
export const pendingOf = (words: number): number => Math.ceil(words / PENDING_UNIT_WORDS);
