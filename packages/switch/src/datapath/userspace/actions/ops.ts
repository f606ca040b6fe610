import type { OdpAction } from "../../../dpif/actions.js";
import { compileSetField, type FieldWrite } from "./set-field.js";

/** Datapath actions as the executor runs them: one shape for all, checked and resolved once. */
export enum OpCode {
  Output,
  Write,
  PushVlan,
  PopVlan,
  PushMpls,
  PopMpls,
  CopyTtlOut,
  CopyTtlIn,
  PushPbb,
  PopPbb,
  Userspace,
  Meter,
  SetQueue,
  Clone,
  Sample,
  CheckPktLen,
  Recirc,
  Trunc,
}

export class Op {
  readonly code: OpCode;
  /** Port, TPID, EtherType, cookie, meter, queue, probability, pkt_len, recirc_id or max_len. */
  readonly a: number;
  /** TCI, label stack entry, I-SID or max_len. */
  readonly b: number;
  readonly write: FieldWrite | undefined;
  readonly ops: readonly Op[];

  constructor(code: OpCode, a = 0, b = 0, write?: FieldWrite, ops: readonly Op[] = NO_OPS) {
    this.code = code;
    this.a = a;
    this.b = b;
    this.write = write;
    this.ops = ops;
  }
}

/** Drops. */
export const NO_OPS: readonly Op[] = Object.freeze([]);

type Compile<T extends OdpAction["type"]> = (action: Extract<OdpAction, { type: T }>) => Op[];

const COMPILE: { readonly [T in OdpAction["type"]]: Compile<T> } = {
  output: ({ port }) => [new Op(OpCode.Output, port)],
  set_field: ({ field, value, mask }) =>
    compileSetField(field, value, mask).map((write) => new Op(OpCode.Write, 0, 0, write)),
  push_vlan: ({ tpid, tci }) => [new Op(OpCode.PushVlan, tpid, tci)],
  pop_vlan: () => [new Op(OpCode.PopVlan)],
  push_mpls: ({ ethertype, lse }) => [new Op(OpCode.PushMpls, ethertype, lse)],
  pop_mpls: ({ ethertype }) => [new Op(OpCode.PopMpls, ethertype)],
  copy_ttl_out: () => [new Op(OpCode.CopyTtlOut)],
  copy_ttl_in: () => [new Op(OpCode.CopyTtlIn)],
  push_pbb: ({ ethertype, isid, pcp = 0 }) => [
    new Op(OpCode.PushPbb, ethertype, ((pcp << 29) | (isid & 0xff_ffff)) >>> 0),
  ],
  pop_pbb: () => [new Op(OpCode.PopPbb)],
  userspace: ({ cookie, max_len }) => [new Op(OpCode.Userspace, cookie, max_len)],
  meter: ({ meter_id }) => [new Op(OpCode.Meter, meter_id)],
  set_queue: ({ queue_id }) => [new Op(OpCode.SetQueue, queue_id)],
  clone: ({ actions }) => [new Op(OpCode.Clone, 0, 0, undefined, compileActions(actions))],
  sample: ({ probability, actions }) => [
    new Op(OpCode.Sample, probability, 0, undefined, compileActions(actions)),
  ],
  check_pkt_len: ({ pkt_len, actions }) => [
    new Op(OpCode.CheckPktLen, pkt_len, 0, undefined, compileActions(actions)),
  ],
  recirc: ({ id }) => [new Op(OpCode.Recirc, id)],
  trunc: ({ max_len }) => [new Op(OpCode.Trunc, max_len)],
};

/** Throws a RangeError for an action that the datapath does not have. */
export function compileActions(actions: readonly OdpAction[]): Op[] {
  return actions.flatMap((action) => {
    if (!Object.hasOwn(COMPILE, action.type))
      throw new RangeError(`the datapath has no action ${action.type}`);
    return (COMPILE[action.type] as (action: OdpAction) => Op[])(action);
  });
}
