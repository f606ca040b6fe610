import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";

/** One line about what the numbers were measured on. */
export function machineFacts() {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const load = loadavg()[0].toFixed(1);
  return `${cpus().length} x ${cpu?.model.trim() ?? "unknown CPU"}, ${memory}, Linux ${release()}, Node ${process.versions.node}, ${openVswitch()}, load ${load} at the start`;
}

function openVswitch() {
  try {
    return execFileSync("ovs-vswitchd", ["--version"], { encoding: "utf8" })
      .split("\n")[0]
      .replace("ovs-vswitchd (", "")
      .replace(")", "");
  } catch {
    return "no Open vSwitch";
  }
}
