// The user-space datapath beside Open vSwitch's, between network namespaces. Needs root, iperf3, ethtool, Open vSwitch.
import { existsSync, readFileSync } from "node:fs";
import { flood } from "./lib/flood.mjs";
import { cpuSeconds, daemon, missingProgram, sh, until } from "./lib/shell.mjs";
import { acl, cross, IP, MAC, removeLeftovers, setFlows, setOffloads, startSwitch } from "./lib/switches.mjs";

export const title = "forwarding between two namespaces, beside Open vSwitch's user-space datapath";

/** What is no switch, and its column. */
const BESIDE = {
  bridge: "Linux bridge",
  sockets: "packet sockets alone",
  "sockets-xdp": "AF_XDP sockets alone",
};

/** What has to be forwarded before it counts, where a measure is not of the set-up of flows. */
const WARM_UP_SECONDS = 7;

/** What is measured: a measure gives a sample, each of its rows a number of it. `rules`: the flows it needs. `warmUp`: a
 *  sample that does not count goes before. `beside`: what shows how far a switch could get. */
const measures = [
  ...congestionControls().flatMap((control) => [tcp(control, "on", "ovs-tso"), tcp(control, "off", "ovs")]),
  ...[1, 1000, 100_000].map((flows) => small(`${flows} flows`, { flows, beside: ["sockets"] })),
  small("1000 addresses, NORMAL", { flows: 1000, kind: "macs", rules: () => ["actions=NORMAL"] }),
  small("1000 flows, 10,000 rules of 20 masks", { flows: 1000, kind: "all", rules: acl, warmUp: true }),
  small("100,000 flows, 10,000 rules of 20 masks", { flows: 100_000, kind: "all", rules: acl, warmUp: true }),
  // By the call that sends a frame the receiving host's stack runs, and most of its time goes into an answer by ICMP:
  // whether it does is asked of both.
  ...[MAC.right, MAC.nobody].flatMap((to) =>
    [1, 1000, 100_000].map((flows) =>
      small(`${flows} flows${to === MAC.nobody ? " to nobody" : ""}, ours by AF_XDP`, {
        flows,
        to,
        ours: "sluice-xdp",
        beside: ["sockets-xdp"],
      }),
    ),
  ),
  {
    offloads: "off",
    peer: "ovs",
    measure: roundTripsUs,
    rows: [
      {
        what: "round trip, median of both ways (less is better)",
        unit: "µs",
        value: (times) => at(times, 0.5),
      },
      { what: "round trip, 99th percentile of both ways", unit: "µs", value: (times) => at(times, 0.99) },
    ],
  },
];

/** A TCP stream. Which congestion control the hosts have decides: bbr spaces its packets by a timer for each. */
function tcp(control, offloads, peer) {
  const what = `TCP (${control}), hosts' offloads ${offloads}`;
  return {
    offloads,
    peer,
    beside: ["bridge", "sockets"],
    measure: (one, seconds) => stream(one, seconds, control),
    rows: [
      { what, unit: "Gb/s", value: ({ gbps }) => gbps },
      {
        what: `${what}, per CPU-second of the switch`,
        unit: "Gb",
        value: ({ gigabits, cpu }) => gigabits / cpu,
      },
    ],
  };
}

/** Linux's own, and that of this machine where it is another. */
function congestionControls() {
  const own = "/proc/sys/net/ipv4/tcp_congestion_control";
  return [...new Set(["cubic", ...(existsSync(own) ? [readFileSync(own, "utf8").trim()] : [])])];
}

/** 64-byte frames: the CPU time counts, for the sender shares the machine. */
function small(
  what,
  { flows, kind = "ports", to, rules = cross, warmUp = false, ours = "sluice", beside = [] },
) {
  return {
    offloads: "off",
    ours,
    peer: "ovs",
    beside,
    rules,
    warmUp,
    measure: (one, seconds) => flood(one, seconds, flows, kind, to),
    rows: [
      {
        what: `64-byte frames per CPU-second of the switch, ${what}`,
        unit: "packets",
        value: ({ received, cpu }) => received / cpu,
      },
      {
        what: `64-byte frames, ${what}`,
        unit: "packets/s",
        value: ({ received, seconds }) => received / seconds,
      },
    ],
  };
}

export async function run(ctx) {
  if (process.getuid?.() !== 0) ctx.skip("needs root, for network namespaces");
  const missing = missingProgram("ip", "ethtool", "iperf3", "ping", "ovs-vsctl", "ovs-ofctl", "ovs-vswitchd");
  if (missing) ctx.skip(`needs ${missing}`);
  await removeLeftovers();
  const switches = {};
  for (const kind of ["sluice", "sluice-xdp", "ovs", "ovs-tso", ...Object.keys(BESIDE)]) {
    switches[kind] = await startSwitch(kind, ctx.cleanup);
    if (kind.endsWith("-xdp")) await setOffloads(switches[kind], "off");
    await until(() => answers(switches[kind]), `a ping through ${kind}`);
  }

  for (const {
    offloads,
    ours = "sluice",
    peer,
    beside = [],
    rules = cross,
    warmUp,
    measure,
    rows,
  } of measures) {
    const samples = Object.fromEntries([ours, peer, ...beside].map((kind) => [kind, []]));
    for (const kind of Object.keys(samples)) {
      await setOffloads(switches[kind], offloads);
      if (!(kind in BESIDE)) await setFlows(switches[kind], rules(switches[kind].ports));
      if (warmUp) await measure(switches[kind], WARM_UP_SECONDS);
    }
    for (let round = 0; round < ctx.rounds; round++) {
      for (const kind of Object.keys(samples)) {
        try {
          samples[kind].push(await measure(switches[kind], ctx.seconds));
        } catch (error) {
          ctx.log(`${rows[0].what}: ${kind} failed: ${error.message}`);
        }
      }
    }
    for (const { what, unit, value } of rows) {
      const mine = samples[ours].map(value);
      const theirs = samples[peer].map(value);
      ctx.log(
        `${what}: ${ctx.figure(ctx.median(mine))} ${unit}, Open vSwitch ${ctx.figure(ctx.median(theirs))}`,
      );
      ctx.row({
        what,
        unit,
        sluice: cell(mine, ctx),
        "Open vSwitch": `${cell(theirs, ctx)}${peer === "ovs-tso" ? ", userspace-tso" : ""}`,
        "sluice / OVS": (ctx.median(mine) / ctx.median(theirs)).toFixed(2),
        ...Object.fromEntries(
          beside.map((kind) => [BESIDE[kind], ctx.figure(ctx.median(samples[kind].map(value)))]),
        ),
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

/** What arrives by a TCP stream of `seconds`, after one that it has to get up to speed; all that arrived, and the CPU time
 *  that the switch took for it. */
async function stream({ names, pid }, seconds, control) {
  const server = daemon(["iperf3", "-s", "-1", "--forceflush"], { netns: names.right });
  const read = async () => ({
    bytes: Number(await sh(["cat", "/sys/class/net/eth0/statistics/rx_bytes"], { netns: names.right })),
    cpu: pid === undefined ? Number.NaN : cpuSeconds(pid),
  });
  try {
    await until(() => server.output().includes("listening"), "iperf3", 5000, server.output);
    const argv = ["iperf3", "-c", IP.right, "-C", control, "-t", String(seconds), "-O", "1", "-J"];
    const before = await read();
    const { end } = JSON.parse(await sh(argv, { netns: names.left, timeoutMs: seconds * 1000 + 15_000 }));
    const after = await read();
    return {
      gbps: end.sum_received.bits_per_second / 1e9,
      gigabits: ((after.bytes - before.bytes) * 8) / 1e9,
      cpu: after.cpu - before.cpu,
    };
  } finally {
    await server.stop();
  }
}

/** Round trips from either side, µs. */
async function roundTripsUs({ names }) {
  const ways = [];
  for (const [host, address] of [
    [names.left, IP.right],
    [names.right, IP.left],
  ]) {
    const output = await sh(["ping", "-c", "400", "-i", "0.004", address], { netns: host });
    const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
    ways.push(times.sort((a, b) => a - b));
  }
  return ways;
}

/** The mean of both ways' quantiles. */
const at = (ways, quantile) =>
  ways.reduce((sum, times) => sum + times[Math.floor(times.length * quantile)], 0) / ways.length;
