// The user-space datapath beside Open vSwitch's, between network namespaces. Needs root, iperf3, ethtool, Open vSwitch.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuSeconds, daemon, missingProgram, sh, until } from "./lib/shell.mjs";
import { IP, MAC, removeLeftovers, setOffloads, startSwitch } from "./lib/switches.mjs";

export const title = "forwarding between two namespaces, beside Open vSwitch's user-space datapath";

const SEND_FRAMES = join(dirname(fileURLToPath(import.meta.url)), "lib/send-frames.mjs");
const FLOWS = 100;

/** What is measured: a measure gives a sample, each of its rows a number of it. */
const measures = [
  {
    offloads: "on",
    peer: "ovs-tso",
    measure: tcpGbps,
    rows: [{ what: "TCP, hosts' offloads on", unit: "Gb/s", value: (gbps) => gbps }],
  },
  {
    offloads: "off",
    peer: "ovs",
    measure: tcpGbps,
    rows: [{ what: "TCP, hosts' offloads off", unit: "Gb/s", value: (gbps) => gbps }],
  },
  {
    offloads: "off",
    peer: "ovs",
    measure: flood,
    rows: [
      { what: "64-byte frames", unit: "packets/s", value: ({ received, seconds }) => received / seconds },
      {
        what: "64-byte frames per CPU-second of the switch",
        unit: "packets",
        value: ({ received, cpu }) => received / cpu,
      },
    ],
  },
  {
    offloads: "off",
    peer: "ovs",
    measure: roundTripUs,
    rows: [{ what: "ping, median round trip (less is better)", unit: "µs", value: (us) => us }],
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
    await until(() => answers(switches[kind]), `a ping through ${kind}`);
  }

  for (const { offloads, peer, measure, rows } of measures) {
    const samples = { sluice: [], [peer]: [] };
    for (let round = 0; round < ctx.rounds; round++) {
      for (const kind of Object.keys(samples)) {
        await setOffloads(switches[kind], offloads);
        try {
          samples[kind].push(await measure(switches[kind], ctx.seconds));
        } catch (error) {
          ctx.log(`${rows[0].what}: ${kind} failed: ${error.message}`);
        }
      }
    }
    for (const { what, unit, value } of rows) {
      const ours = samples.sluice.map(value);
      const theirs = samples[peer].map(value);
      ctx.log(
        `${what}: ${ctx.figure(ctx.median(ours))} ${unit}, Open vSwitch ${ctx.figure(ctx.median(theirs))}`,
      );
      ctx.row({
        what,
        unit,
        sluice: cell(ours, ctx),
        "Open vSwitch": `${cell(theirs, ctx)}${peer === "ovs-tso" ? ", userspace-tso" : ""}`,
        "sluice / OVS": (ctx.median(ours) / ctx.median(theirs)).toFixed(2),
      });
    }
  }
}

/** The median with the least and the most, and how many rounds failed. */
function cell(values, { rounds, median, figure }) {
  const failed = values.length < rounds ? `, ${rounds - values.length} of ${rounds} failed` : "";
  if (values.length < 2) return `${figure(median(values))}${failed}`;
  return `${figure(median(values))} (${figure(Math.min(...values))} .. ${figure(Math.max(...values))})${failed}`;
}

const answers = ({ names }) =>
  sh(["ping", "-c1", "-W1", IP.right], { netns: names.left }).then(
    () => true,
    () => false,
  );

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
  return { received: after.received - before.received, cpu: after.cpu - before.cpu, seconds };
}

async function roundTripUs({ names }) {
  const output = await sh(["ping", "-c", "200", "-i", "0.005", IP.right], { netns: names.left });
  const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
  return times.sort((a, b) => a - b)[times.length >> 1];
}
