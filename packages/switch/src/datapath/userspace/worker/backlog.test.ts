import { expect, test } from "vitest";
import { Backlog, backlogMemory } from "./backlog.js";

const LIMIT = 100;

function pair() {
  const memory = backlogMemory();
  let told = 0;
  const ours = new Backlog(memory, undefined, LIMIT);
  const theirs = new Backlog(memory, () => told++, LIMIT);
  return { ours, theirs, told: () => told };
}

test("who waits is told once, when half of the limit is left", () => {
  const { ours, theirs, told } = pair();
  ours.add(LIMIT);
  expect(ours.isLarge).toBe(false);
  ours.add(50);
  expect(ours.isLarge).toBe(true);
  expect(ours.mayWait()).toBe(true);
  theirs.take(99);
  expect(told()).toBe(0);
  theirs.take(1);
  theirs.take(50);
  expect(told()).toBe(1);
  expect(ours.size).toBe(0);
});

test("who would wait for what has been taken meanwhile is told that there is nothing to wait for", () => {
  const { ours, theirs, told } = pair();
  ours.add(150);
  theirs.take(100);
  expect(ours.mayWait()).toBe(false);
  theirs.take(50);
  expect(told()).toBe(0);
});

test("words are counted for ever", () => {
  const { ours, theirs, told } = pair();
  for (let i = 0; i < 5; i++) {
    ours.add(2 ** 30 + 150);
    expect(ours.isLarge).toBe(true);
    expect(ours.mayWait()).toBe(true);
    theirs.take(2 ** 30 + 149);
    expect(told()).toBe(i + 1);
    theirs.take(1);
    expect(ours.size).toBe(0);
  }
});
