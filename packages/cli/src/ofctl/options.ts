import { CliError } from "../io.js";
import type { OptionSpecs } from "../options.js";
import { TLS_OPTIONS } from "../tls.js";

/** The options of `sluice ofctl`: ovs-ofctl's, and `--json`, `--format`, `--pcap` of ours. */
export const OPTIONS = {
  protocols: { short: "O", value: true, many: true },
  timeout: { short: "t", value: true },
  json: {},
  format: { value: true },
  pcap: { value: true },
  strict: {},
  bundle: {},
  readd: {},
  "may-create": {},
  "read-only": {},
  names: {},
  "no-names": {},
  stats: {},
  "no-stats": {},
  sort: { value: "optional" },
  rsort: { value: "optional" },
  timestamp: {},
  more: { short: "m", count: true },
  "flow-format": { short: "F", value: true },
  "packet-in-format": { short: "P", value: true },
  ...TLS_OPTIONS,
  unixctl: { value: true },
  verbose: { short: "v", value: "optional" },
  help: { short: "h" },
  version: { short: "V" },
} as const satisfies OptionSpecs;

const VERSIONS: Readonly<Record<string, number>> = {
  OpenFlow10: 1,
  OpenFlow11: 2,
  OpenFlow12: 3,
  OpenFlow13: 4,
  OpenFlow14: 5,
  OpenFlow15: 6,
};
const FLOW_FORMATS = [
  "any",
  "OpenFlow10",
  "OpenFlow10-table_id",
  "OpenFlow10+table_id",
  "NXM",
  "NXM-table_id",
  "NXM+table_id",
  "OXM",
  "OXM-OpenFlow12",
  "OXM-OpenFlow13",
  "OXM-OpenFlow14",
  "OXM-OpenFlow15",
];
const SPOKEN_FORMATS = ["any", "OXM", "OXM-OpenFlow13"];

/** -O and -F choose among versions and formats; we speak OpenFlow 1.3 in its own format, so it must be among them. */
export function checkProtocols(protocols: readonly string[], flowFormat: string | undefined): void {
  const versions = protocols.flatMap((list) => list.split(/[ ,]+/)).filter((name) => name !== "");
  const unknown = versions.find((name) => !Object.hasOwn(VERSIONS, name));
  if (unknown) throw new CliError(`${unknown}: unknown OpenFlow version; sluice speaks OpenFlow13`);
  if (versions.length > 0 && !versions.includes("OpenFlow13"))
    throw new CliError(`${versions.join(", ")}: not spoken; sluice speaks OpenFlow13`);
  const formats = (flowFormat ?? "any").split(",");
  const strange = formats.find((name) => !FLOW_FORMATS.includes(name));
  if (strange) throw new CliError(`${strange}: unknown flow protocol`);
  if (!formats.some((name) => SPOKEN_FORMATS.includes(name)))
    throw new CliError(`${flowFormat}: not spoken; sluice speaks OXM-OpenFlow13`);
}
