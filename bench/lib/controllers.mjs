// The learning switches of three controllers, each started afresh for a sample.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { daemon, sleep } from "./shell.mjs";

const SLUICE = fileURLToPath(new URL("../../packages/cli/bin/sluice.js", import.meta.url));
const OSKEN_APP = fileURLToPath(new URL("../../test/support/osken/learning_switch.py", import.meta.url));

const all = [
  {
    name: "sluice",
    program: process.execPath,
    argv: (port) => [process.execPath, SLUICE, "controller", "--listen", `127.0.0.1:${port}`],
  },
  {
    name: "ovs-testcontroller",
    program: "ovs-testcontroller",
    /** Compiled in: MAX_SWITCHES. */
    maxSwitches: 16,
    argv: (port, dir) => [
      "ovs-testcontroller",
      `--unixctl=${dir}/tc.ctl`,
      "-O",
      "OpenFlow13",
      `ptcp:${port}:127.0.0.1`,
    ],
  },
  {
    name: "os-ken",
    program: "osken-manager",
    argv: (port) => [
      "osken-manager",
      "--ofp-listen-host",
      "127.0.0.1",
      "--ofp-tcp-listen-port",
      String(port),
      OSKEN_APP,
    ],
  },
];

/** Those that are installed. */
export const installed = () =>
  all.filter(({ program }) => spawnSync(program, ["--version"]).error === undefined);

/** Where there are two processors, the controller has the second to itself and what loads it the first: else it is chance
 *  whether the two share one, which moves round trips fivefold. */
function apart(argv) {
  if (cpus().length < 2 || spawnSync("taskset", ["-cp", "0", String(process.pid)]).status !== 0) return argv;
  return ["taskset", "-c", "1", ...argv];
}

/** Starts one and resolves when it listens; `startMs` is how long that took. */
export async function startController(controller, dir) {
  const port = await freePort();
  const started = performance.now();
  const program = daemon(apart(controller.argv(port, dir)));
  const end = started + 20_000;
  while (!(await accepts(port))) {
    if (performance.now() > end) {
      await program.stop();
      throw new Error(`${controller.name} does not listen after 20 s\n${program.output()}`);
    }
    await sleep(2);
  }
  return { ...program, port, startMs: performance.now() - started };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Whether something listens. The attempt looks to it like a switch that goes at once. */
async function accepts(port) {
  const socket = connect({ port, host: "127.0.0.1" });
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}
