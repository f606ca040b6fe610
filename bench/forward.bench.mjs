// The user-space datapath beside Open vSwitch's, between network namespaces. Needs root, iperf3, ethtool, Open vSwitch.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuSeconds, daemon, missingProgram, sh, until } from "./lib/shell.mjs";
import { IP, MAC, removeLeftovers, setOffloads, startSwitch } from "./lib/switches.mjs";

export const title = "forwarding between two namespaces, beside Open vSwitch's user-space datapath";

const SEND_FRAMES = join(dirname(fileURLToPath(import.meta.url)), "lib/send-frames.mjs");
const FLOWS = 100;

/** What is measured: each gives one number, or undefined where the switch cannot do it. */
const measures = [
  { what: "TCP, hosts' offloads on", unit: "Gb/s", offloads: "on", peer: "ovs-tso", measure: tcpGbps },
  { what: "TCP, hosts' offloads off", unit: "Gb/s", offloads: "off", peer: "ovs", measure: tcpGbps },
  { what: "64-byte frames", unit: "packets/s", offloads: "off", peer: "ovs", measure: packetsPerSecond },
  {
    what: "64-byte frames, per CPU-second of the switch",
    unit: "packets",
    offloads: "off",
    peer: "ovs",
    measure: packetsPerCpuSecond,
  },
  {
    what: "ping, median round trip (less is better)",
    unit: "µs",
    offloads: "off",
    peer: "ovs",
    measure: roundTripUs,
  },
];

export async function run(ctx) {
  if (process.getuid?.() !== 0) ctx.skip("needs root, for network namespaces");
  const missing = missingProgram("ip", "ethtool", "iperf3", "ping", "ovs-vsctl", "ovs-ofctl", "ovs-vswitchd");
  if (missing) ctx.skip(`needs ${missing}`);
  await removeLeftovers();
  const switches = {};
  for (const kind of ["sluice", "ovs", "ovs-tso"]) {
    switches[kind] = await startSwitch(kind, ctx.cleanup);
    await until(
      () =>
        sh(["ping", "-c1", "-W1", IP.right], { netns: switches[kind].names.left }).then(
          () => true,
          () => false,
        ),
      `a ping through ${kind}`,
    );
  }

  for (const { what, unit, offloads, peer, measure } of measures) {
    const samples = { sluice: [], [peer]: [] };
    for (let round = 0; round < ctx.rounds; round++) {
      for (const kind of Object.keys(samples)) {
        await setOffloads(switches[kind], offloads);
        try {
          const value = await measure(switches[kind], ctx.seconds);
          ctx.log(`${what}: ${kind} ${ctx.figure(value)} ${unit}`);
          samples[kind].push(value);
        } catch (error) {
          ctx.log(`${what}: ${kind} failed: ${error.message}`);
        }
      }
    }
    const ours = ctx.median(samples.sluice);
    const theirs = ctx.median(samples[peer]);
    ctx.row({
      what,
      unit,
      sluice: ctx.figure(ours) + failed(samples.sluice, ctx.rounds),
      "Open vSwitch": `${ctx.figure(theirs)}${failed(samples[peer], ctx.rounds)}${peer === "ovs-tso" ? " (userspace-tso)" : ""}`,
      "sluice / OVS": (ours / theirs).toFixed(2),
    });
  }
}

const failed = (samples, rounds) =>
  samples.length === rounds ? "" : ` (${rounds - samples.length} of ${rounds} failed)`;

async function tcpGbps({ names }, seconds) {
  const server = daemon(["iperf3", "-s", "-1", "--forceflush"], { netns: names.right });
  try {
    await until(() => server.output().includes("listening"), "iperf3", 5000, server.output);
    const argv = ["iperf3", "-c", IP.right, "-t", String(seconds), "-O", "1", "-J"];
    const { end } = JSON.parse(await sh(argv, { netns: names.left, timeoutMs: seconds * 1000 + 15_000 }));
    return end.sum_received.bits_per_second / 1e9;
  } finally {
    await server.stop();
  }
}

/** Sends for `seconds` and gives what arrived and the CPU time that the switch took. */
async function flood({ names, pid }, seconds) {
  const read = async () => ({
    received: Number(await sh(["cat", "/sys/class/net/eth0/statistics/rx_packets"], { netns: names.right })),
    cpu: cpuSeconds(pid),
  });
  const before = await read();
  const argv = [process.execPath, SEND_FRAMES, "eth0", MAC.right, String(seconds), String(FLOWS)];
  await sh(argv, { netns: names.left, timeoutMs: seconds * 1000 + 15_000 });
  const after = await read();
  return { received: after.received - before.received, cpu: after.cpu - before.cpu };
}

async function packetsPerSecond(sut, seconds) {
  return (await flood(sut, seconds)).received / seconds;
}

async function packetsPerCpuSecond(sut, seconds) {
  const { received, cpu } = await flood(sut, seconds);
  return received / cpu;
}

async function roundTripUs({ names }) {
  const output = await sh(["ping", "-c", "200", "-i", "0.005", IP.right], { netns: names.left });
  const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
  return times.sort((a, b) => a - b)[times.length >> 1];
}
