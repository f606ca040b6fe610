import { ethernet } from "@sluice/wire";
import { expect, test } from "vitest";
import { FakeSwitch } from "../testing/fake-switch.js";
import { hub } from "./hub.js";

const frame = ethernet({ src: "00:00:00:00:00:01", dst: "00:00:00:00:00:02" }, new Uint8Array(46));

test.each([
  [{}, 0],
  [{ noFlow: true }, 1],
])("everything goes everywhere else (%j)", (options, packetIns) => {
  const sw = new FakeSwitch([hub(options)]);
  expect(sw.receive(2, frame)).toEqual([1, 3, 4]);
  expect(sw.packetIns).toBe(packetIns);
});
