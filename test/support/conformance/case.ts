import { parseFrame, toHex } from "@sluice/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeWith } from "../requirements.js";
import type { Bench } from "./bench.js";
import { OvsBench } from "./ovs-bench.js";
import { flowMod, groupMod, meterMod, type Outputs, type PacketIn, Session } from "./session.js";
import { SluiceBench } from "./sluice-bench.js";

interface CaseHead {
  /** Of the OpenFlow Switch Specification 1.3.5, or of an extension. */
  readonly section: string;
  /** The rule, as a sentence. */
  readonly name: string;
  /** Why Open vSwitch 3.1 does something else. The case then must fail on it, so that the reason stays true. */
  readonly ovs?: string;
  /** Open_vSwitch other_config:vlan-limit. */
  readonly vlanLimit?: number;
  /** What our switch does wrong as yet. The case then must fail on it. */
  readonly open?: string;
}

/** A packet and what becomes of it. */
export interface PacketCase extends CaseHead {
  readonly meters?: readonly string[];
  readonly groups?: readonly string[];
  /** In the syntax of ovs-ofctl add-flow. */
  readonly flows: readonly string[];
  /** Port and frame. It goes in twice: the second one is forwarded by what the first one left in a cache. */
  readonly in: readonly [port: number, frame: Uint8Array];
  /** What leaves, by port; nothing else does. */
  readonly out?: Readonly<Record<number, Uint8Array | readonly Uint8Array[]>>;
  /** What each packet-in says. None when left out. */
  readonly packetIn?: readonly Partial<PacketIn>[];
}

/** Anything else. */
export interface ScriptCase extends CaseHead {
  readonly run: (switchUnderTest: Session) => Promise<void>;
}

export type Case = PacketCase | ScriptCase;

/** What drives our own switch's datapath; see SluiceBench. */
type Host = "inline" | "worker";

/** Runs a chapter's cases on our switch and on Open vSwitch. `hosts`: where our datapath runs; a chapter about packets
 *  runs in both. */
export function conformance(
  chapter: string,
  cases: readonly Case[],
  hosts: readonly Host[] = ["inline"],
): void {
  for (const host of hosts) {
    const name = `${chapter}: Sluice${host === "worker" ? ", datapath in its own thread" : ""}`;
    const body = (): void => runOn(() => SluiceBench.start(host), cases, "open");
    if (host === "inline" || process.platform === "linux") describe(name, body);
    else describe.skip(`${name} {skipped: needs Linux}`, body);
  }
  describeWith({ programs: ["ovs-vswitchd", "ovsdb-server", "ovs-vsctl"] }, `${chapter}: Open vSwitch`, () =>
    runOn(() => OvsBench.start(), cases, "ovs"),
  );
}

function runOn(start: () => Promise<Bench>, cases: readonly Case[], excuse: "ovs" | "open"): void {
  let bench: Bench;
  beforeAll(async () => {
    bench = await start();
  });
  afterAll(() => bench?.close());
  for (const one of cases) {
    const why = one[excuse];
    const name = `${one.section}: ${one.name}${why === undefined ? "" : ` [differs: ${why}]`}`;
    const body = async (): Promise<void> => {
      await bench.reset();
      if (one.vlanLimit !== undefined) await bench.vlanLimit(one.vlanLimit);
      const session = new Session(bench, await bench.connect());
      if ("run" in one) await one.run(session);
      else await runPacket(session, one);
    };
    if (why === undefined) test(name, body);
    else test.fails(name, body);
  }
}

async function runPacket(session: Session, one: PacketCase): Promise<void> {
  await session.ok(
    ...(one.meters ?? []).map((line) => meterMod(line)),
    ...(one.groups ?? []).map((line) => groupMod(line)),
    ...one.flows.map((line) => flowMod(line)),
  );
  const [port, frame] = one.in;
  const expected = Object.fromEntries(
    Object.entries(one.out ?? {}).map(([to, frames]) => [
      to,
      frames instanceof Uint8Array ? [frames] : frames,
    ]),
  );
  for (const time of ["first", "second"]) {
    const outputs = await session.frame(port, frame);
    expect(readable(outputs), `the ${time} packet`).toEqual(readable(expected));
    const wanted = one.packetIn ?? [];
    const packetIns = await session.unasked("OFPT_PACKET_IN", wanted.length);
    expect(packetIns, `packet-ins of the ${time} packet`).toMatchObject(wanted);
  }
}

/** Frames as people read them, with their bytes. */
export const readable = (outputs: Outputs): unknown =>
  Object.fromEntries(
    Object.entries(outputs).map(([port, frames]) => [
      port,
      frames.map((frame) => ({ hex: toHex(frame), means: parseFrame(frame) })),
    ]),
  );
