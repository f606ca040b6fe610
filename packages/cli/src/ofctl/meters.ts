import { OFPM, parseMeter } from "@sluice/openflow-codec";
import { CliError } from "../io.js";
import { type CommandTable, type OfctlCommand, withSwitch } from "./context.js";
import { printMultipart } from "./print.js";

const RESERVED: Readonly<Record<string, number>> = {
  all: OFPM.ALL,
  controller: OFPM.CONTROLLER,
  slowpath: OFPM.SLOWPATH,
};

/** "meter=7", "7", "all" …, or nothing for all. */
function meterId(text: string | undefined): number {
  const value = (text ?? "all").replace(/^meter(_id)?\s*[=:]\s*/, "").toLowerCase();
  const number = RESERVED[value] ?? Number(value);
  if (value !== "" && Number.isInteger(number) && number >= 0 && number <= 0xffffffff) return number;
  throw new CliError(`"${text}" is not a meter`);
}

const change = (command: "add" | "modify"): OfctlCommand => ({
  usage: "SWITCH METER",
  min: 2,
  max: 2,
  writes: true,
  run: (context, [name, spec]) =>
    withSwitch(context, name!, (vconn) => vconn.command(parseMeter(spec!, command))),
});

const remove: OfctlCommand = {
  usage: "SWITCH [METER]",
  min: 1,
  max: 2,
  writes: true,
  run: (context, [name, meter]) =>
    withSwitch(context, name!, (vconn) =>
      vconn.command({ type: "OFPT_METER_MOD", command: "OFPMC_DELETE", meter_id: meterId(meter) }),
    ),
};

const dump = (type: "OFPMP_METER" | "OFPMP_METER_CONFIG"): OfctlCommand => ({
  usage: "SWITCH [METER]",
  min: 1,
  max: 2,
  run: (context, [name, meter]) =>
    withSwitch(context, name!, (vconn) => printMultipart(context, vconn, { type, meter_id: meterId(meter) })),
});

/** Commands on the meter table. */
export const meterCommands: CommandTable = {
  "add-meter": change("add"),
  "mod-meter": change("modify"),
  "del-meter": { ...remove, min: 2 },
  "del-meters": remove,
  "dump-meter": { ...dump("OFPMP_METER_CONFIG"), min: 2 },
  "dump-meters": dump("OFPMP_METER_CONFIG"),
  "meter-stats": dump("OFPMP_METER"),
};
