import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fromHex } from "@sluice/wire";

/** A message that another program made (test/fixtures/openflow/README.md). */
export interface Fixture {
  readonly file: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly json: unknown;
  /** ovs-ofctl's print, where it has one. */
  readonly text: string | undefined;
}

const directory = new URL("../fixtures/openflow/", import.meta.url);

export function readFixtures(file: string): Fixture[] {
  const [, ...blocks] = readFileSync(fileURLToPath(new URL(file, directory)), "utf8").split(/^\[(?=.*\]$)/m);
  return blocks.map((block) => {
    const [head = "", json = "", text = ""] = block.split("\n---\n");
    const [name = "", ...dump] = head.split("\n");
    return {
      file,
      name: name.slice(0, -1),
      bytes: fromHex(dump.map((line) => line.slice(4)).join("")),
      json: JSON.parse(json),
      text: text.startsWith("(ovs-ofctl does not print it)") ? undefined : text.trimEnd(),
    };
  });
}

export const FIXTURE_FILES = [
  "os-ken.of13",
  "ours.of13",
  "ovs-vswitchd.of13",
  "ovs-conversations.of13",
  "ovs-fields.of13",
  "ovs-flows.of13",
  "ovs-nxm.of13",
] as const;
export const allFixtures = (): Fixture[] => FIXTURE_FILES.flatMap(readFixtures);
