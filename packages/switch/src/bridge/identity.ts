/** MAC addresses and datapath ids of bridges. */

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

type Complain = (text: string) => void;

/** A unicast MAC address from a configuration column; a bad one is complained of and passed over. */
export function parseMac(text: string | undefined, complain: Complain): string | undefined {
  if (text === undefined || text === "") return undefined;
  const isUnicast = MAC.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0;
  if (isUnicast && text !== "00:00:00:00:00:00") return text.toLowerCase();
  complain(`"${text}" is not a unicast MAC address; ignored`);
  return undefined;
}

/** other_config:datapath-id: 16 hex digits, or fewer after "0x"; not 0. */
export function parseDpid(text: string | undefined, complain: Complain): bigint | undefined {
  if (text === undefined || text === "") return undefined;
  const digits = /^(?:([0-9a-f]{16})|0x([0-9a-f]{1,16}))$/i.exec(text);
  const dpid = digits ? BigInt(`0x${digits[1] ?? digits[2]}`) : 0n;
  if (dpid !== 0n) return dpid;
  complain(`datapath-id "${text}" is not 16 hex digits, or is zero; ignored`);
  return undefined;
}

/** Where nothing else is said a bridge's MAC comes from its row's UUID: it stays the same when ports come and go and
 *  when the switch starts anew. Locally administered, unicast. */
export function macOfUuid(uuid: string): string {
  const hex = uuid.replaceAll("-", "").padEnd(12, "0").slice(0, 12);
  const bytes = hex.match(/../g)!;
  const first = (Number.parseInt(bytes[0]!, 16) & 0xfc) | 0x02;
  return [first.toString(16).padStart(2, "0"), ...bytes.slice(1)].join(":");
}

/** The lower 48 bits of a datapath_id are a MAC address (OpenFlow 1.3.5 §7.3.1). */
export const dpidOfMac = (mac: string): bigint => BigInt(`0x${mac.replaceAll(":", "")}`);

/** As OVSDB and the tools write it. */
export const formatDpid = (dpid: bigint): string => dpid.toString(16).padStart(16, "0");
