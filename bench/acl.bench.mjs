// An access list whose rules look at hosts and their ports, so that nearly each connection needs a megaflow of its own:
// what passes while they are set up, and after. Beside Open vSwitch. Needs root, ethtool, Open vSwitch.
import { flood } from "./lib/flood.mjs";
import { missingProgram, sh, until } from "./lib/shell.mjs";
import {
  countMegaflows,
  IP,
  operatorAcl,
  removeLeftovers,
  setFlows,
  setOffloads,
  startSwitch,
} from "./lib/switches.mjs";

export const title =
  "10,000 rules of 20 masks, hosts and ports: 100,000 flows from cold and warm, beside Open vSwitch";

const FLOWS = 100_000;
/** The first seconds, in which most flows are met for the first time. */
const COLD_SECONDS = 5;
/** Before each measurement, for flows that have been idle for ten seconds are gone. Open vSwitch has not set all up by
 *  then; it does not in minutes. */
const WARM_UP_SECONDS = 15;
const KINDS = ["sluice", "ovs"];

export async function run(ctx) {
  if (process.getuid?.() !== 0) ctx.skip("needs root, for network namespaces");
  const missing = missingProgram(
    "ip",
    "ethtool",
    "ping",
    "ovs-vsctl",
    "ovs-ofctl",
    "ovs-appctl",
    "ovs-vswitchd",
  );
  if (missing) ctx.skip(`needs ${missing}`);
  await removeLeftovers();
  const switches = {};
  for (const kind of KINDS) {
    switches[kind] = await startSwitch(kind, ctx.cleanup);
    await setOffloads(switches[kind], "off");
    await until(() => answers(switches[kind]), `a ping through ${kind}`);
    await setFlows(switches[kind], operatorAcl(switches[kind].ports));
  }

  const cold = { sluice: [], ovs: [] };
  for (let round = 0; round < ctx.rounds; round++) {
    for (const kind of KINDS) {
      // Others each time: none has been seen before.
      cold[kind].push(await flood(switches[kind], COLD_SECONDS, FLOWS, `all:${round}`));
    }
  }
  rows(ctx, `the first ${COLD_SECONDS} s`, cold);

  const warm = { sluice: [], ovs: [] };
  const megaflows = {};
  for (let round = 0; round < ctx.rounds; round++) {
    for (const kind of KINDS) {
      await flood(switches[kind], WARM_UP_SECONDS, FLOWS, "all");
      warm[kind].push(await flood(switches[kind], ctx.seconds, FLOWS, "all"));
      megaflows[kind] = await countMegaflows(switches[kind]);
    }
  }
  rows(ctx, `after ${WARM_UP_SECONDS} s of the same`, warm);
  ctx.row({
    what: "megaflows then",
    unit: "",
    sluice: ctx.figure(megaflows.sluice),
    "Open vSwitch": ctx.figure(megaflows.ovs),
    "sluice / OVS": "",
  });
}

function rows(ctx, when, samples) {
  const measures = [
    ["64-byte frames per CPU-second of the switch", "packets", ({ received, cpu }) => received / cpu],
    ["64-byte frames", "packets/s", ({ received, seconds }) => received / seconds],
  ];
  for (const [what, unit, value] of measures) {
    const cell = (kind) => {
      const values = samples[kind].map(value);
      return `${ctx.figure(ctx.median(values))} (${ctx.figure(Math.min(...values))} .. ${ctx.figure(Math.max(...values))})`;
    };
    const ratio = ctx.median(samples.sluice.map(value)) / ctx.median(samples.ovs.map(value));
    ctx.log(`${what}, ${when}: ${cell("sluice")}, Open vSwitch ${cell("ovs")}`);
    ctx.row({
      what: `${what}, ${when}`,
      unit,
      sluice: cell("sluice"),
      "Open vSwitch": cell("ovs"),
      "sluice / OVS": ratio.toFixed(2),
    });
  }
}

const answers = ({ names }) =>
  sh(["ping", "-c1", "-W1", IP.right], { netns: names.left }).then(
    () => true,
    () => false,
  );
