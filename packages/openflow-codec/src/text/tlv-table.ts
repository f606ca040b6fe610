import type { MessageOf } from "../v13/messages.js";
import { altHex } from "./scan.js";

/** The mapping of tunnel options to tun_metadata fields, as ovs-ofctl dump-tlv-map prints it. */
export function formatTlvTable(table: MessageOf<"NXT_TLV_TABLE_REPLY">): string {
  const used = table.maps.reduce((sum, { option_len }) => sum + option_len, 0);
  const rows = table.maps.map(
    ({ option_class, option_type, option_len, index }) =>
      ` ${altHex(option_class).padStart(6)}  ${altHex(option_type).padStart(4)}  ${String(option_len).padStart(6)}  tun_metadata${index}\n`,
  );
  return `
 max option space=${table.max_option_space} max fields=${table.max_fields}
 allocated option space=${used}

 mapping table:
  class  type  length  match field
 ------  ----  ------  --------------
${rows.join("")}`;
}
