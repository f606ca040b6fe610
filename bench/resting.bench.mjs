// What a switch takes that does nothing, and what its cached flows take, beside Open vSwitch: the CPU time of a switch with
// four ports and a controller, and resident memory, at rest and for 100,000 megaflows. Needs root, ethtool, Open vSwitch.
import { cpuSeconds, daemon, missingProgram, residentMb, sh, sleep, until } from "./lib/shell.mjs";
import {
  countMegaflows,
  cross,
  frameSender,
  removeLeftovers,
  setFlows,
  setOffloads,
  sourceRules,
  startSwitch,
} from "./lib/switches.mjs";

export const title = "a switch at rest, and memory of cached flows, beside Open vSwitch";

const SETTLE_MS = 5_000;
const REST_MS = 15_000;
const RULES = 100_000;
/** While flows are set up, for as long; and to keep them. */
const SET_UP_MS = 20_000;
const SET_UP_RATE = 120_000;
const KEEP_RATE = 40_000;

export async function run(ctx) {
  if (process.getuid?.() !== 0) ctx.skip("needs root, for network namespaces");
  const missing = missingProgram(
    ...["ip", "ethtool", "ovs-vsctl", "ovs-ofctl", "ovs-vswitchd", "ovs-testcontroller"],
  );
  if (missing) ctx.skip(`needs ${missing}`);
  await removeLeftovers();
  const samples = { sluice: [], ovs: [] };
  for (let round = 0; round < ctx.rounds; round++) {
    for (const kind of Object.keys(samples)) {
      const undo = [];
      try {
        const one = await startSwitch(kind, (fn) => undo.push(fn));
        await setOffloads(one, "off");
        const rest = await resting(one, (fn) => undo.push(fn));
        samples[kind].push({ ...rest, ...(await filled(one)) });
      } catch (error) {
        ctx.log(`${kind} failed: ${error.message}`);
      } finally {
        for (const fn of undo.reverse()) await fn();
      }
    }
  }
  for (const [what, unit, name] of [
    ["four ports and a controller, nothing to do: CPU (less is better)", "%", "cpu"],
    ["the same: resident memory (less is better)", "MB", "restMb"],
    ["100,000 flows that each have a rule of their own: megaflows", "", "megaflows"],
    ["what resident memory has grown by with them (less is better)", "bytes a megaflow", "bytes"],
  ]) {
    const [ours, theirs] = [samples.sluice, samples.ovs].map((list) =>
      ctx.median(list.map((sample) => sample[name])),
    );
    ctx.log(`${what}: ${ctx.figure(ours)} ${unit}, Open vSwitch ${ctx.figure(theirs)}`);
    ctx.row({
      what,
      unit,
      sluice: ctx.figure(ours),
      "Open vSwitch": ctx.figure(theirs),
      "sluice / OVS": (ours / theirs).toFixed(2),
    });
  }
}

/** The switch with two ports more and a controller, and nothing that happens. */
async function resting({ pid, names, vsctl, dir }, cleanup) {
  for (const port of ["p3", "p4"]) {
    const end = `${port}-end`;
    await sh(["ip", "-n", names.sw, "link", "add", port, "type", "veth", "peer", "name", end]);
    for (const name of [port, end]) await sh(["ip", "-n", names.sw, "link", "set", name, "up"]);
  }
  const controller = daemon(["ovs-testcontroller", `punix:${dir}/controller`], { env: { OVS_RUNDIR: dir } });
  cleanup(() => controller.stop());
  await vsctl(
    ...["add-port", "br0", "p3", "--", "add-port", "br0", "p4"],
    ...["--", "set-controller", "br0", `unix:${dir}/controller`],
  );
  const isConnected = async () => (await vsctl("get", "controller", "br0", "is_connected")).trim() === "true";
  await until(isConnected, "the controller", 20_000, controller.output);
  await sleep(SETTLE_MS);
  const before = cpuSeconds(pid);
  await sleep(REST_MS);
  const cpu = (100 * (cpuSeconds(pid) - before)) / (REST_MS / 1000);
  await vsctl("del-controller", "br0", "--", "del-port", "p3", "--", "del-port", "p4");
  return { cpu, restMb: residentMb(pid) };
}

/** Resident memory for each megaflow, where nearly each of 100,000 flows has one. */
async function filled(one) {
  const { pid, ports, names } = one;
  await setFlows(one, [...sourceRules(RULES, `actions=output:${ports.p2}`), ...cross(ports)]);
  await sleep(2_000);
  const before = residentMb(pid);
  const send = (seconds, rate) => daemon(frameSender(seconds, RULES, "hosts", rate), { netns: names.left });
  const flood = send(2 * (SET_UP_MS / 1000), SET_UP_RATE);
  const isFilled = async () => (await countMegaflows(one)) > 0.95 * RULES;
  await until(isFilled, "megaflows", SET_UP_MS).catch(() => {});
  await flood.stop();
  const keeping = send(10, KEEP_RATE);
  await sleep(4_000);
  const megaflows = await countMegaflows(one);
  const bytes = ((residentMb(pid) - before) * 1024 * 1024) / megaflows;
  await keeping.stop();
  return { megaflows, bytes };
}
