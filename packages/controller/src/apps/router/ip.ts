import { readIpv4, readIpv6, writeIpv4, writeIpv6 } from "@sluice/wire";

/** Addresses and networks of IPv4 and IPv6, as numbers. */
export interface Ip {
  readonly family: 4 | 6;
  readonly value: bigint;
}
export interface Network {
  readonly ip: Ip;
  readonly prefix: number;
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

/** Undefined for what is no address. */
export function parseIp(text: string): Ip | undefined {
  const family = text.includes(":") ? 6 : 4;
  const bytes = Buffer.alloc(bitsOf(family) / 8);
  try {
    if (family === 4) writeIpv4(bytes, 0, text);
    else writeIpv6(bytes, 0, text);
  } catch {
    return undefined;
  }
  return { family, value: BigInt(`0x${bytes.toString("hex")}`) };
}

export function bytesOf({ family, value }: Ip): Uint8Array {
  return Buffer.from(value.toString(16).padStart(bitsOf(family) / 4, "0"), "hex");
}

export const formatIp = (ip: Ip): string => (ip.family === 4 ? readIpv4 : readIpv6)(bytesOf(ip), 0);

/** "A/M", the address as it stands there. Undefined for what is none. */
export function parseCidr(text: string): Network | undefined {
  const [, address = "", length = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const ip = parseIp(address);
  const prefix = Number(length);
  return ip === undefined || length === "" || prefix > bitsOf(ip.family) ? undefined : { ip, prefix };
}

const hostBits = ({ ip, prefix }: Network): bigint => (1n << BigInt(bitsOf(ip.family) - prefix)) - 1n;

/** With the bits behind the prefix cleared. */
export const networkOf = (network: Network): Network => ({
  ip: { family: network.ip.family, value: network.ip.value & ~hostBits(network) },
  prefix: network.prefix,
});

export const formatNetwork = ({ ip, prefix }: Network): string => `${formatIp(ip)}/${prefix}`;

export const isSameIp = (a: Ip, b: Ip): boolean => a.family === b.family && a.value === b.value;

export const contains = (network: Network, ip: Ip): boolean =>
  network.ip.family === ip.family &&
  (network.ip.value | hostBits(network)) === (ip.value | hostBits(network));

/** The addresses of the network itself and of all in it, which are no host's (IPv4 longer than /31: RFC 3021). */
export const isBroadcast = (network: Network, ip: Ip): boolean =>
  ip.family === 4 &&
  network.prefix < 31 &&
  ((ip.value & hostBits(network)) === 0n || (ip.value & hostBits(network)) === hostBits(network));

/** Of one network, for a match. */
export const maskOf = (network: Network): Ip => ({
  family: network.ip.family,
  value: ~hostBits(network) & ((1n << BigInt(bitsOf(network.ip.family))) - 1n),
});
export const isHost = ({ ip, prefix }: Network): boolean => prefix === bitsOf(ip.family);

const [MULTICAST4, MULTICAST6, LINK_LOCAL6, LOOPBACK4] = [
  "224.0.0.0/4",
  "ff00::/8",
  "fe80::/10",
  "127.0.0.0/8",
].map((text) => parseCidr(text)!) as [Network, Network, Network, Network];
export const isMulticastIp = (ip: Ip): boolean => contains(MULTICAST4, ip) || contains(MULTICAST6, ip);
export const LINK_LOCAL = LINK_LOCAL6;
export const isLinkLocalIp = (ip: Ip): boolean => contains(LINK_LOCAL6, ip);
/** What can be the address of a host. */
export const isUnicast = (ip: Ip): boolean =>
  ip.value !== 0n && !isMulticastIp(ip) && !contains(LOOPBACK4, ip) && ip.value !== 0xffff_ffffn;
