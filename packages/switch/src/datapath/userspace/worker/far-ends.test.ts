import { expect, test } from "vitest";
import { FarEnds, type PairEnd } from "./far-ends.js";

/** An end of a pair that says what it has been had to do. */
function end(can = true) {
  return {
    unfinished: 0,
    finished: 0,
    stats: { rx_bytes: 0 },
    merges: false,
    finishes: false,
    /** Whether what it would change is on record. */
    isKept: true,
    mayMerge(): boolean {
      return this.isKept === true;
    },
    mayFinish(): boolean {
      return this.isKept === true;
    },
    merge(on: boolean) {
      this.merges = on;
      return true;
    },
    finish(on: boolean) {
      this.finishes = on && can;
      return this.finishes === on;
    },
  } satisfies PairEnd & Record<string, unknown>;
}
type End = ReturnType<typeof end>;

const PERIOD = 1000;
/** What comes in a period of a stream whose sender has its offloads off. */
function bulk(one: End): void {
  one.finished += 10_000;
  one.stats.rx_bytes += 15_000_000;
}
const acknowledgements = (one: End): void => {
  one.finished += 5000;
  one.stats.rx_bytes += 5000 * 66;
};
const hasOffloads = (one: End): void => {
  one.unfinished += 1;
};

function ends(...all: End[]) {
  const far = new FarEnds();
  let now = 0;
  const period = (mayMerge = true): void => {
    now += PERIOD;
    expect(far.isDue(now)).toBe(true);
    far.look(now, all, mayMerge);
    expect(far.isDue(now)).toBe(false);
  };
  return { far, period, all };
}

test("what comes in bulk from a host whose offloads are off is merged, and cut up before all who have not shown that they take it whole", () => {
  const [a, b, c, d] = [end(), end(), end(), end()];
  const { period } = ends(a, b, c, d);
  bulk(a);
  acknowledgements(b);
  hasOffloads(c);
  period();
  expect([a, b, c, d].map(({ merges }) => merges)).toEqual([true, false, false, false]);
  expect([a, b, c, d].map(({ finishes }) => finishes)).toEqual([true, true, false, true]);
});

test("it stays so when nothing more is seen but what was merged", () => {
  const [a, b] = [end(), end()];
  const { period } = ends(a, b);
  bulk(a);
  period();
  period();
  a.stats.rx_bytes += 1e9;
  period();
  expect([a.merges, b.finishes]).toEqual([true, true]);
});

test("a little, or what hosts with offloads send, changes nothing", () => {
  const [a, b] = [end(), end()];
  const { period } = ends(a, b);
  a.finished = 100;
  a.stats.rx_bytes = 1e9;
  acknowledgements(b);
  period();
  bulk(a);
  hasOffloads(a);
  period();
  expect([a, b].map(({ merges, finishes }) => merges || finishes)).toEqual([false, false]);
});

test("a host that turns its offloads on is believed at once, one that turns them off after two periods", () => {
  const [a, b] = [end(), end()];
  const { period } = ends(a, b);
  bulk(a);
  period();
  hasOffloads(a);
  period();
  expect([a.merges, a.finishes, b.finishes]).toEqual([false, false, false]);
  bulk(a);
  period();
  expect(a.merges).toBe(false);
  bulk(a);
  period();
  expect([a.merges, a.finishes, b.finishes]).toEqual([true, true, true]);
});

test("one that comes while frames are merged has them cut up at once", () => {
  const a = end();
  const { far, all, period } = ends(a);
  bulk(a);
  period();
  const b = end();
  all.push(b);
  far.lookSoon();
  expect(far.isDue(0)).toBe(true);
  far.look(PERIOD, all, true);
  expect(b.finishes).toBe(true);
});

test("nothing is merged where some port takes no super-frames, or the kernel cannot be had to cut up", () => {
  const [a, b] = [end(), end()];
  const one = ends(a, b);
  bulk(a);
  one.period(false);
  expect([a.merges, b.finishes]).toEqual([false, false]);
  const [c, stubborn] = [end(), end(false)];
  const other = ends(c, stubborn);
  bulk(c);
  other.period();
  expect(c.merges).toBe(false);
});

test("nothing is changed before all of it is on record", () => {
  const [a, b, c] = [end(), end(), end()];
  const { period } = ends(a, b, c);
  b.isKept = false;
  bulk(a);
  period();
  expect([a, b, c].map(({ finishes }) => finishes)).toEqual([false, false, false]);
  expect(a.merges).toBe(false);
  b.isKept = true;
  bulk(a);
  period();
  expect([a, b, c].map(({ finishes }) => finishes)).toEqual([true, true, true]);
  expect(a.merges).toBe(true);
});
