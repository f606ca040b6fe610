import { type FlowStats, oxmFields } from "@sluice/openflow-codec";
import { parseMac, writeIpv6 } from "@sluice/wire";
import { CliError } from "../io.js";

interface Criterion {
  field: string;
  descending: boolean;
}

/** Flows in the order that --sort and --rsort ask for; those without the field come last either way. Throws CliError. */
export function sortFlows(flows: readonly FlowStats[], criteria: readonly Criterion[]): readonly FlowStats[] {
  if (criteria.length === 0) return flows;
  const keys = criteria.map(({ field, descending }) => ({ key: keyOf(field), descending }));
  const rows = flows.map((flow) => ({ flow, values: keys.map(({ key }) => key(flow)) }));
  rows.sort((a, b) => {
    for (const [i, { descending }] of keys.entries()) {
      const order = compare(a.values[i], b.values[i], descending);
      if (order !== 0) return order;
    }
    return 0;
  });
  return rows.map(({ flow }) => flow);
}

function compare(a: bigint | undefined, b: bigint | undefined, descending: boolean): number {
  if (a === b) return 0;
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return a < b === descending ? 1 : -1;
}

/** What a flow is sorted by: wildcarded bits count as zeros. */
function keyOf(name: string): (flow: FlowStats) => bigint | undefined {
  if (name === "priority") return ({ priority }) => BigInt(priority);
  const fields = oxmFields.filter((field) => field.name === name || field.text === name);
  if (fields.length === 0) throw new CliError(`${name}: unknown field to sort by`);
  return ({ match }) => {
    const field = fields.find((each) => Object.hasOwn(match, each.name));
    return field && numberOf((match as Record<string, unknown>)[field.name], field.kind);
  };
}

function numberOf(given: unknown, kind: string): bigint {
  const { value, mask } = isMasked(given) ? given : { value: given, mask: undefined };
  const number = scalarOf(value, kind);
  return mask === undefined ? number : number & scalarOf(mask, kind);
}

const isMasked = (given: unknown): given is { value: unknown; mask: unknown } =>
  typeof given === "object" && given !== null && "mask" in given;

function scalarOf(value: unknown, kind: string): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return BigInt(value);
  const text = String(value);
  if (kind === "mac") return fromBytes(parseMac(text));
  if (kind === "ipv4") return text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  if (kind === "ipv6") return fromBytes(ipv6Bytes(text));
  return BigInt(`0x0${text.replace(/^0x/, "")}`);
}

const fromBytes = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);

function ipv6Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  writeIpv6(bytes, 0, text);
  return bytes;
}
