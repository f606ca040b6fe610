// What packets feel of the control plane, beside Open vSwitch: what the first packet of a flow waits for; 100,000
// flow_mods while frames are forwarded, at a modest rate and as fast as the switch can; and a change of policy that
// touches 100,000 megaflows. Needs root, ethtool, Open vSwitch.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { daemon, missingProgram, sh, until } from "./lib/shell.mjs";
import {
  countMegaflows,
  cross,
  frameSender,
  IP,
  removeLeftovers,
  setFlows,
  setOffloads,
  sourceRules,
  startBareBridge,
  startSwitch,
} from "./lib/switches.mjs";

export const title = "flow_mods and changes of policy while packets are forwarded, beside Open vSwitch";

const SEND_FLOW_MODS = join(dirname(fileURLToPath(import.meta.url)), "lib/send-flow-mods.mjs");
const FIRST_PACKETS = join(dirname(fileURLToPath(import.meta.url)), "lib/first-packets.mjs");
const RULES = 100_000;
/** Packets/s: far from what either switch can, so that what is lost is lost to the control plane. */
const RATE = 40_000;
/** While flows are set up: more than can be. */
const SET_UP_RATE = 120_000;
/** Of what Open vSwitch forwards with nothing else to do, offered to both while there are flow_mods. */
const FULL_SHARE = 0.9;
const PING_MS = 2;
/** Packets are not to wait longer for a change of policy. */
const PAUSE_MS = 5;
/** As fast as the switch can. */
const STEADY_MS = 10_000;
/** New flows whose first packets are timed, and ms between two. */
const FIRST_FLOWS = 400;
const FIRST_EVERY_MS = 5;

export async function run(ctx) {
  if (process.getuid?.() !== 0) ctx.skip("needs root, for network namespaces");
  const missing = missingProgram("ip", "ethtool", "ping", "ovs-vsctl", "ovs-ofctl", "ovs-vswitchd");
  if (missing) ctx.skip(`needs ${missing}`);
  await removeLeftovers();
  // Open vSwitch first: what it can is what both are offered.
  const samples = { ovs: [], sluice: [] };
  for (let round = 0; round < ctx.rounds; round++) {
    for (const kind of Object.keys(samples)) {
      const undo = [];
      try {
        const bare = await startBareBridge((fn) => undo.push(fn));
        const one = { ...(await startSwitch(kind, (fn) => undo.push(fn))), bare };
        await setOffloads(one, "off");
        await until(() => pings(one), `a ping through ${kind}`);
        samples[kind].push({
          ...(await firstPackets(one, ctx)),
          ...(await storm(one, ctx)),
          ...(await fullSpeed(one, samples.ovs[round]?.fullRate)),
          ...(await policy(one)),
          ...(await warmFirstPackets(one, ctx)),
        });
      } catch (error) {
        ctx.log(`${kind} failed: ${error.message}`);
      } finally {
        for (const fn of undo.reverse()) await fn();
      }
    }
  }
  const rows = [
    [
      "first packet of a flow, longer on its way there and back than the second: p50 (less is better)",
      "µs",
      "firstUs",
    ],
    ["the same, p99 (less is better)", "µs", "firstP99Us"],
    ["p50 when 100,000 flows have been set up before (less is better)", "µs", "warmUs"],
    ["the same, p99 (less is better)", "µs", "warmP99Us"],
    ["100,000 flow_mods with a barrier after each hundred", "flow_mods/s", "rate"],
    [`of ${RATE / 1000} k packets/s, forwarded meanwhile`, "%", "share"],
    ["longest round trip meanwhile (less is better)", "ms", "stormMs"],
    ["the same through a bare bridge: what the machine itself makes wait", "ms", "stormBareMs"],
    ["as many packets as the switch can forward, with nothing else", "packets/s", "fullRate"],
    [
      `meanwhile, in ${STEADY_MS / 1000} s: collections of the datapath's garbage (less is better)`,
      "",
      "collected",
    ],
    ["as many as can be sent, while there are flow_mods as before: forwarded", "packets/s", "busyRate"],
    ["flow_mods meanwhile", "flow_mods/s", "busyModRate"],
    [`${100 * FULL_SHARE} % of what Open vSwitch can, offered meanwhile`, "packets/s", "offeredRate"],
    ["of these, forwarded", "%", "fullShare"],
    ["flow_mods meanwhile", "flow_mods/s", "fullModRate"],
    ["100,000 flows that each have a rule of their own: megaflows", "", "megaflows"],
    ["new flows set up, until nearly all were or 20 s were over", "flows/s", "setUp"],
    ["longest round trip with these flows at rest (less is better)", "ms", "restMs"],
    ["longest round trip while all of them get other actions (less is better)", "ms", "policyMs"],
    [`of these round trips, longer than ${PAUSE_MS} ms (less is better)`, "%", "pauses"],
    ["the longest through a bare bridge", "ms", "policyBareMs"],
    ["until the change has been answered (less is better)", "ms", "changeMs"],
    ["until it is in force for all megaflows (less is better)", "ms", "inForceMs"],
  ].map(([what, unit, name]) => [what, unit, (sample) => sample[name]]);
  for (const [what, unit, value] of rows) {
    const [ours, theirs] = [samples.sluice, samples.ovs].map((list) => ctx.median(list.map(value)));
    ctx.log(`${what}: ${ctx.figure(ours)} ${unit}, Open vSwitch ${ctx.figure(theirs)}`);
    ctx.row({
      what,
      unit,
      sluice: ctx.figure(ours),
      "Open vSwitch": ctx.figure(theirs),
      "sluice / OVS": theirs > 0 ? (ours / theirs).toFixed(2) : "-",
    });
  }
}

const pings = ({ names }) =>
  sh(["ping", "-c1", "-W1", IP.right], { netns: names.left }).then(
    () => true,
    () => false,
  );

const counted = async (netns, name) =>
  Number(await sh(["cat", `/sys/class/net/eth0/statistics/${name}`], { netns }));
const received = ({ names }) => counted(names.right, "rx_packets");
const sent = ({ names }) => counted(names.left, "tx_packets");

const send = ({ names }, seconds, flows, kind, rate = RATE, prefix = []) =>
  sh([...prefix, ...frameSender(seconds, flows, kind, rate)], {
    netns: names.left,
    timeoutMs: seconds * 1000 + 20_000,
  });

/** Pings the right host from the left one until it is stopped. `stop` gives the round trips, ms. What no answer came to
 *  counts as a second. */
function ping({ names }) {
  let output = "";
  const argv = ["ping", "-i", String(PING_MS / 1000), "-c", String(60_000 / PING_MS), "-O", IP.right];
  const child = spawn("ip", ["netns", "exec", names.left, ...argv], { stdio: ["ignore", "pipe", "ignore"] });
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  return async () => {
    child.kill("SIGINT");
    await closed;
    const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
    const { lost = "0" } = /received.* (?<lost>[\d.]+)% packet loss/.exec(output)?.groups ?? {};
    return times.length === 0 || Number(lost) > 50 ? [1000] : times;
  };
}

/** Pings until `work` is done; gives its result, how long it took, and the longest round trip, ms: through the switch,
 *  and beside it through a program that does nothing but pass frames on. */
async function whilePinging(one, work) {
  const stops = [ping(one), ping(one.bare)];
  const begun = performance.now();
  const result = await work();
  const tookMs = performance.now() - begun;
  const [times, bare] = await Promise.all(stops.map((stop) => stop()));
  const pauses = (100 * times.filter((time) => time > PAUSE_MS).length) / times.length;
  return { result, tookMs, longestMs: Math.max(...times), bareMs: Math.max(...bare), pauses };
}

/** Each flow by a rule of its own, so that each needs a megaflow: what its first packet takes longer than its second,
 *  µs, there and back. What comes back belongs to one flow. */
async function firstPackets(one, ctx) {
  const { p1, p2 } = one.ports;
  const first = 20_000;
  const rules = Array.from(
    { length: FIRST_FLOWS },
    (_, i) => `priority=40000,udp,in_port=${p1},tp_src=${first + i},actions=output:${p2}`,
  );
  const back = `priority=40000,udp,in_port=${p2},actions=output:${p1}`;
  await setFlows(one, [...rules, back, ...cross(one.ports)]);
  const echo = daemon([process.execPath, FIRST_PACKETS, "echo"], { netns: one.names.right });
  try {
    await until(() => echo.output().includes("ready"), "the echo", 10_000, echo.output);
    const argv = [process.execPath, FIRST_PACKETS, IP.right, first, FIRST_FLOWS, FIRST_EVERY_MS].map(String);
    const lines = (await sh(argv, { netns: one.names.left, timeoutMs: 60_000 })).trim().split("\n");
    // The first ones find code that has not run yet.
    const longer = lines
      .slice(FIRST_FLOWS / 4)
      .map((line) => line.split(" ").map(Number))
      .map(([first, second]) => first - second)
      .filter((us) => !Number.isNaN(us))
      .sort((a, b) => a - b);
    return { firstUs: ctx.median(longer), firstP99Us: longer[Math.floor(longer.length * 0.99)] };
  } finally {
    await echo.stop();
    await setFlows(one, cross(one.ports));
  }
}

/** The same of a switch that has set up many flows in its time: the first has only just been started. */
async function warmFirstPackets(one, ctx) {
  await setFlows(one, cross(one.ports));
  await until(async () => (await countMegaflows(one)) < FIRST_FLOWS, "megaflows to go", 30_000);
  const { firstUs: warmUs, firstP99Us: warmP99Us } = await firstPackets(one, ctx);
  return { warmUs, warmP99Us };
}

/** 100,000 rules that no packet matches are added while packets are forwarded; and twice more, since it takes but half a
 *  second. */
async function storm(one, ctx) {
  await send(one, 1, 100, "ports");
  const sending = send(one, 12, 100, "ports").catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = await received(one);
  const { result, tookMs, longestMs, bareMs } = await whilePinging(one, () => sendFlowMods(one));
  const forwarded = (await received(one)) - before;
  const rates = [result];
  while (rates.length < 3) {
    await setFlows(one, cross(one.ports));
    rates.push(await sendFlowMods(one));
  }
  await sending;
  return {
    rate: ctx.median(rates),
    share: (100 * forwarded) / ((tookMs / 1000) * RATE),
    stormMs: longestMs,
    stormBareMs: bareMs,
  };
}

/** Adds the rules; gives how many a second. */
async function sendFlowMods(one) {
  const argv = [process.execPath, SEND_FLOW_MODS, join(one.dir, "br0.mgmt"), String(RULES), "40000"];
  return (RULES / Number(await sh(argv, { timeoutMs: 60_000 }))) * 1000;
}

/** The same while as many packets come as can be sent; and while as many come as Open vSwitch, which forwards
 *  `ovsRate` a second with nothing else to do (undefined: this is it), could nearly forward. */
async function fullSpeed(one, ovsRate) {
  await setFlows(one, cross(one.ports));
  const flooding = send(one, STEADY_MS / 1000 + 10, 100, "ports", Infinity).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const begun = await collections(one);
  const { rate: fullRate } = await forwardedDuring(one, () => new Promise((go) => setTimeout(go, STEADY_MS)));
  const collected = (await collections(one)) - begun;
  const busy = await forwardedDuring(one, () => sendFlowMods(one));
  await flooding;
  await setFlows(one, cross(one.ports));
  // Its sender goes before all others, so that it can offer as much.
  const offered = FULL_SHARE * (ovsRate ?? fullRate);
  const sending = send(one, 8, 100, "ports", offered, ["nice", "-n", "-15"]).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const full = await forwardedDuring(one, () => sendFlowMods(one));
  await sending;
  return {
    fullRate,
    collected,
    busyRate: busy.rate,
    busyModRate: busy.result,
    offeredRate: full.sentRate,
    fullShare: (100 * full.rate) / full.sentRate,
    fullModRate: full.result,
  };
}

/** Garbage collections of the datapath's thread so far; Open vSwitch has no such thing. */
async function collections({ kind, appctl }) {
  return kind === "sluice" ? Number(await appctl("coverage/read-counter", "datapath_collections")) : 0;
}

/** What `work` gave, and packets/s that were sent and came out meanwhile. */
async function forwardedDuring(one, work) {
  const before = [await sent(one), await received(one)];
  const begun = performance.now();
  const result = await work();
  const seconds = (performance.now() - begun) / 1000;
  const [sentRate, rate] = [await sent(one), await received(one)].map(
    (count, i) => (count - before[i]) / seconds,
  );
  return { result, sentRate, rate };
}

/** 100,000 flows, each by a rule of its own; then all these rules get other actions. */
async function policy(one) {
  const { p2 } = one.ports;
  await setFlows(one, [...sourceRules(RULES, `actions=output:${p2}`), ...cross(one.ports)]);
  const bridge = `unix:${one.dir}/br0.mgmt`;
  // Each flow is sent some times, until there is a megaflow for nearly all.
  const flood = daemon(frameSender(30, RULES, "hosts", SET_UP_RATE), { netns: one.names.left });
  let megaflows = 0;
  const begun = performance.now();
  await until(
    async () => {
      megaflows = await countMegaflows(one);
      return megaflows > 0.95 * RULES;
    },
    "megaflows",
    20_000,
  ).catch(() => {});
  const setUp = (megaflows / (performance.now() - begun)) * 1000;
  await flood.stop();
  const sending = send(one, 20, RULES, "hosts").catch(() => {});
  const rest = await whilePinging(one, () => new Promise((resolve) => setTimeout(resolve, 2000)));
  const change = await whilePinging(one, async () => {
    const begun = performance.now();
    await one.ofctl("mod-flows", bridge, `udp,actions=mod_nw_tos:32,output:${p2}`);
    const changeMs = performance.now() - begun;
    // Sluice answers when all is in force, Open vSwitch before.
    await one.appctl("revalidator/wait");
    const inForceMs = performance.now() - begun;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return { changeMs, inForceMs };
  });
  await sending;
  return {
    setUp,
    megaflows,
    restMs: rest.longestMs,
    policyMs: change.longestMs,
    policyBareMs: change.bareMs,
    pauses: change.pauses,
    ...change.result,
  };
}
