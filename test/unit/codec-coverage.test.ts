import { decode } from "@sluice/openflow-codec";
import { expect, test } from "vitest";
import { addHeld, declared } from "./codec-coverage.js";
import { allFixtures } from "./codec-fixtures.js";

test("every message, multipart, action, instruction, property, match field, number's name and error has a fixture", () => {
  const held = new Set<string>();
  for (const { bytes } of allFixtures()) addHeld(held, decode(bytes));
  expect([...declared()].filter((name) => !held.has(name))).toEqual([]);
});
