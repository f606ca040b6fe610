import type { ActionInit } from "../v13/actions.js";
import { ALG_PORTS } from "./action-names.js";
import { refuse } from "./error.js";
import { oxmHeader, parseSubfield } from "./fields.js";
import { integer, scan } from "./scan.js";

/** "nat(src=10.0.0.1-10.0.0.9:100-200,hash)" and "ct(commit,zone=1,exec(...))". */

const NAT_FLAGS: Readonly<Record<string, number>> = { src: 1, dst: 2, persistent: 4, hash: 8, random: 16 };

export function parseNat(text: string): ActionInit {
  let flags = 0;
  let range: Record<string, unknown> = {};
  for (const { key, value } of scan(text)) {
    const flag = Object.hasOwn(NAT_FLAGS, key)
      ? NAT_FLAGS[key]!
      : refuse(`invalid key "${key}" in "nat" argument`);
    flags |= flag;
    if (flag <= 2 && value !== "") range = natRange(value);
  }
  if ((flags & 3) === 3) refuse('may only specify one of "src" or "dst".');
  if (flags !== 0 && (flags & 3) === 0) refuse('flags allowed only with "src" or "dst".');
  return { type: "NXAST_NAT", flags, ...range };
}

function natRange(text: string): Record<string, unknown> {
  const parts =
    /^(?:(\d+\.[\d.]+)(?:-(\d+\.[\d.]+))?|\[([0-9a-f:.]+)\](?:-\[([0-9a-f:.]+)\])?|([0-9a-f:]+)(?:-([0-9a-f:]+))?)?(?::(\d+)(?:-(\d+))?)?$/i.exec(
      text,
    );
  if (parts === null) return refuse(`invalid IP address range ${JSON.stringify(text)} in "nat" argument`);
  const [, v4, v4max, bracketed, bracketedMax, v6, v6max, proto, protoMax] = parts;
  return {
    ...(v4 === undefined ? {} : { ipv4_min: v4 }),
    ...(v4max === undefined ? {} : { ipv4_max: v4max }),
    ...((bracketed ?? v6) === undefined ? {} : { ipv6_min: bracketed ?? v6 }),
    ...((bracketedMax ?? v6max) === undefined ? {} : { ipv6_max: bracketedMax ?? v6max }),
    ...(proto === undefined ? {} : { proto_min: integer(proto, "nat", 0xffff) }),
    ...(protoMax === undefined ? {} : { proto_max: integer(protoMax, "nat", 0xffff) }),
  };
}

export function parseCt(text: string, parseActions: (text: string) => ActionInit[]): ActionInit {
  const ct = { flags: 0, zone_src: 0, zone: 0, recirc_table: 0xff, alg: 0 };
  const actions: ActionInit[] = [];
  for (const { key, value } of scan(text)) {
    switch (key) {
      case "commit":
        ct.flags |= 1;
        break;
      case "force":
        ct.flags |= 2;
        break;
      case "table":
        ct.recirc_table = integer(value, "table", 0xfe);
        break;
      case "zone":
        if (/^\d/.test(value)) {
          ct.zone = integer(value, "zone", 0xffff);
        } else {
          const sub = parseSubfield(value);
          ct.zone_src = oxmHeader(sub.field.nxm);
          ct.zone = (sub.ofs << 6) | (sub.n_bits - 1);
        }
        break;
      case "alg":
        ct.alg = ALG_PORTS[value] ?? integer(value, "alg", 0xffff);
        break;
      case "nat":
        actions.push(parseNat(value));
        break;
      case "exec":
        actions.push(...parseActions(value));
        break;
      default:
        refuse(`invalid argument to "ct" action: \`${key}'`);
    }
  }
  return { type: "NXAST_CT", ...ct, actions };
}
