import { badField } from "./problem.js";

/** A dpid as 16 hexadecimal digits, as ovs-vsctl and `/v1` write it. */
export const dpidText = (dpid: bigint): string => dpid.toString(16).padStart(16, "0");

/** The dpid of a path or query; fewer digits, and 0x, do as well. Throws a Problem. */
export function readDpid(text: string | undefined): bigint {
  const digits = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(text ?? "")?.[1];
  if (digits === undefined) throw badField("dpid", "is not up to 16 hexadecimal digits");
  return BigInt(`0x${digits}`);
}
