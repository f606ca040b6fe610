import { expect, test } from "vitest";
import { HomeCore } from "./home-core.js";

/** A machine of some cores and one thread, which the scheduler has put on `at`. */
function machine(cores: number) {
  const buffers: Uint8Array[] = [];
  const state = { at: 0, allowed: Array.from({ length: cores }, (_, core) => core), calls: 0 };
  const libc = {
    addressOf: (buffer: ArrayBufferLike) => buffers.push(new Uint8Array(buffer)) - 1,
    schedGetcpu: () => state.at,
    schedGetaffinity: (_: number, size: number, mask: number) => {
      for (const core of state.allowed) buffers[mask]![core >>> 3]! |= 1 << (core & 7);
      return size;
    },
    schedSetaffinity: (_: number, size: number, mask: number) => {
      state.calls++;
      state.allowed = [...Array(size * 8).keys()].filter(
        (core) => (buffers[mask]![core >>> 3]! >> (core & 7)) & 1,
      );
      return 0;
    },
  };
  return { state, home: new HomeCore(libc) };
}

const PERIOD = 20;
/** Bytes of a period in which a gigabit a second comes. */
const MUCH = (PERIOD * 1e9) / 8 / 1000;

test("a thread through which much passes stays on the core that it is on, and is free again when it is over", () => {
  const { state, home } = machine(12);
  state.at = 9;
  home.settle(PERIOD, 1000);
  expect(state.allowed).toHaveLength(12);
  home.settle(2 * PERIOD, MUCH);
  expect(state.allowed).toEqual([9]);
  home.settle(3 * PERIOD, 2 * MUCH);
  expect(state.calls).toBe(1);
  home.settle(4 * PERIOD, 2 * MUCH + 1000);
  expect(state.allowed).toHaveLength(12);
});

test("what comes after a long silence counts over that time", () => {
  const { state, home } = machine(2);
  home.settle(PERIOD, 0);
  home.settle(1000 * PERIOD, MUCH);
  expect(state.calls).toBe(0);
  home.settle(1001 * PERIOD, 2 * MUCH);
  expect(state.allowed).toEqual([0]);
});

test("about once a second the scheduler may move it", () => {
  const { state, home } = machine(2);
  const free: number[] = [];
  for (let period = 1; period <= 110; period++) {
    state.at = period & 1;
    home.settle(period * PERIOD, period * MUCH);
    if (state.allowed.length === 2) free.push(period);
    else expect(state.allowed).toHaveLength(1);
  }
  expect(free).toEqual([51, 102]);
});

test("a period is 20 ms, and one core is no choice", () => {
  const two = machine(2).home;
  expect([two.isDue(19), two.isDue(20)]).toEqual([false, true]);
  two.settle(25, 0);
  expect([two.isDue(40), two.isDue(45)]).toEqual([false, true]);
  expect(machine(1).home.isDue(1000)).toBe(false);
});
