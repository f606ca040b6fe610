import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { check, Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** The controller as a process, with one real switch, while thousands of others connect and behave badly. */
const HELLO = Buffer.from("0400001000000001" + "0001000800000010", "hex");
/** What is said on a connection before its other end is left open, half closed, or cut off. */
const BAD: readonly (readonly [what: string, bytes: Buffer])[] = [
  ["nothing", Buffer.alloc(0)],
  ["half a header", HELLO.subarray(0, 5)],
  ["a hello, and no features", HELLO],
  ["another protocol", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
  ["a length that is less than a header", Buffer.concat([HELLO, Buffer.from("0402000700000001", "hex")])],
  ["a message of 64 KiB that does not end", Buffer.concat([HELLO, Buffer.from("040affff00000001", "hex")])],
  ["an unknown type", Buffer.concat([HELLO, Buffer.from("0463000800000001", "hex")])],
];
/** Also a device of the machine, where other tests may have one. */
const BRIDGE = `br${process.pid}`;
const ROUNDS = 3;
const AT_ONCE = 1000;
const MAX_HALF_OPEN = 1024;

describeWith(
  { programs: ["ovs-vsctl", "ovs-appctl"] },
  "a controller that is flooded with connections",
  () => {
    let sut: SwitchUnderTest;
    let controller: Daemon;
    let port: number;
    const open = new Set<Socket>();

    beforeAll(async () => {
      sut = await startSluice();
      const options = ["--listen", "0", `--unixctl=${sut.rundir}/c.ctl`, "--app", "learning-switch"];
      controller = new Daemon(["node", SLUICE, "controller", ...options]);
      await controller.prints(/listening on ptcp:(\d+):/);
      port = Number(/ptcp:(\d+):/.exec(controller.output)![1]);
      await sut.vsctl(
        ...`add-br ${BRIDGE} -- set bridge ${BRIDGE} datapath_type=netdev protocols=OpenFlow13`.split(" "),
        ...`other_config:datapath-id=0000000000000001 -- add-port ${BRIDGE} p1 -- set interface p1 type=dummy`.split(
          " ",
        ),
        ...`-- set-controller ${BRIDGE} tcp:127.0.0.1:${port}`.split(" "),
      );
      await controller.prints(/switch 0000000000000001 connected/);
    });
    afterAll(async () => {
      for (const socket of open) socket.destroy();
      await controller?.stop();
      await sut?.stop();
    });

    const show = () => check(["ovs-appctl", "-t", `${sut.rundir}/c.ctl`, "controller/show"]);
    const residentMb = (): number =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${controller.pid}/status`, "utf8"))![1]) / 1024;
    /** Resolves when the connection is made, and what it says is handed over; or when it is refused. */
    const connectAndSay = (bytes: Buffer): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connect(port, "127.0.0.1");
        open.add(socket);
        socket.on("error", () => resolve(socket)).on("close", () => open.delete(socket));
        socket.on("connect", () => socket.write(bytes, () => resolve(socket)));
      });

    test("stays up, keeps its switch, is bounded, and names who behaves badly", async () => {
      expect(await show()).toMatch(/^0000000000000001 /);
      const before = residentMb();
      for (let round = 0; round < ROUNDS; round++) {
        const sockets = await Promise.all(
          Array.from({ length: AT_ONCE }, (_, i) => connectAndSay(BAD[i % BAD.length]![1])),
        );
        // A third stays as it is, a third half closes, a third is cut off.
        for (const [i, socket] of sockets.entries()) {
          if (i % 3 === 1) socket.end();
          else if (i % 3 === 2) socket.resetAndDestroy();
        }
        expect(await show()).toMatch(/^0000000000000001 /);
      }
      // No more than 1024 without a handshake, of which each may hold part of a message.
      await Promise.all(Array.from({ length: MAX_HALF_OPEN + 1 }, () => connectAndSay(HELLO.subarray(0, 5))));
      const output = () => controller.output;
      await until(
        () =>
          /127\.0\.0\.1:\d+ disconnected: no handshake, and 1024 connections came after it/.test(output()),
        "the first without a handshake to give way",
        10_000,
        () => output().slice(-3000),
      );
      expect(residentMb() - before).toBeLessThan(150);
      await until(
        () => /127\.0\.0\.1:\d+ disconnected: .*(length|version|OpenFlow)/i.test(output()),
        "a peer to be named",
        10_000,
        () => output().slice(-3000),
      );
      expect(output()).toMatch(/127\.0\.0\.1:\d+: malformed message refused/);
      expect(output()).not.toContain("switch 0000000000000001 disconnected");
      expect(controller.exitCode).toBeNull();
    });
  },
);
