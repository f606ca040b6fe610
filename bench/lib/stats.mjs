/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values) {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Three significant digits, with thousands in k and millions in M. */
export function figure(value) {
  if (!Number.isFinite(value)) return "-";
  const [scaled, suffix] =
    value >= 1e6 ? [value / 1e6, " M"] : value >= 1e4 ? [value / 1e3, " k"] : [value, ""];
  return `${Number(scaled.toPrecision(3))}${suffix}`;
}
