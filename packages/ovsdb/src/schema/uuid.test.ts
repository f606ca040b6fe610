import { expect, test } from "vitest";
import { isUuid } from "./atom.js";
import { newUuid } from "./uuid.js";

test("UUIDs are of version 4, well formed, and none comes twice", () => {
  const uuids = Array.from({ length: 1000 }, newUuid);
  expect(uuids.filter((uuid) => !isUuid(uuid) || !/^.{14}4.{4}[89ab]/.test(uuid))).toEqual([]);
  expect(new Set(uuids).size).toBe(uuids.length);
});
