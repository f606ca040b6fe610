import { expect, test } from "vitest";
import type { FoundFeature } from "../../../netdev/feature-record.js";
import { FeatureNotes } from "./feature-notes.js";

const tx: FoundFeature = { device: "p1", ifindex: 3, feature: "tx", found: true };
const gro: FoundFeature = { device: "p1", ifindex: 3, feature: "gro", found: false };

test("what is asked for is told once, and is on record when that note is", () => {
  const notes = new FeatureNotes();
  expect(notes.settle()).toBeUndefined();
  expect(notes.isKept(tx)).toBe(false);
  expect(notes.settle()).toEqual({ number: 1, features: [tx] });
  expect(notes.isKept(tx)).toBe(false);
  expect(notes.settle()).toBeUndefined();
  notes.kept(1);
  expect([notes.isKept(tx), notes.isKept(gro)]).toEqual([true, false]);
  expect(notes.settle()).toEqual({ number: 2, features: [tx, gro] });
  expect([notes.isKept(tx), notes.isKept(gro)]).toEqual([true, false]);
});

test("what is no longer asked for goes; it has to be kept again, as it was found then", () => {
  const notes = new FeatureNotes();
  notes.isKept(tx);
  notes.settle();
  notes.kept(1);
  expect(notes.settle()).toEqual({ number: 2, features: [] });
  expect(notes.isKept(tx)).toBe(false);
  expect(notes.settle()).toEqual({ number: 3, features: [tx] });
  notes.kept(3);
  expect(notes.isKept({ ...tx, found: false })).toBe(false);
  expect(notes.settle()).toEqual({ number: 4, features: [{ ...tx, found: false }] });
});
