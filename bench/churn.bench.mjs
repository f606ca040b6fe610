// What packets feel of the control plane, beside Open vSwitch: 100,000 flow_mods while frames are forwarded, and a
// change of policy that touches 100,000 megaflows. Needs root, ethtool, Open vSwitch.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { missingProgram, sh, until } from "./lib/shell.mjs";
import { cross, IP, MAC, removeLeftovers, setFlows, setOffloads, startSwitch } from "./lib/switches.mjs";

export const title = "flow_mods and changes of policy while packets are forwarded, beside Open vSwitch";

const SEND_FRAMES = join(dirname(fileURLToPath(import.meta.url)), "lib/send-frames.mjs");
const SEND_FLOW_MODS = join(dirname(fileURLToPath(import.meta.url)), "lib/send-flow-mods.mjs");
const RULES = 100_000;
/** Packets/s: far from what either switch can, so that what is lost is lost to the control plane. */
const RATE = 40_000;
const PING_MS = 2;

const rulesOf = (count, actions) =>
  Array.from(
    { length: count },
    (_, i) => `priority=40000,udp,nw_src=10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255},${actions}`,
  );

export async function run(ctx) {
  if (process.getuid?.() !== 0) ctx.skip("needs root, for network namespaces");
  const missing = missingProgram("ip", "ethtool", "ping", "ovs-vsctl", "ovs-ofctl", "ovs-vswitchd");
  if (missing) ctx.skip(`needs ${missing}`);
  await removeLeftovers();
  const samples = { sluice: [], ovs: [] };
  for (let round = 0; round < ctx.rounds; round++) {
    for (const kind of Object.keys(samples)) {
      const undo = [];
      try {
        const one = await startSwitch(kind, (fn) => undo.push(fn));
        await setOffloads(one, "off");
        await until(() => pings(one), `a ping through ${kind}`);
        samples[kind].push({ ...(await storm(one)), ...(await policy(one)) });
      } catch (error) {
        ctx.log(`${kind} failed: ${error.message}`);
      } finally {
        for (const fn of undo.reverse()) await fn();
      }
    }
  }
  const rows = [
    ["100,000 flow_mods with a barrier after each hundred", "flow_mods/s", ({ rate }) => rate],
    [`of ${RATE / 1000} k packets/s, forwarded meanwhile`, "%", ({ share }) => share],
    ["longest round trip meanwhile (less is better)", "ms", ({ stormMs }) => stormMs],
    ["100,000 flows that each have a rule of their own: megaflows", "", ({ megaflows }) => megaflows],
    ["new flows set up, until nearly all were or 20 s were over", "flows/s", ({ setUp }) => setUp],
    ["longest round trip with these flows at rest (less is better)", "ms", ({ restMs }) => restMs],
    [
      "longest round trip while all of them get other actions (less is better)",
      "ms",
      ({ policyMs }) => policyMs,
    ],
    ["until the change is in force (less is better)", "ms", ({ changeMs }) => changeMs],
  ];
  for (const [what, unit, value] of rows) {
    const [ours, theirs] = [samples.sluice, samples.ovs].map((list) => ctx.median(list.map(value)));
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

const pings = ({ names }) =>
  sh(["ping", "-c1", "-W1", IP.right], { netns: names.left }).then(
    () => true,
    () => false,
  );

const received = async ({ names }) =>
  Number(await sh(["cat", "/sys/class/net/eth0/statistics/rx_packets"], { netns: names.right }));

const send = ({ names }, seconds, flows, kind) =>
  sh([process.execPath, SEND_FRAMES, "eth0", MAC.right, String(seconds), String(flows), kind, String(RATE)], {
    netns: names.left,
    timeoutMs: seconds * 1000 + 20_000,
  });

/** Pings until `work` is done; gives its result, how long it took, and the longest round trip, ms. What no answer came
 *  to counts as a second. */
async function whilePinging({ names }, work) {
  let output = "";
  const argv = ["ping", "-i", String(PING_MS / 1000), "-c", String(60_000 / PING_MS), "-O", IP.right];
  const child = spawn("ip", ["netns", "exec", names.left, ...argv], { stdio: ["ignore", "pipe", "ignore"] });
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const begun = performance.now();
  const result = await work();
  const tookMs = performance.now() - begun;
  child.kill("SIGINT");
  await closed;
  const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  const { lost = "0" } =
    /(?<sent>\d+) packets transmitted, \d+ received.* (?<lost>[\d.]+)% packet loss/.exec(output)?.groups ??
    {};
  return { result, tookMs, longestMs: times.length === 0 || Number(lost) > 50 ? 1000 : Math.max(...times) };
}

/** 100,000 rules that no packet matches are added while packets are forwarded. */
async function storm(one) {
  await send(one, 1, 100, "ports");
  const sending = send(one, 15, 100, "ports").catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const before = await received(one);
  const argv = [process.execPath, SEND_FLOW_MODS, join(one.dir, "br0.mgmt"), String(RULES), "40000"];
  const { result, tookMs, longestMs } = await whilePinging(one, () => sh(argv, { timeoutMs: 60_000 }));
  const forwarded = (await received(one)) - before;
  await sending;
  return {
    rate: (RULES / Number(result)) * 1000,
    share: (100 * forwarded) / ((tookMs / 1000) * RATE),
    stormMs: longestMs,
  };
}

/** 100,000 flows, each by a rule of its own; then all these rules get other actions. */
async function policy(one) {
  const { p2 } = one.ports;
  await setFlows(one, [...rulesOf(RULES, `actions=output:${p2}`), ...cross(one.ports)]);
  const bridge = `unix:${one.dir}/br0.mgmt`;
  const sending = send(one, 30, RULES, "hosts").catch(() => {});
  // Each flow is sent some times, until there is a megaflow for nearly all.
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
  const rest = await whilePinging(one, () => new Promise((resolve) => setTimeout(resolve, 2000)));
  const change = await whilePinging(one, async () => {
    await one.ofctl("mod-flows", bridge, `udp,actions=mod_nw_tos:32,output:${p2}`);
    await new Promise((resolve) => setTimeout(resolve, 3000));
  });
  await sending;
  return {
    setUp,
    megaflows,
    restMs: rest.longestMs,
    policyMs: change.longestMs,
    changeMs: change.tookMs - 3000,
  };
}

async function countMegaflows({ dir, pid }) {
  const socket = readdirSync(dir).find((name) => name.includes("vswitchd") && name.endsWith(".ctl"));
  const text = await sh(["ovs-appctl", "-t", join(dir, socket ?? `ovs-vswitchd.${pid}.ctl`), "dpctl/show"]);
  return Number(/flows: (\d+)/.exec(text)?.[1] ?? 0);
}
