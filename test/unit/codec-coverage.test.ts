import { decode } from "@sluice/openflow-codec";
import { expect, test } from "vitest";
import { addHeld, declared } from "./codec-coverage.js";
import { allFixtures } from "./codec-fixtures.js";

const kindsOf = (fixtures: ReturnType<typeof allFixtures>): Set<string> => {
  const held = new Set<string>();
  for (const { bytes } of fixtures) addHeld(held, decode(bytes));
  return held;
};
const OURS = "ours.of13";

test("every message, multipart, action, instruction, property, match field, number's name and error has a fixture", () => {
  const held = kindsOf(allFixtures());
  expect([...declared()].filter((name) => !held.has(name))).toEqual([]);
});

/** No tool at hand makes these, nor does ovs-ofctl read them: test/fixtures/openflow/README.md says what speaks for our
 *  bytes. */
const OURS_ALONE = [
  /^(nx_action_controller2_prop|ofp_table_feature_prop|ofp_experimenter_multipart_reply|ofp14_async_config_prop) unknown$/,
  /^(ofp_instruction|ofp_instruction_type) OFPIT_EXPERIMENTER$/,
  /^ofp_action_type OFPAT_EXPERIMENTER$/,
  /^nx_flow_format NXFF_OPENFLOW10$/,
  /^ofp_message NXT_FLOW_MONITOR_(CANCEL|PAUSED|RESUMED)$/,
  /^(ofp_message NXT_SET_ASYNC_CONFIG2|ofp14_async_config_prop OFPACPT_.*)$/,
  /^field xx?reg\d with mask$/,
];

test("each of them is in a message that another program made, or that ovs-ofctl reads; the others are told of", () => {
  const fixtures = allFixtures();
  const made = kindsOf(fixtures.filter(({ file }) => file !== OURS));
  const read = kindsOf(fixtures.filter(({ file, text }) => file === OURS && text !== undefined));
  const alone = [...declared()].filter((name) => !made.has(name) && !read.has(name));
  expect(alone.filter((name) => !OURS_ALONE.some((pattern) => pattern.test(name)))).toEqual([]);
  expect(OURS_ALONE.filter((pattern) => !alone.some((name) => pattern.test(name)))).toEqual([]);
});

test("a message of ours holds something that no other program's does", () => {
  const fixtures = allFixtures();
  const made = kindsOf(fixtures.filter(({ file }) => file !== OURS));
  const idle = fixtures.filter(
    (fixture) => fixture.file === OURS && [...kindsOf([fixture])].every((name) => made.has(name)),
  );
  expect(idle.map(({ name }) => name)).toEqual([]);
});
