import type { OfDecodeError } from "@sluice/openflow-codec";

const PER_LINE = 16;

/** Bytes with their offsets and as ASCII, as the Open vSwitch tools print them. */
export function hexDump(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += PER_LINE) {
    const line = [...bytes.subarray(at, at + PER_LINE)];
    const hex = line.map(
      (byte, i) => byte.toString(16).padStart(2, "0") + (i === PER_LINE / 2 - 1 ? "-" : " "),
    );
    const ascii = line.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
    const offset = at.toString(16).padStart(8, "0");
    text += `${offset}  ${hex.join("").padEnd(PER_LINE * 3)}|${ascii.join("").padEnd(PER_LINE)}|\n`;
  }
  return text;
}

/** Bytes that are no message: why, and what they are. */
export function formatUndecodable(bytes: Uint8Array, error: OfDecodeError): string {
  if (bytes.length < 8) return `OpenFlow packet too short (only ${bytes.length} bytes):\n${hexDump(bytes)}`;
  const where = error.path === "" ? `offset ${error.offset}` : `${error.path}, offset ${error.offset}`;
  return `***decode error: ${error.error_code} (${where})***\n${hexDump(bytes)}`;
}
