// Hot path: `read` runs for each LLDP packet-in.
import { createHmac, randomBytes } from "node:crypto";
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
  MAC_BROADCAST,
  readU16,
  writeU16,
} from "@sluice/wire";
import type { TopologyPort } from "./model.js";

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
/** A locally administered OUI and our subtypes: the TLV of the signature (IEEE 802.1AB §8.6). */
const SIGNATURE_HEAD = { lldp: Uint8Array.of(0x02, 0x53, 0x4c, 1), bddp: Uint8Array.of(0x02, 0x53, 0x4c, 2) };
const SIGNATURE_SIZE = 8;
const TTL_SECS = 120;

const CHASSIS = "dpid:";
const DPID_DIGITS = 16;
const TLV_HEAD = 2;
const AT_ETH_TYPE = 12;
const AT_DPID = AT_ETH_TYPE + 2 + TLV_HEAD + 1 + CHASSIS.length;
const AT_PORT_TLV = AT_DPID + DPID_DIGITS;
const AT_PORT = AT_PORT_TLV + TLV_HEAD + 1;

export type ProbeKind = keyof typeof SIGNATURE_HEAD;

/** Makes and reads the LLDP and BDDP frames by which links are found. Each carries the switch and port that it leaves
 *  by, and a signature: a host that sends LLDP of its own making cannot invent a link. */
export class LldpProbes {
  readonly #key: Uint8Array;
  /** The probe of a port stays the same: it is made, and signed, once. */
  readonly #made = {
    lldp: new WeakMap<TopologyPort, Uint8Array>(),
    bddp: new WeakMap<TopologyPort, Uint8Array>(),
  };

  constructor(key: Uint8Array = randomBytes(16)) {
    this.#key = key;
  }

  of(port: TopologyPort, kind: ProbeKind): Uint8Array {
    let probe = this.#made[kind].get(port);
    if (probe === undefined) {
      probe = this.build(port.dpid, port.port_no, port.hw_addr, kind);
      this.#made[kind].set(port, probe);
    }
    return probe;
  }

  build(dpid: bigint, port_no: number, src: string, kind: ProbeKind = "lldp"): Uint8Array {
    const chassis = text.encode(CHASSIS + dpid.toString(16).padStart(DPID_DIGITS, "0"));
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

  /** Where a probe comes from; undefined for anything that is not, byte for byte, the probe of the port that it names.
   *  What is behind its end is padding. `find` gives a port that is there. */
  read(
    frame: Uint8Array,
    find: (dpid: bigint, port_no: number) => TopologyPort | undefined,
  ): ProbeOrigin | undefined {
    if (frame.length < AT_PORT) return undefined;
    const isDirect = readU16(frame, AT_ETH_TYPE) !== ETH_BDDP;
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
    const dpid = bytes.toString("latin1", AT_DPID, AT_PORT_TLV);
    const end = AT_PORT_TLV + TLV_HEAD + (readU16(frame, AT_PORT_TLV) & 0x1ff);
    const port_no = Number(bytes.toString("latin1", AT_PORT, end));
    if (!/^[0-9a-f]{16}$/.test(dpid) || !Number.isInteger(port_no)) return undefined;
    const port = find(BigInt(`0x${dpid}`), port_no);
    if (port === undefined) return undefined;
    const probe = this.of(port, isDirect ? "lldp" : "bddp");
    if (Buffer.compare(bytes.subarray(0, probe.length), probe) !== 0) return undefined;
    return { dpid: port.dpid, port_no, isDirect };
  }

  #sign(kind: ProbeKind, tlvs: readonly LldpTlv[]): Uint8Array {
    const head = SIGNATURE_HEAD[kind];
    const hmac = createHmac("sha256", this.#key).update(head);
    for (const { type, value } of tlvs) hmac.update(Uint8Array.of(type, value.length & 0xff)).update(value);
    return Uint8Array.of(...head, ...hmac.digest().subarray(0, SIGNATURE_SIZE));
  }
}
