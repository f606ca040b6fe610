import type { Emitter } from "./compile.js";
import { scalar } from "./emit-decode.js";
import type { OxmField } from "./oxm-field.js";
import { wanted } from "./oxm-wire.js";
import { readInt, Source, writeInt } from "./source.js";

/** Source for OXM fields. A field's class chooses a function, its number and mask bit a case of a dense
 *  switch; a case has constant offsets. Everything else — wrong lengths, unknown and experimenter fields —
 *  goes the plain way of oxm-wire.ts, which finds the error or keeps the bytes. */

const isFast = (field: OxmField): boolean => field.experimenter === undefined && field.variable === undefined;

/** The largest value of the top byte, where a field has fewer bits than its bytes hold. */
function bitsCheck(field: OxmField, at: string): string | undefined {
  const spare = field.bytes * 8 - field.bits;
  if (spare === 0) return undefined;
  return `${readInt(field.bytes, at)} > ${2 ** field.bits - 1}`;
}

export function decodeOxm(e: Emitter, fields: readonly OxmField[]): string {
  const out = new Source();
  const classes = [...new Set(fields.filter(isFast).map((field) => field.class))];
  out.line("function d_oxm(b, p, end, m) {");
  out.line("if (end - p < 4) return d_oxm_slow(b, p, end, m);");
  out.line("switch ((b[p] << 8) | b[p + 1]) {");
  for (const oxmClass of classes) {
    out.line(`case ${oxmClass}:`);
    out.line("switch (b[p + 2]) {");
    for (const field of fields.filter((f) => isFast(f) && f.class === oxmClass)) {
      decodeCase(e, out, field, false);
      if (field.maskable) decodeCase(e, out, field, true);
    }
    out.line("}");
    out.line("break;");
  }
  out.line("}");
  out.line("return d_oxm_slow(b, p, end, m);");
  out.line("}");
  return out.toString();
}

function decodeCase(e: Emitter, out: Source, field: OxmField, masked: boolean): void {
  const size = field.bytes * (masked ? 2 : 1);
  const value = scalar(e, field.value, "p + 4");
  const range = bitsCheck(field, "p + 4");
  const conditions = [
    `b[p + 3] !== ${size}`,
    `end - p < ${4 + size}`,
    `m.${field.name} !== undefined`,
    ...(range === undefined ? [] : [range]),
    ...(masked ? [`strays(b, p + 4, ${field.bytes})`] : []),
  ];
  out.line(`case ${(field.field << 1) | (masked ? 1 : 0)}:`);
  out.line(`if (${conditions.join(" || ")}) break;`);
  out.line(
    masked
      ? `m.${field.name} = { value: ${value}, mask: ${scalar(e, field.value, `p + ${4 + field.bytes}`)} };`
      : `m.${field.name} = ${value};`,
  );
  out.line(`return p + ${4 + size};`);
}

export function encodeOxm(e: Emitter, fields: readonly OxmField[]): string {
  const out = new Source();
  const fast = fields.filter(isFast);
  const index = e.constant(new Map(fast.map((field, i) => [field.name, i])));
  out.line("function e_oxm(b, p, name, v) {");
  out.line(`switch (${index}.get(name)) {`);
  fast.forEach((field, i) => {
    encodeCase(out, field, i);
  });
  out.line("}");
  out.line("return e_oxm_slow(b, p, name, v);");
  out.line("}");
  return out.toString();
}

function encodeCase(out: Source, field: OxmField, index: number): void {
  const header = (masked: boolean): string =>
    writeInt(
      4,
      "p",
      String(
        ((field.class << 16) |
          (field.field << 9) |
          (masked ? 0x100 : 0) |
          (field.bytes * (masked ? 2 : 1))) >>>
          0,
      ),
    );
  out.line(`case ${index}:`);
  // Masks go the plain way: their checks read back what was written, and refuse where none is taken.
  out.line('if (typeof v === "object") break;');
  out.line(`${header(false)}`);
  out.line(store(field));
  out.line(`return p + ${4 + field.bytes};`);
}

function store(field: OxmField): string {
  const at = "p + 4";
  const refuse = `bad(name, v, ${JSON.stringify(wanted(field))});`;
  switch (field.kind) {
    case "uint": {
      const max = 2 ** field.bits - 1;
      const check = field.bits === 32 ? "(v >>> 0) !== v" : `(v & ${max}) !== v`;
      return `if (${check}) ${refuse} ${writeInt(field.bytes, at, "v")}`;
    }
    case "big":
      return `if (!${field.bytes === 8 ? "write64" : "write128"}(b, ${at}, v)) ${refuse}`;
    case "mac":
      return `if (!writeMacText(b, ${at}, v)) ${refuse}`;
    case "ipv4":
      return `if (!writeIpv4Text(b, ${at}, v)) ${refuse}`;
    case "ipv6":
      return `if (!writeIpv6Text(b, ${at}, v)) ${refuse}`;
    default:
      throw new Error(`${field.name} has no fast form`);
  }
}
