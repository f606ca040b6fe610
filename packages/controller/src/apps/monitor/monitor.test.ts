import { expect, test } from "vitest";
import { RateSeries } from "./series.js";

test("rates are differences a second, by the time that the switch has counted", () => {
  const series = new RateSeries(3, 2);
  series.read([100n, 5n], 1000, 1);
  expect(series.latest).toBeUndefined();
  series.read([300n, 5n], 3000, 2);
  expect(series.latest).toEqual({ at: 2, rates: [100, 0] });
  expect(series.counters).toEqual([300n, 5n]);
});

test("counting begun anew gives no rate, and the next reading one again", () => {
  const series = new RateSeries(3, 1);
  series.read([100n], 5000, 1);
  series.read([10n], 1000, 2);
  series.read([10n], 1000, 3);
  expect(series.history()).toEqual([]);
  series.read([20n], 2000, 4);
  expect(series.history()).toEqual([{ at: 4, rates: [10] }]);
});

test("only the last samples are kept, in order; a counter that is not kept has no rate", () => {
  const series = new RateSeries(2, 2);
  for (let i = 0; i <= 5; i++) series.read([BigInt(i * i), 0xffff_ffff_ffff_ffffn], i * 1000, i);
  expect(series.history()).toEqual([
    { at: 4, rates: [7, 0] },
    { at: 5, rates: [9, 0] },
  ]);
});
