import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sluice } from "../../packages/cli/src/testing.js";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { FILES, SCRIPT, type Step } from "../support/ofctl/script.js";
import { type RunResult, run } from "../support/process.js";
import { describeWith } from "../support/requirements.js";
import { addBridge, addPort } from "../support/vsctl.js";

/** The same command lines (test/support/ofctl/script.ts) by ovs-ofctl and by sluice ofctl, each on a real Open vSwitch and
 *  on our switch: the same output and exit codes, but for counters and times. */

/** Leaves out what differs from one moment to the next, and what our switch has more of. */
const settled = (text: string): string =>
  text
    .replace(/^\d{4}-\d\d-\d\dT.*\|(INFO|WARN)\|.*\n/gm, "")
    .replace(/xid=0x[0-9a-f]+/g, "xid=_")
    .replace(/duration[=:][\d.]+s/g, "duration=_")
    .replace(/addr:[0-9a-f:]+/g, "addr:_")
    .replace(/n_(buffers|tables):\d+/g, "n_$1:_")
    // What we have and ovs-ofctl has no word for.
    .replace(/ copy_ttl_out copy_ttl_in| push_pbb pop_pbb| pbb_isid|,exthdr(?=})/g, "")
    .replace(/ IP_REASM/g, "")
    .replace(/in_\{port_oxm,phy_port}/g, "in_port_oxm")
    // Errors have the names of OpenFlow 1.3 here, there those of 1.0.
    .replace(/_BAD_VENDOR_TYPE/g, "_BAD_EXP_TYPE")
    .replace(/\b(lookup|matched|n_packets|n_bytes|packet_count|byte_count|pkts|bytes)=\d+/g, "$1=_")
    .replace(/\b(drop|errs|frame|over|crc|coll)=(\d+|\?)/g, "$1=_")
    .replace(/\b(packet_in_count|byte_in_count|packet_count|byte_count):\d+/g, "$1:_");

interface Shown {
  code: number | null;
  stdout: string;
}

/** Dumps come in no order, unless one was asked for. */
function shown({ args }: Step, { code, stdout }: RunResult): Shown {
  const lines = settled(stdout).split("\n");
  return { code, stdout: (args.includes("--sort") ? lines : lines.sort()).join("\n") };
}

/** What the switch refused. What a tool finds wrong by itself it says in words of its own, and does not send. */
const refusal = ({ stderr }: RunResult): string | undefined => /^OFPT_ERROR.*/m.exec(settled(stderr))?.[0];

const SWITCHES = ["Open vSwitch", "our switch"] as const;
type SwitchName = (typeof SWITCHES)[number];
type Transcript = readonly RunResult[];

const needs = { root: true, programs: ["ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ovsdb-server", "ip"] };

describeWith(needs, "the same commands by ovs-ofctl and sluice ofctl", () => {
  const topology = new Topology();
  const suts = new Map<SwitchName, SwitchUnderTest>();
  const theirs = new Map<SwitchName, Transcript>();
  const ours = new Map<SwitchName, Transcript>();

  const byOvs = (sut: SwitchUnderTest, { args, input = "" }: Step): Promise<RunResult> =>
    run(["ovs-ofctl", "-O", "OpenFlow13", "--timeout=15", ...args], {
      env: { OVS_RUNDIR: sut.rundir },
      cwd: sut.rundir,
      input,
    });

  /** In this process: starting another for each would take most of the time. Files are named by their paths. */
  const bySluice = (sut: SwitchUnderTest, { args, input = "" }: Step): Promise<RunResult> =>
    sluice(["ofctl", "--timeout=15", ...args.map((arg) => inDir(sut, arg))], input, {
      SLUICE_RUNDIR: sut.rundir,
    });
  const inDir = (sut: SwitchUnderTest, arg: string): string =>
    /^\w+\.txt$/.test(arg) ? join(sut.rundir, arg) : arg;

  const emptied = async (sut: SwitchUnderTest): Promise<void> => {
    for (const command of ["del-flows", "del-groups", "del-meters"]) await sut.ofctl(command, "br0");
  };

  const transcript = async (sut: SwitchUnderTest, by: typeof byOvs): Promise<Transcript> => {
    await emptied(sut);
    const results: RunResult[] = [];
    for (const step of SCRIPT) results.push(await by(sut, step));
    return results;
  };

  beforeAll(async () => {
    for (const [name, start, ns] of [
      ["Open vSwitch", startOvs, "ovs"],
      ["our switch", startSluice, "ours"],
    ] as const) {
      const sut = await start({ netns: await topology.add(ns) });
      suts.set(name, sut);
      const set = ["datapath_type=netdev", "fail_mode=secure", "other-config:datapath-id=00000000000000aa"];
      await sut.vsctl(
        ...addBridge("br0", ...set),
        ...[1, 2].flatMap((n) => addPort("br0", `p${n}`, "type=internal", `ofport_request=${n}`)),
      );
      for (const [file, text] of Object.entries(FILES)) writeFileSync(join(sut.rundir, file), text);
      theirs.set(name, await transcript(sut, byOvs));
      ours.set(name, await transcript(sut, bySluice));
    }
  }, 180_000);

  afterAll(async () => {
    for (const sut of suts.values()) await sut.stop();
    await topology.destroy();
  });

  const sameRefusal = (one: RunResult, other: RunResult): void => {
    const [ours, theirs] = [refusal(one), refusal(other)];
    if (ours !== undefined && theirs !== undefined) expect(ours).toBe(theirs);
  };

  for (const [i, step] of SCRIPT.entries()) {
    const line = `${i}. ${[...step.args, step.input ?? ""].join(" ").trim()}`;
    for (const name of SWITCHES)
      test(`on ${name}: ${line}`, () => {
        const [our, their] = [ours.get(name)![i]!, theirs.get(name)![i]!];
        if (step.tools === undefined) {
          expect(shown(step, our)).toEqual(shown(step, their));
          sameRefusal(our, their);
        } else expect(shown(step, our)).not.toEqual(shown(step, their));
        // What fails says why, in one line or by the switch's own message; differences are no failure.
        if (our.code === 0) expect(our.stderr).toBe("");
        else if (our.code !== 2)
          expect(our.stderr).toMatch(/^(sluice ofctl: .+\n$|(sluice ofctl: .+\n)?OFPT_ERROR)/);
      });

    if (step.switches === undefined)
      test(`ovs-ofctl has the same answer of both switches: ${line}`, () => {
        const [ovs, own] = SWITCHES.map((name) => theirs.get(name)![i]!);
        expect(shown(step, own!)).toEqual(shown(step, ovs!));
        sameRefusal(own!, ovs!);
      });
  }
});
