// 64-byte frames through a switch of switches.mjs, as fast as they can be sent.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuSeconds, sh } from "./shell.mjs";
import { MAC } from "./switches.mjs";

const SEND_FRAMES = join(dirname(fileURLToPath(import.meta.url)), "send-frames.mjs");

/** Sends for `seconds` and gives what arrived and the CPU time that the switch took. `to`: the frames' destination. */
export async function flood({ names, pid }, seconds, flows, kind, to = MAC.right) {
  const read = async () => ({
    received: Number(await sh(["cat", "/sys/class/net/eth0/statistics/rx_packets"], { netns: names.right })),
    cpu: cpuSeconds(pid),
  });
  const before = await read();
  const argv = [process.execPath, SEND_FRAMES, "eth0", to, String(seconds), String(flows), kind];
  await sh(argv, { netns: names.left, timeoutMs: seconds * 1000 + 15_000 });
  const after = await read();
  return { received: after.received - before.received, cpu: after.cpu - before.cpu, seconds };
}
