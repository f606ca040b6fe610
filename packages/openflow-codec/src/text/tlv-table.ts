import type { MessageOf } from "../v13/messages.js";
import { altHex } from "./scan.js";

/** The mapping of tunnel options to tun_metadata fields, as ovs-ofctl dump-tlv-map prints it. */

type Reply = MessageOf<"NXT_TLV_TABLE_REPLY">;

const table = (maps: Reply["maps"]): string => {
  const rows = maps.map(
    ({ option_class, option_type, option_len, index }) =>
      ` ${altHex(option_class).padStart(6)}  ${altHex(option_type).padStart(4)}  ${String(option_len).padStart(6)}  tun_metadata${index}\n`,
  );
  return ` mapping table:
  class  type  length  match field
 ------  ----  ------  --------------
${rows.join("")}`;
};

export function formatTlvTable(message: Reply): string {
  const used = message.maps.reduce((sum, { option_len }) => sum + option_len, 0);
  return `
 max option space=${message.max_option_space} max fields=${message.max_fields}
 allocated option space=${used}

${table(message.maps)}`;
}

const COMMANDS: Readonly<Record<string, string>> = { NXTTMC_ADD: "ADD", NXTTMC_DELETE: "DEL" };

export function formatTlvTableMod({ command, maps }: MessageOf<"NXT_TLV_TABLE_MOD">): string {
  if (command === "NXTTMC_CLEAR") return "\n CLEAR";
  return `\n ${COMMANDS[command] ?? command}${table(maps)}`;
}
