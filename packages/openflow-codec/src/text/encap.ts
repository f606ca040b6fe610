import { fromHex, toHex } from "@sluice/wire";
import type { ActionInit } from "../v13/actions.js";
import { refuse } from "./error.js";
import { bigInteger, hexText, integer, scan } from "./scan.js";

/** encap(…): the header to put before a packet, and for NSH what is in it. */

type Encap = Extract<ActionInit, { type: "NXAST_ENCAP" }>;
type Property = NonNullable<Encap["properties"]>[number];

const HEADERS: Readonly<Record<string, number>> = {
  ethernet: 0,
  nsh: 0x1894f,
  mpls: 0x18847,
  mpls_mc: 0x18848,
};
const NSH = 4;
const MD_TYPE = 1;
const TLV = 2;

export function parseEncap(value: string): ActionInit {
  const [word, ...others] = scan(value);
  const key = word?.key ?? "";
  const new_pkt_type = Object.hasOwn(HEADERS, key) ? HEADERS[key] : undefined;
  if (word === undefined || new_pkt_type === undefined || others.length > 0)
    return refuse(`Encap hdr not supported: ${value}`);
  if (word.delimiter !== "" && key !== "nsh") return refuse(`encap: ${key} takes nothing in parentheses`);
  const properties = scan(word.value).map(nshProperty);
  return { type: "NXAST_ENCAP", hdr_size: 0, new_pkt_type, properties };
}

function nshProperty({ key, value }: { readonly key: string; readonly value: string }): Property {
  if (key === "md_type") {
    const type = integer(value, "md_type", 0xff);
    if (type !== 1 && type !== 2) return refuse("invalid md_type");
    return { prop_class: NSH, prop_type: MD_TYPE, data: Uint8Array.of(type) };
  }
  if (key !== "tlv") return refuse(`Invalid property: ${key}`);
  const [tlvClass, type, digits, ...more] = value.split(",");
  const hex = /^0x([0-9a-f]+)$/i.exec(digits ?? "")?.[1];
  if (hex === undefined || more.length > 0) return refuse(`Invalid NSH TLV header: ${value}`);
  const number = Number(bigInteger(tlvClass ?? "", "tlv class", 0xffffn));
  const bytes = fromHex(hex.padStart(hex.length + (hex.length % 2), "0"));
  const head = [number >>> 8, number & 0xff, integer(type ?? "", "tlv type", 0xff), bytes.length];
  if (bytes.length > 0xff - 8) return refuse(`NSH TLV of ${bytes.length} bytes, of at most ${0xff - 8}`);
  // The length that the property states has the padding in it.
  const data = new Uint8Array(Math.ceil((4 + head.length + bytes.length) / 8) * 8 - 4);
  data.set([...head, ...bytes]);
  return { prop_class: NSH, prop_type: TLV, data };
}

export function formatEncap({ new_pkt_type, properties = [] }: Encap): string {
  const name = Object.keys(HEADERS).find((key) => HEADERS[key] === new_pkt_type);
  const parts = properties.map(({ prop_class, prop_type, data = new Uint8Array() }) => {
    if (prop_class === NSH && prop_type === MD_TYPE && data.length > 0) return `md_type=${data[0]}`;
    if (prop_class !== NSH || prop_type !== TLV || data.length < 4)
      return `(class=${hexText(prop_class)},type=${prop_type})`;
    return `tlv(0x${toHex(data.subarray(0, 2))},${data[2]},0x${toHex(data.subarray(4, 4 + data[3]!))})`;
  });
  const inside = parts.length === 0 ? "" : `(${parts.join(",")})`;
  return `encap(${name ?? hexText(new_pkt_type)}${inside})`;
}
