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
