import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import {
  ethernet,
  LLDP_CHASSIS_LOCAL,
  LLDP_MAC,
  LLDP_PORT_LOCAL,
  LLDP_TLV,
  type LldpTlv,
  lldp,
  lldpId,
  lldpTtl,
  parseFrame,
} from "@sluice/wire";

/** The port of a switch that a probe left by. */
export interface ProbeOrigin {
  readonly dpid: bigint;
  readonly port_no: number;
}

const text = new TextEncoder();
const decoder = new TextDecoder();
/** A locally administered OUI and our subtype: the TLV of the signature (IEEE 802.1AB §8.6). */
const SIGNATURE_HEAD = Uint8Array.of(0x02, 0x53, 0x4c, 1);
const SIGNATURE_SIZE = 8;
const TTL_SECS = 120;

/** Makes and reads the LLDP frames by which links are found. Each carries the switch and port that it leaves by, and a
 *  signature: a host that sends LLDP of its own making cannot invent a link. */
export class LldpProbes {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array = randomBytes(16)) {
    this.#key = key;
  }

  build(dpid: bigint, port_no: number, src: string): Uint8Array {
    const chassis = text.encode(`dpid:${dpid.toString(16).padStart(16, "0")}`);
    const ids = [
      lldpId(LLDP_TLV.CHASSIS_ID, LLDP_CHASSIS_LOCAL, chassis),
      lldpId(LLDP_TLV.PORT_ID, LLDP_PORT_LOCAL, text.encode(String(port_no))),
    ];
    const signed = [...ids, lldpTtl(TTL_SECS)];
    const signature = Uint8Array.of(...SIGNATURE_HEAD, ...this.#sign(signed));
    const tlvs = [...signed, { type: LLDP_TLV.ORGANIZATION, value: signature }];
    return ethernet({ src, dst: LLDP_MAC }, lldp(tlvs));
  }

  /** Where a probe comes from; undefined for any LLDP that is not one of ours. */
  read(frame: Uint8Array): ProbeOrigin | undefined {
    const parsed = parseFrame(frame);
    if (parsed.kind !== "ethernet" || parsed.payload instanceof Uint8Array || parsed.payload.kind !== "lldp")
      return undefined;
    const [chassis, port, ttl, signature] = parsed.payload.tlvs;
    if (chassis === undefined || port === undefined || ttl === undefined || signature === undefined)
      return undefined;
    if (!this.#isSigned([chassis, port, ttl], signature)) return undefined;
    const dpid = /^dpid:([0-9a-f]{16})$/.exec(decoder.decode(chassis.value.subarray(1)))?.[1];
    const port_no = Number(decoder.decode(port.value.subarray(1)));
    return dpid === undefined ? undefined : { dpid: BigInt(`0x${dpid}`), port_no };
  }

  #isSigned(tlvs: readonly LldpTlv[], { type, value }: LldpTlv): boolean {
    const expected = Uint8Array.of(...SIGNATURE_HEAD, ...this.#sign(tlvs));
    return (
      type === LLDP_TLV.ORGANIZATION && value.length === expected.length && timingSafeEqual(value, expected)
    );
  }

  #sign(tlvs: readonly LldpTlv[]): Uint8Array {
    const hmac = createHmac("sha256", this.#key);
    for (const { type, value } of tlvs) hmac.update(Uint8Array.of(type, value.length & 0xff)).update(value);
    return hmac.digest().subarray(0, SIGNATURE_SIZE);
  }
}
