import { dirname } from "node:path";
import { expect, test } from "vitest";
import { run, SLUICE } from "../support/process.js";

/** What bash would offer for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const line = words.map((word) => `'${word}'`).join(" ");
  const script = `sluice() { node ${SLUICE} "$@"; }; source <(sluice completion)
    COMP_WORDS=(${line}) COMP_CWORD=${words.length - 1}; _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run(["bash", "-c", script], { env: { SLUICE_RUNDIR: dirname(SLUICE) } });
  expect(stderr).toBe("");
  return stdout.trim().split("\n");
}

test.each([
  [
    ["sluice", "vs"],
    ["vswitchd", "vsctl"],
  ],
  [["sluice", "ofctl", "dump-fl"], ["dump-flows"]],
  [
    ["sluice", "vsctl", "add-b"],
    ["add-br", "add-bond", "add-bond-iface"],
  ],
  [["sluice", "ovsdb-tool", "schema-n"], ["schema-name"]],
  [["sluice", "vswitchd", "--deta"], ["--detach"]],
  [["sluice", "start", "--top"], ["--topo"]],
])("%j is completed to %j", async (words, expected) => {
  expect(await offered(...words)).toEqual(expected);
});
