import type { Init } from "../schema/declare.js";
import type { MeterMod } from "../v13/messages.js";
import { OFPM, OFPMF } from "../v13/numbers.js";
import type { MeterBand, MeterBandInit } from "../v13/structs.js";
import { refuse } from "./error.js";
import { hexText, integer } from "./scan.js";

/** Meters in ovs-ofctl's syntax: "meter=1,kbps,burst,band=type=drop,rate=1000,burst_size=100". */

type MeterModInit = Init<typeof MeterMod>;
export type MeterCommand = "add" | "modify" | "delete";
const COMMANDS = { add: "OFPMC_ADD", modify: "OFPMC_MODIFY", delete: "OFPMC_DELETE" } as const;
const U32 = 0xffffffff;

const FLAGS: Readonly<Record<string, number>> = {
  kbps: OFPMF.KBPS,
  pktps: OFPMF.PKTPS,
  burst: OFPMF.BURST,
  stats: OFPMF.STATS,
};
const RESERVED: Readonly<Record<string, number>> = {
  all: OFPM.ALL,
  controller: OFPM.CONTROLLER,
  slowpath: OFPM.SLOWPATH,
};

export function parseMeterId(text: string): number {
  if (Object.hasOwn(RESERVED, text)) return RESERVED[text]!;
  const id = integer(text, "meter", U32);
  return id === 0 || id > OFPM.MAX ? refuse("invalid value for meter") : id;
}

/** The meter_mod of an add-meter, mod-meter or del-meters argument. Throws TextError. */
export function parseMeter(text: string, command: MeterCommand = "add"): MeterModInit {
  const bands = command === "delete" ? undefined : /bands?\s*=/.exec(text);
  if (command !== "delete" && bands === null) return refuse("must specify bands");
  const head = bands == null ? text : text.slice(0, bands.index);
  let id: number | undefined;
  let flags = 0;
  for (const word of head.split(/[,\s]+/).filter((part) => part !== "")) {
    const [key = "", value] = word.split("=");
    const flag = Object.hasOwn(FLAGS, key) ? FLAGS[key] : undefined;
    if (flag !== undefined && command !== "delete") flags |= flag;
    else if (key !== "meter") refuse(`unknown keyword ${key}`);
    else id = parseMeterId(value ?? refuse("field meter missing value"));
  }
  if (id === undefined) return refuse("must specify 'meter'");
  if (bands == null) return { type: "OFPT_METER_MOD", command: COMMANDS[command], meter_id: id };
  if (flags === 0) refuse("meter must specify either 'kbps' or 'pktps'");
  return {
    type: "OFPT_METER_MOD",
    command: COMMANDS[command],
    flags,
    meter_id: id,
    bands: parseBands(text.slice(bands.index + bands[0].length), flags),
  };
}

interface BandText {
  type: string;
  rate: number;
  burst_size: number;
  prec_level: number;
}

function parseBands(text: string, flags: number): MeterBandInit[] {
  const bands: BandText[] = [];
  for (const word of text.split(/[,\s]+/).filter((part) => part !== "")) {
    const [key = "", value] = word.replace(/^bands?=/, "").split("=");
    if (value === undefined) return refuse(`field ${key} missing value`);
    const band = bands.at(-1);
    if (key === "type") bands.push({ type: value, rate: 0, burst_size: 0, prec_level: 0 });
    else if (band === undefined) refuse("band must start with the 'type' keyword");
    else if (key === "rate" || key === "burst_size") band[key] = integer(value, key, U32);
    else if (key === "prec_level") band.prec_level = integer(value, key, 255);
    else refuse(`unknown keyword ${key}`);
  }
  if (bands.length === 0) refuse("meter must have bands");
  return bands.map((band) => checkBand(band, (flags & OFPMF.BURST) !== 0));
}

function checkBand({ type, rate, burst_size, prec_level }: BandText, burst: boolean): MeterBandInit {
  if (rate === 0) refuse("band must have 'rate'");
  if (burst && burst_size === 0) refuse("band must have 'burst_size' when 'burst' flag is set");
  if (!burst && burst_size !== 0) refuse("band may have 'burst_size' only when 'burst' flag is set");
  if (type === "drop") {
    if (prec_level !== 0) refuse("Only 'dscp_remark' band may have 'prec_level'");
    return { type: "OFPMBT_DROP", rate, burst_size };
  }
  if (type !== "dscp_remark") return refuse(`field type unknown value ${type}`);
  if (prec_level === 0) refuse("'dscp_remark' band must have 'prec_level'");
  return { type: "OFPMBT_DSCP_REMARK", rate, burst_size, prec_level };
}

export function formatMeterId(id: number, separator: string): string {
  const reserved = Object.entries(RESERVED).find(([, value]) => value === id)?.[0];
  return `meter${separator}${reserved ?? (id > OFPM.MAX ? "unknown" : id)}`;
}

const BANDS: Readonly<Record<string, string>> = { OFPMBT_DROP: "drop", OFPMBT_DSCP_REMARK: "dscp_remark" };

/** What dump-meters prints of a meter: a line, and one for each band. */
export function formatMeter(meter: {
  readonly meter_id: number;
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}): string {
  const words = Object.entries(FLAGS)
    .filter(([, bit]) => meter.flags & bit)
    .map(([word]) => `${word} `);
  const rest = meter.flags & ~0xf;
  const flags = words.join("") + (rest === 0 ? "" : `flags:${hexText(rest)} `);
  const bands = meter.bands.map((band) => {
    const burst = meter.flags & OFPMF.BURST ? ` burst_size=${band.burst_size}` : "";
    const level = band.type === "OFPMBT_DSCP_REMARK" ? ` prec_level=${band.prec_level}` : "";
    return `\ntype=${BANDS[band.type] ?? band.type} rate=${band.rate}${burst}${level}`;
  });
  return `${formatMeterId(meter.meter_id, "=")} ${flags}bands=${bands.join("")}\n`;
}
