import { cpus } from "node:os";

/** A number of other_config, brought into its range; undefined where there is none. */
export function number(
  config: ReadonlyMap<string, string>,
  key: string,
  low: number,
  high: number,
): number | undefined {
  const text = config.get(key);
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined;
  return Math.min(high, Math.max(low, Number(text)));
}

/** The processor cores of a mask in hexadecimal digits, as pmd-cpu-mask has it; those that there are not are left out. */
export function cores(
  text: string | undefined,
  complain: (text: string) => void,
  available = cpus().length,
): number[] {
  if (text === undefined || text === "") return [];
  if (!/^(0x)?[0-9a-f]{1,64}$/i.test(text)) {
    complain(`pmd-cpu-mask "${text}" is not a hexadecimal number`);
    return [];
  }
  const mask = BigInt(`0x${text.replace(/^0x/i, "")}`);
  const wanted = Array.from({ length: 256 }, (_, core) => core).filter((core) => (mask >> BigInt(core)) & 1n);
  const missing = wanted.filter((core) => core >= available);
  if (missing.length > 0) complain(`pmd-cpu-mask: there is no core ${missing.join(", ")}`);
  return wanted.filter((core) => core < available);
}
