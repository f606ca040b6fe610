import type { Action } from "@sluice/openflow-codec";
import { type ModelPacket, withField, withLabel, withoutLabel } from "./packet.js";
import { fieldOf, toBits } from "./values.js";

/** What an action that only changes the packet makes of it; a text says why the packet goes no further. */
export type Change = ModelPacket | string;

type Of<T extends Action["type"]> = Extract<Action, { type: T }>;

const ttlTooLow = "the TTL is used up";

/** The actions that change headers (OpenFlow 1.3.5 §5.12, §7.2.5). */
const CHANGES: { readonly [T in Action["type"]]?: (packet: ModelPacket, action: Of<T>) => Change } = {
  OFPAT_SET_FIELD: (packet, { field }) => {
    const [name, value] = Object.entries(field)[0]!;
    const row = fieldOf(name);
    return withField(packet, row.same ?? name, toBits(row, value));
  },
  OFPAT_PUSH_VLAN: (packet, { ethertype }) => {
    const [outer] = packet.vlans;
    // A new tag takes the values of the one before, or zero (§5.12.1).
    const tag = { tpid: ethertype, vid: outer?.vid ?? 0, pcp: outer?.pcp ?? 0, dei: false };
    return { ...packet, vlans: [tag, ...packet.vlans] };
  },
  OFPAT_POP_VLAN: (packet) => ({ ...packet, vlans: packet.vlans.slice(1) }),
  OFPAT_PUSH_MPLS: (packet, { ethertype }) => {
    const [outer] = packet.mpls;
    const entry = outer ?? { label: 0n, tc: 0n, ttl: packet.ttl ?? 64 };
    return withLabel(packet, ethertype, entry);
  },
  OFPAT_POP_MPLS: (packet, { ethertype }) =>
    packet.mpls.length === 0 ? packet : withoutLabel(packet, ethertype),
  OFPAT_SET_MPLS_TTL: (packet, { mpls_ttl }) => withMplsTtl(packet, mpls_ttl),
  OFPAT_DEC_MPLS_TTL: (packet) => {
    const ttl = packet.mpls[0]?.ttl;
    return ttl === undefined ? packet : ttl <= 1 ? ttlTooLow : withMplsTtl(packet, ttl - 1);
  },
  OFPAT_SET_NW_TTL: (packet, { nw_ttl }) => ({ ...packet, ttl: nw_ttl }),
  OFPAT_DEC_NW_TTL: (packet) => {
    if (packet.ttl === undefined) return packet;
    return packet.ttl <= 1 ? ttlTooLow : { ...packet, ttl: packet.ttl - 1 };
  },
  OFPAT_COPY_TTL_OUT: (packet) =>
    packet.mpls.length === 1
      ? withMplsTtl(packet, packet.ttl ?? 64)
      : withMplsTtl(packet, packet.mpls[1]?.ttl ?? 64),
  OFPAT_COPY_TTL_IN: (packet) => {
    const [outer, inner, ...rest] = packet.mpls;
    if (outer === undefined) return packet;
    if (inner === undefined) return { ...packet, ttl: outer.ttl };
    return { ...packet, mpls: [outer, { ...inner, ttl: outer.ttl }, ...rest] };
  },
  // Queues are not headers: where they matter, the output says which.
  OFPAT_SET_QUEUE: (packet) => packet,
};

function withMplsTtl(packet: ModelPacket, ttl: number): ModelPacket {
  const [entry, ...rest] = packet.mpls;
  return entry === undefined ? packet : { ...packet, mpls: [{ ...entry, ttl }, ...rest] };
}

/** The packet after an action that changes it. Undefined for an action that the model does not know. */
export function change(packet: ModelPacket, action: Action): Change | undefined {
  const make = CHANGES[action.type] as ((packet: ModelPacket, action: Action) => Change) | undefined;
  return make?.(packet, action);
}
