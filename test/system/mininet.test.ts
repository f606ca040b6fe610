import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type RunResult, run } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** The commands of examples/mininet/README.md, run as they stand there. Mininet leaves things behind when it fails and
 *  kills processes by their names, so each run has processes, network, mounts and /tmp of its own, which end with it. */

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const README = readFileSync(`${ROOT}/examples/mininet/README.md`, "utf8");

/** The lines of the README's console blocks that run `program`. */
const commands = (program: string): string[] =>
  [...README.matchAll(/```console\n(.*?)```/gs)]
    .flatMap(([, block]) => block!.trim().split("\n"))
    .map((line) => line.replace(/^sudo env "PATH=\$PATH" /, ""))
    .filter((line) => line.startsWith(`${program} `));

/** After Mininet, neither its switches' directory nor their daemons may be there. */
const SANDBOX = `
mount --bind "$0" /mnt && mount -t tmpfs tmpfs /tmp && cd /mnt && ip link set lo up || exit 99
if [ -n "$1" ]; then $1 >/tmp/controller.log 2>&1 & fi
$2 || exit
ls -d /tmp/sluice-mn-* 2>/dev/null
pgrep -fa 'sluice.js (vswitchd|ovsdb-server)' || true
`;

const inSandbox = (controller: string, mn: string): Promise<RunResult> =>
  run(
    [
      ...["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["sh", "-c", SANDBOX, ROOT, controller, mn],
    ],
    { timeoutMs: 100_000 },
  );

const CONTROLLERS = [
  { name: "our controller", command: commands("node_modules/.bin/sluice").at(0)! },
  { name: "os-ken's learning switch", command: /`(osken-manager [^`]*)`/.exec(README)![1]! },
] as const;

const hostsOf: Readonly<Record<string, number>> = { "linear,3": 3, "tree,2": 4 };
const topologyOf = (mn: string): string => /--topo (\S+)/.exec(mn)![1]!;

describeWith({ root: true, programs: ["mn", "iperf", "osken-manager", "ip", "unshare"] }, "Mininet", () => {
  const withController = commands("mn").filter((line) => line.includes("--controller remote"));
  const alone = commands("mn").filter((line) => line.includes("--controller none"));

  test("the guide shows a linear and a tree topology, and one without a controller", () => {
    expect(withController.map(topologyOf)).toEqual(["linear,3", "tree,2"]);
    expect(alone.map(topologyOf)).toEqual(["linear,3"]);
  });

  const cases = [
    ...CONTROLLERS.flatMap(({ name, command }) => withController.map((mn) => ({ name, command, mn }))),
    ...alone.map((mn) => ({ name: "no controller", command: "", mn })),
  ].map((each) => ({ ...each, topology: topologyOf(each.mn) }));

  test.each(cases)(
    "$topology under $name: all hosts ping each other, TCP flows, nothing is left",
    async ({ command, mn, topology }) => {
      const { code, stdout, stderr } = await inSandbox(command, mn);
      const hosts = hostsOf[topology]!;
      const pings = hosts * (hosts - 1);
      const output = `${stdout}${stderr}`;
      expect(output).toContain(`*** Results: 0% dropped (${pings}/${pings} received)`);
      expect(output).toMatch(/\*\*\* Results: [\d.]+ [KMG]bits\/sec/);
      expect(code).toBe(0);
      expect(output).not.toMatch(/\/tmp\/sluice-mn-|sluice\.js/);
    },
    110_000,
  );
});
