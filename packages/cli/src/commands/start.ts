import { readFileSync } from "node:fs";
import { Writable } from "node:stream";
import { type MeshResult, promptClock } from "@sluice/lab";
import { Idl, OpenVSwitch } from "@sluice/ovsdb";
import { createLog } from "@sluice/runtime";
import { stopRequest } from "../daemon.js";
import { CliError, type Io } from "../io.js";
import {
  configureSwitches,
  controllerStates,
  interfaceErrors,
  isApplied,
  rootRow,
  type SwitchIdl,
  WATCHED,
} from "../start/configure.js";
import { type Demo, startParts } from "../start/demo.js";
import { HELP, type StartOptions, startOptions } from "../start/options.js";
import { readCommands } from "../start/shell.js";
import { banner, flowLines, pingLines } from "../start/text.js";
import { controllerChanges, pingChange, until } from "../start/watch.js";
import { version } from "../version.js";
import { run as ofctl } from "./ofctl.js";

const APPLY_LIMIT_MS = 10_000;
const CONTROLLER_LIMIT_MS = 10_000;
/** Rounds of pings that --once gives the network to come up. */
const ONCE_ROUNDS = 5;
const ROUND_PERIOD_MS = 10_000;

const clock = promptClock;

/** `npm start`: runs until SIGINT or SIGTERM, or with --once until the first pings. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const options = startOptions(argv, io.env, isTerminal(io.stdin));
  if (options === "help") {
    io.stdout.write(HELP);
    return 0;
  }
  const stopRequested = stopRequest(["SIGINT", "SIGTERM", "SIGHUP"]).requested.then(() => "signal" as const);
  const level = options.verbose ? "info" : "err";
  const demo = await startParts(options, createLog({ console: (line) => void io.stderr.write(line), level }));
  const idl: SwitchIdl = new Idl(OpenVSwitch, { connect: demo.dbUnix, tables: WATCHED, clock });
  let isStopping = false;
  const say = (text: string): void => {
    if (!isStopping) io.stdout.write(`${text}\n`);
  };
  try {
    idl.start();
    const code = await Promise.race([stopRequested, showNetwork(demo, idl, options, io, say)]);
    if (code !== "signal") return code;
    say("stopping");
    return 0;
  } finally {
    isStopping = true;
    idl.close();
    await demo.stop();
  }
}

/** Configures the bridge, shows that the network works, and with --once gives the exit code; else never resolves. */
async function showNetwork(
  demo: Demo,
  idl: SwitchIdl,
  options: StartOptions,
  io: Io,
  say: (text: string) => void,
): Promise<number> {
  const { plan } = options;
  await configure(demo, idl, options);
  say(
    banner({
      ...demo,
      version: version(),
      plan,
      isOurController: options.controller === undefined,
    }),
  );
  for (const error of interfaceErrors(idl)) say(`interface: ${error}`);

  let controllers = controllerStates(idl);
  idl.events.on("change", () => {
    const now = controllerStates(idl);
    for (const line of controllerChanges(controllers, now)) say(line);
    controllers = now;
  });
  const isConnected = (): boolean => controllerStates(idl).some((state) => state.isConnected);
  if (!isConnected() && options.controller) say(`waiting for the controller at ${demo.controller}`);
  if (!(await until(idl, isConnected, clock, options.once ? CONTROLLER_LIMIT_MS : 0))) {
    throw new CliError(
      `the controller at ${demo.controller} was not there in ${CONTROLLER_LIMIT_MS / 1000} s`,
    );
  }

  const bridge = plan.switches[0]!.name;
  await flowsArrive(demo, bridge, io);
  let round = await firstPings(demo, options.once ? ONCE_ROUNDS : Number.POSITIVE_INFINITY);
  for (const line of pingLines(round)) say(line);
  say(`\nThe flows in ${bridge} now:\n${flowLines(await flows(demo, bridge, io))}\n`);
  if (options.once) return round.every(isAnswered) ? 0 : 1;

  if (options.interactive) return readCommands(demo, plan, io);
  for (;;) {
    await new Promise<void>((resolve) => clock.setTimeout(resolve, ROUND_PERIOD_MS));
    const next = await demo.network.pingAll({ count: 1 });
    const line = pingChange(round, next);
    if (line !== undefined) say(line);
    round = next;
  }
}

async function configure(demo: Demo, idl: SwitchIdl, { plan }: StartOptions): Promise<void> {
  const root = await rootRow(idl);
  const { status, error } = await idl.transact((txn) =>
    configureSwitches(txn, root, plan.switches, demo.controller),
  );
  if (status !== "success")
    throw new CliError(`the database refused the configuration: ${error?.message ?? status}`);
  if (!(await until(idl, () => isApplied(idl), clock, APPLY_LIMIT_MS))) {
    throw new CliError(`the switch did not take up its configuration in ${APPLY_LIMIT_MS / 1000} s`);
  }
}

/** A terminal whose input is ours: a program in the background that reads it is stopped. Only Linux says. */
function isTerminal(stream: Io["stdin"]): boolean {
  if (!("isTTY" in stream) || stream.isTTY !== true) return false;
  try {
    // pid (comm) state ppid pgrp session tty_nr tpgid …
    const fields = readFileSync("/proc/self/stat", "latin1").replace(/.*\) /s, "").split(" ");
    return fields[2] === fields[5];
  } catch {
    return false;
  }
}

const isAnswered = ({ result }: MeshResult): boolean => result.received > 0;

/** Gives a controller that has only just connected the time to install its first flows. */
async function flowsArrive(demo: Demo, bridge: string, io: Io): Promise<void> {
  for (let attempt = 0; attempt < 40 && !(await flows(demo, bridge, io)).includes("actions="); attempt++) {
    await new Promise<void>((resolve) => clock.setTimeout(resolve, 50));
  }
}

/** Rounds of pings until everybody has answered. The last round. */
async function firstPings(demo: Demo, rounds: number): Promise<MeshResult[]> {
  for (let round = 1; ; round++) {
    const results = await demo.network.pingAll({ count: 3, intervalMs: 20, timeoutMs: 3000 });
    if (results.every(isAnswered) || round >= rounds) return results;
  }
}

/** What `sluice ofctl dump-flows` prints. */
async function flows(demo: Demo, bridge: string, io: Io): Promise<string> {
  let text = "";
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      text += chunk;
      done();
    },
  });
  try {
    await ofctl(["dump-flows", `unix:${demo.rundir}/${bridge}.mgmt`], { ...io, stdout });
    return text;
  } catch (error) {
    // It is only shown; the network is none the worse.
    return `(${(error as Error).message})\n`;
  }
}
