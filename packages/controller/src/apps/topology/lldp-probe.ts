import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import {
  ETH_TYPE,
  ethernet,
  LLDP_CHASSIS_LOCAL,
  LLDP_MAC,
  LLDP_PORT_LOCAL,
  LLDP_TLV,
  type LldpTlv,
  lldp,
  lldpId,
  lldpTtl,
  MAC_BROADCAST,
  parseFrame,
  readU16,
  writeU16,
} from "@sluice/wire";

/** The port of a switch that a probe left by. */
export interface ProbeOrigin {
  readonly dpid: bigint;
  readonly port_no: number;
  /** By LLDP, which no bridge forwards: the far end of the cable. Otherwise by BDDP, across whatever is between. */
  readonly isDirect: boolean;
}

/** The broadcast domain discovery protocol, as Floodlight and ONOS have it: LLDP's TLVs in a broadcast frame with this
 *  type, which bridges between two switches forward. */
export const ETH_BDDP = 0x8942;

const text = new TextEncoder();
const decoder = new TextDecoder();
/** A locally administered OUI and our subtypes: the TLV of the signature (IEEE 802.1AB §8.6). */
const SIGNATURE_HEAD = { lldp: Uint8Array.of(0x02, 0x53, 0x4c, 1), bddp: Uint8Array.of(0x02, 0x53, 0x4c, 2) };
const SIGNATURE_SIZE = 8;
const TTL_SECS = 120;
const AT_ETH_TYPE = 12;

type ProbeKind = keyof typeof SIGNATURE_HEAD;

/** Makes and reads the LLDP and BDDP frames by which links are found. Each carries the switch and port that it leaves
 *  by, and a signature: a host that sends LLDP of its own making cannot invent a link. */
export class LldpProbes {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array = randomBytes(16)) {
    this.#key = key;
  }

  build(dpid: bigint, port_no: number, src: string, kind: ProbeKind = "lldp"): Uint8Array {
    const chassis = text.encode(`dpid:${dpid.toString(16).padStart(16, "0")}`);
    const ids = [
      lldpId(LLDP_TLV.CHASSIS_ID, LLDP_CHASSIS_LOCAL, chassis),
      lldpId(LLDP_TLV.PORT_ID, LLDP_PORT_LOCAL, text.encode(String(port_no))),
    ];
    const signed = [...ids, lldpTtl(TTL_SECS)];
    const tlvs = [...signed, { type: LLDP_TLV.ORGANIZATION, value: this.#sign(kind, signed) }];
    const frame = ethernet({ src, dst: kind === "lldp" ? LLDP_MAC : MAC_BROADCAST }, lldp(tlvs));
    if (kind === "bddp") writeU16(frame, AT_ETH_TYPE, ETH_BDDP);
    return frame;
  }

  /** Where a probe comes from; undefined for anything that is not one of ours. */
  read(frame: Uint8Array): ProbeOrigin | undefined {
    const isDirect = frame.length < AT_ETH_TYPE + 2 || readU16(frame, AT_ETH_TYPE) !== ETH_BDDP;
    const parsed = parseFrame(isDirect ? frame : asLldp(frame));
    if (parsed.kind !== "ethernet" || parsed.payload instanceof Uint8Array || parsed.payload.kind !== "lldp")
      return undefined;
    const [chassis, port, ttl, signature] = parsed.payload.tlvs;
    if (chassis === undefined || port === undefined || ttl === undefined || signature === undefined)
      return undefined;
    const expected = this.#sign(isDirect ? "lldp" : "bddp", [chassis, port, ttl]);
    if (!isSigned(signature, expected)) return undefined;
    const dpid = /^dpid:([0-9a-f]{16})$/.exec(decoder.decode(chassis.value.subarray(1)))?.[1];
    const port_no = Number(decoder.decode(port.value.subarray(1)));
    return dpid === undefined ? undefined : { dpid: BigInt(`0x${dpid}`), port_no, isDirect };
  }

  #sign(kind: ProbeKind, tlvs: readonly LldpTlv[]): Uint8Array {
    const head = SIGNATURE_HEAD[kind];
    const hmac = createHmac("sha256", this.#key).update(head);
    for (const { type, value } of tlvs) hmac.update(Uint8Array.of(type, value.length & 0xff)).update(value);
    return Uint8Array.of(...head, ...hmac.digest().subarray(0, SIGNATURE_SIZE));
  }
}

function asLldp(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  writeU16(copy, AT_ETH_TYPE, ETH_TYPE.LLDP);
  return copy;
}

const isSigned = ({ type, value }: LldpTlv, expected: Uint8Array): boolean =>
  type === LLDP_TLV.ORGANIZATION && value.length === expected.length && timingSafeEqual(value, expected);
