import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { oskenManager } from "../support/osken.js";
import { check, Daemon, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describeWith({ programs: ["ovs-vsctl", "ovs-ofctl", "osken-manager"] }, "sluice start and real peers", () => {
  const daemons: Daemon[] = [];
  const start = (...argv: string[]): Daemon => {
    const daemon = new Daemon(argv);
    daemons.push(daemon);
    return daemon;
  };
  const startSluice = (...args: string[]): Daemon =>
    start(process.execPath, SLUICE, "start", "--ovsdb-port=0", ...args);
  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.stop();
  });

  test("the lines that it prints for ovs-vsctl and ovs-ofctl work as they stand", async () => {
    const daemon = startSluice("--controller-port=0", "--hosts=2");
    await daemon.prints(/The flows in br0 now/);
    const command = (tool: string): string[] =>
      new RegExp(`^ +(${tool} --?[dO].*)$`, "m").exec(daemon.output)![1]!.split(" ");
    const shown = await check(command("ovs-vsctl"));
    for (const part of ["Bridge br0", "is_connected: true", "fail_mode: secure", "type: dummy"]) {
      expect(shown).toContain(part);
    }
    expect(await check(command("ovs-ofctl"))).toMatch(
      /priority=1,.*dl_dst=00:00:00:00:00:02 actions=output:2/,
    );
  });

  test("os-ken as the outside controller makes the hosts reach each other, and takes over again when it is back", async () => {
    const port = await freePort();
    const first = start(...oskenManager(port));
    const daemon = startSluice("--hosts=2", `--controller=tcp:127.0.0.1:${port}`);
    await daemon.prints(/ping h1 -> h2: 3 sent, [123] received/);
    await first.stop();
    await daemon.prints(new RegExp(`controller tcp:127.0.0.1:${port}: lost`));
    start(...oskenManager(port));
    await until(
      () => daemon.output.split(`${port}: connected`).length === 3,
      "the second connection",
      20_000,
      () => daemon.output,
    );
  });

  test("a running network changes its controller by ovs-vsctl set-controller", async () => {
    const port = await freePort();
    const osken = start(...oskenManager(port));
    const daemon = startSluice("--controller-port=0", "--hosts=2");
    await daemon.prints(/The flows in br0 now/);
    const db = /--db=(\S+)/.exec(daemon.output)![1]!;
    await check([
      "ovs-vsctl",
      `--db=${db}`,
      "--timeout=10",
      "set-controller",
      "br0",
      `tcp:127.0.0.1:${port}`,
    ]);
    await osken.prints(/switch \w+ connected/);
    await daemon.prints(new RegExp(`controller tcp:127.0.0.1:${port}: connected`));
  });

  test("--once with nobody at the outside controller's address ends with one line and exit code 1", async () => {
    const target = `tcp:127.0.0.1:${await freePort()}`;
    const { code, stderr } = await run(
      [process.execPath, SLUICE, "start", "--ovsdb-port=0", "--once", `--controller=${target}`],
      { timeoutMs: 25_000 },
    );
    expect(code).toBe(1);
    expect(stderr).toBe(`sluice start: the controller at ${target} was not there in 10 s\n`);
  });
});
