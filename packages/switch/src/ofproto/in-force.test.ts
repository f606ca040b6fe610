import { expect, test } from "vitest";
import { frame, modelRig, output, TestBench } from "./bench.testkit.js";

/** Cached flows are true again a moment after a change, though nobody asks for a barrier. */
const SOURCES = [1, 2, 3, 4, 5, 6, 7, 8];
const MOMENT_MS = 10;
const GROUP = 7;
const from = (source: number): string => `00:00:00:00:00:0${source}`;
const to = (port: number) => [{ type: "OFPIT_APPLY_ACTIONS", actions: [output(port)] }] as const;

/** Each source has a rule of its own that leads to p2, but the last, whose rule leads there by a group. */
async function setUp() {
  const bench = await TestBench.over(modelRig, 3);
  const buckets = [{ weight: 0, watch_port: 0xffff_ffff, watch_group: 0xffff_ffff, actions: [output(2)] }];
  bench.bridge.groupMod({ command: "OFPGC_ADD", group_id: GROUP, group_type: "OFPGT_INDIRECT", buckets });
  for (const source of SOURCES)
    bench.flow(
      { eth_src: from(source) },
      source === 8 ? [{ type: "OFPAT_GROUP", group_id: GROUP }] : [output(2)],
    );
  /** Where packets of each source come out, as the datapath has it now. */
  const ways = (): string[] =>
    SOURCES.map((source) => {
      const before = bench.rig.sent.length;
      bench.rig.receive("p1", frame(source, 200));
      return bench.rig.sent
        .slice(before)
        .map(({ port }) => port)
        .join();
    });
  return { bench, ways };
}
type Bench = Awaited<ReturnType<typeof setUp>>["bench"];

const ALL_TO = (port: string): string[] => SOURCES.map(() => port);
const only = (source: number, port: string): string[] => SOURCES.map((one) => (one === source ? port : "p2"));

const CHANGES: readonly (readonly [string, (bench: Bench) => void, string[]])[] = [
  [
    "a rule above one of them",
    (bench) => bench.flow({ eth_src: from(3) }, [output(3)], { priority: 0xffff }),
    only(3, "p3"),
  ],
  ["a rule above all of them", (bench) => bench.flow({}, [], { priority: 0xffff }), ALL_TO("")],
  [
    "one that is modified",
    (bench) =>
      bench.bridge.flowMod({
        command: "OFPFC_MODIFY",
        match: { eth_src: from(2) },
        instructions: [...to(3)],
      }),
    only(2, "p3"),
  ],
  [
    "all that are modified at once",
    (bench) => bench.bridge.flowMod({ command: "OFPFC_MODIFY", match: {}, instructions: [...to(3)] }),
    ALL_TO("p3"),
  ],
  [
    "one that is deleted",
    (bench) => bench.bridge.flowMod({ command: "OFPFC_DELETE", match: { eth_src: from(5) } }),
    only(5, ""),
  ],
  [
    "all that are deleted at once",
    (bench) => bench.bridge.flowMod({ command: "OFPFC_DELETE", match: {} }),
    ALL_TO(""),
  ],
  [
    "a group that is modified",
    (bench) =>
      bench.bridge.groupMod({
        ...{ command: "OFPGC_MODIFY", group_id: GROUP, group_type: "OFPGT_INDIRECT" },
        buckets: [{ weight: 0, watch_port: 0xffff_ffff, watch_group: 0xffff_ffff, actions: [output(3)] }],
      }),
    only(8, "p3"),
  ],
];

test.each(CHANGES)("%s", async (_, change, after) => {
  const { bench, ways } = await setUp();
  expect(ways()).toEqual(ALL_TO("p2"));
  change(bench);
  await bench.clock.advanceAsync(MOMENT_MS, 1);
  expect(ways()).toEqual(after);
  // And another, which finds all looked through once before.
  bench.flow({}, [output(1), output(3)], { priority: 0xffff });
  await bench.clock.advanceAsync(MOMENT_MS, 1);
  expect(ways()).toEqual(ALL_TO("p3"));
});
