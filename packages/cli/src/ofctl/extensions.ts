import { CliError } from "../io.js";
import { type CommandTable, type OfctlCommand, withSwitch } from "./context.js";
import { print } from "./print.js";

const MAPPING =
  /^\{class=(0x[0-9a-f]+|\d+),type=(0x[0-9a-f]+|\d+),len=(0x[0-9a-f]+|\d+)\}->tun_metadata(\d+)$/i;

/** "{class=0xffff,type=0,len=4}->tun_metadata0,…" */
function mappings(text: string) {
  return text.split(/,(?=\{)/).map((each) => {
    const [, option_class, option_type, option_len, index] = MAPPING.exec(each.replaceAll(/\s/g, "")) ?? [];
    if (index === undefined)
      throw new CliError(`${each}: not a mapping; write {class=N,type=N,len=N}->tun_metadataN`);
    return {
      option_class: Number(option_class),
      option_type: Number(option_type),
      option_len: Number(option_len),
      index: Number(index),
    };
  });
}

const modify = (usage: string, min: number, command: "NXTTMC_ADD" | "NXTTMC_DELETE"): OfctlCommand => ({
  usage,
  min,
  max: 2,
  writes: true,
  run: (context, [name, text]) =>
    withSwitch(context, name!, (vconn) =>
      vconn.command(
        text === undefined
          ? { type: "NXT_TLV_TABLE_MOD", command: "NXTTMC_CLEAR" }
          : { type: "NXT_TLV_TABLE_MOD", command, maps: mappings(text) },
      ),
    ),
});

/** Commands of Open vSwitch's own extensions. */
export const extensionCommands: CommandTable = {
  "add-tlv-map": modify("SWITCH MAP[,MAP]...", 2, "NXTTMC_ADD"),
  "del-tlv-map": modify("SWITCH [MAP[,MAP]...]", 1, "NXTTMC_DELETE"),
  "dump-tlv-map": {
    usage: "SWITCH",
    min: 1,
    max: 1,
    run: (context, [name]) =>
      withSwitch(context, name!, async (vconn) =>
        print(context, await vconn.request({ type: "NXT_TLV_TABLE_REQUEST" }, "NXT_TLV_TABLE_REPLY")),
      ),
  },
  "ct-flush-zone": {
    usage: "SWITCH ZONE",
    min: 2,
    max: 2,
    writes: true,
    run: (context, [name, zone]) =>
      withSwitch(context, name!, (vconn) => {
        const zone_id = Number(zone);
        if (!/^\d+$/.test(zone!) || zone_id > 0xffff)
          throw new CliError(`"${zone}" is not a zone (0 to 65535)`);
        return vconn.command({ type: "NXT_CT_FLUSH_ZONE", zone_id });
      }),
  },
};
