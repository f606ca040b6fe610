import { expect, test } from "vitest";
import { Locks } from "./locks.js";

const session = () => {
  const told: string[] = [];
  return { told, send: (text: string) => told.push((JSON.parse(text) as { method: string }).method) };
};

test("what was locked and is stolen is waited for; what was itself stolen is lost", () => {
  const locks = new Locks<ReturnType<typeof session>>();
  const [a, b] = [session(), session()];
  locks.lock(b, "w");
  for (const name of ["l", "k", "w"]) locks.lock(a, name);
  for (const name of ["s", "t"]) locks.steal(a, name);
  expect(locks.of(a)).toEqual({ held: ["l", "k", "s", "t"], waiting: ["w"], lost: [] });
  for (const name of ["l", "s"]) locks.steal(b, name);
  expect(locks.of(a)).toEqual({ held: ["k", "t"], waiting: ["l", "w"], lost: ["s"] });
  expect(locks.of(b)).toEqual({ held: ["w", "l", "s"], waiting: [], lost: [] });
  for (const name of ["l", "s", "w"]) locks.unlock(b, name);
  expect(locks.of(a)).toEqual({ held: ["l", "k", "w", "t"], waiting: [], lost: ["s"] });
  expect(a.told).toEqual(["stolen", "stolen", "locked", "locked"]);
  // A lost lock is nobody's, and still to be unlocked.
  expect(locks.lock(b, "s")).toBe(true);
  locks.unlock(a, "s");
  expect(locks.of(a).lost).toEqual([]);
});
