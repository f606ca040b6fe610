import { expect, test } from "vitest";
import { Haste } from "./scheduling.js";

const REAL_TIME = 2;
const PERIOD = 20;

/** A thread whose policy can be set, or not. */
function thread(isAllowed = true) {
  const state = { policy: 0, calls: 0 };
  const haste = new Haste({
    addressOf: () => 0,
    schedSetscheduler: (_, policy) => {
      state.calls++;
      if (!isAllowed) return -1;
      state.policy = policy & 0xff;
      return 0;
    },
  });
  let now = 0;
  let busy = 0;
  /** A period of which the thread has worked so many ms. */
  const period = (worked: number, isBulk = false): void => {
    now += PERIOD;
    busy += worked;
    if (haste.isDue(now)) haste.settle(now, busy, isBulk);
  };
  const rest = (): void => haste.rest(now);
  return { state, period, rest };
}

test("a thread that has little to do comes before all others, and takes turns while it has much", () => {
  const { state, period } = thread();
  period(0.5);
  expect(state.policy).toBe(REAL_TIME);
  period(18);
  expect(state.policy).toBe(0);
  period(2);
  expect(state.policy).toBe(0);
  period(0.5);
  expect(state.policy).toBe(REAL_TIME);
  period(2);
  expect(state).toEqual({ policy: REAL_TIME, calls: 3 });
});

test("one that leaves its core to others while much passes has no haste", () => {
  const { state, period } = thread();
  period(0.5, true);
  expect(state.calls).toBe(0);
  period(0.5);
  period(0.5, true);
  expect(state).toEqual({ policy: 0, calls: 2 });
});

test("one that waits for others lets them have the core, and has haste again after", () => {
  const { state, period, rest } = thread();
  rest();
  expect(state.calls).toBe(0);
  period(0.5);
  rest();
  expect(state.policy).toBe(0);
  period(0.5);
  expect(state).toEqual({ policy: REAL_TIME, calls: 3 });
});

test("one that may not is not asked again", () => {
  const { state, period } = thread(false);
  period(0.5);
  period(0.5);
  period(18);
  expect(state.calls).toBe(1);
});
