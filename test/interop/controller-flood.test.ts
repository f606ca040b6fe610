import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { port as portDesc, SwitchPeer } from "../../packages/controller/src/testing/switch-peer.js";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { check, Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** The controller as a process, with switches, while thousands of others connect and behave badly. */
const HELLO = Buffer.from("0400001000000001" + "0001000800000010", "hex");
/** What is said on a connection before its other end is left open, half closed, or cut off; and what the log then says of
 *  one that was left open. */
const BAD: readonly (readonly [what: string, bytes: Buffer, line: RegExp])[] = [
  ["nothing", Buffer.alloc(0), /no handshake, and 1024 connections came after it/],
  ["half a header", HELLO.subarray(0, 5), /no handshake, and 1024 connections came after it/],
  ["a hello, and no features", HELLO, /no handshake, and 1024 connections came after it/],
  ["another protocol", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), /disconnected: .*HTTP/],
  [
    "a length that is less than a header",
    Buffer.concat([HELLO, Buffer.from("0402000700000001", "hex")]),
    /disconnected: framing lost: .*7/,
  ],
  [
    "a message of 64 KiB that does not end",
    Buffer.concat([HELLO, Buffer.from("040affff00000001", "hex")]),
    /no handshake, and 1024 connections came after it/,
  ],
  [
    "an unknown type",
    Buffer.concat([HELLO, Buffer.from("0463000800000001", "hex")]),
    /malformed message refused: .*99/,
  ],
];
/** Also a device of the machine, where other tests may have one. */
const BRIDGE = `br${process.pid}`;
const ROUNDS = 20;
const AT_ONCE = 350;
const MAX_HALF_OPEN = 1024;
/** Those that are being closed are among the controller's open files for a moment. */
const MAX_FILES = 4096;

describeWith(
  { programs: ["ovs-vsctl", "ovs-appctl"] },
  "a controller that is flooded with connections",
  () => {
    let sut: SwitchUnderTest;
    let controller: Daemon;
    let port: number;
    let peer: SwitchPeer;
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
      peer = await SwitchPeer.connect(`ptcp:${port}`);
      await peer.handshake(2n, [portDesc(1)]);
      await controller.prints(/switch 0000000000000001 connected/);
      await controller.prints(/switch 0000000000000002 connected/);
    });
    afterAll(async () => {
      peer?.end();
      for (const socket of open) socket.destroy();
      await controller?.stop();
      await sut?.stop();
    });

    const show = () => check(["ovs-appctl", "-t", `${sut.rundir}/c.ctl`, "controller/show"]);
    const residentMb = (): number =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${controller.pid}/status`, "utf8"))![1]) / 1024;
    const openFiles = (): number => readdirSync(`/proc/${controller.pid}/fd`).length;
    /** Connections made, and those of them that were greeted: the kernel may forget others before the controller sees
     *  them, when too many come at once. */
    const counts = { made: 0, greeted: 0 };
    /** Resolves when the controller has greeted it, and what it says is handed over; or when it is refused. */
    const connectAndSay = (bytes: Buffer, localAddress = "127.0.0.1"): Promise<Socket> =>
      new Promise((resolve) => {
        const socket = connect({ port, host: "127.0.0.1", localAddress });
        open.add(socket);
        socket
          .on("error", () => resolve(socket))
          .on("close", () => {
            open.delete(socket);
            resolve(socket);
          });
        counts.made++;
        socket.once("data", () => {
          counts.greeted++;
          socket.write(bytes, () => resolve(socket));
        });
      });
    /** A packet of a switch, and what it is answered. */
    const isAnswered = async (): Promise<void> => {
      const data = new Uint8Array(60);
      data.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
      peer.send({
        ...{ type: "OFPT_PACKET_IN", reason: "OFPR_NO_MATCH", match: { in_port: 1 }, cookie: 0n },
        ...{ data, total_len: data.length, table_id: 0 },
      });
      await peer.next("OFPT_PACKET_OUT");
    };
    /** The host from which connections of a kind come. */
    const hostOf = (kind: number): string => `127.0.1.${kind + 1}`;

    test("stays up, answers its switches, is bounded, and names each who behaves badly, or counts it", async () => {
      expect(await show()).toMatch(/^0000000000000001 /m);
      const before = { mb: residentMb(), files: openFiles() };
      for (let round = 0; round < ROUNDS; round++) {
        const [sockets] = await Promise.all([
          Promise.all(
            Array.from({ length: AT_ONCE }, (_, i) =>
              connectAndSay(BAD[i % BAD.length]![1], hostOf(i % BAD.length)),
            ),
          ),
          isAnswered(),
        ]);
        // A third stays as it is, a third half closes, a third is cut off.
        for (const [i, socket] of sockets.entries()) {
          if (i % 3 === 1) socket.end();
          else if (i % 3 === 2) socket.resetAndDestroy();
        }
        await isAnswered();
        expect(openFiles()).toBeLessThan(before.files + MAX_FILES);
      }
      // No more than 1024 without a handshake, of which each may hold part of a message.
      for (let i = 0; i < 4; i++) {
        await Promise.all(Array.from({ length: AT_ONCE }, () => connectAndSay(HELLO.subarray(0, 5))));
        await isAnswered();
      }
      expect(await show()).toMatch(/^0000000000000001 /m);
      expect(residentMb() - before.mb).toBeLessThan(150);
      await until(
        () => openFiles() <= before.files + MAX_HALF_OPEN,
        "the others to be let go of",
        20_000,
        () => String(openFiles()),
      );
      const lines = () => controller.output.split("\n");
      for (const [kind, [what, , line]] of BAD.entries()) {
        await until(
          () => lines().some((one) => one.includes(`tcp:${hostOf(kind)}:`) && line.test(one)),
          `${hostOf(kind)}, which says ${what}, to be named`,
          20_000,
          () => controller.output.slice(-3000),
        );
      }
      expect(controller.output).not.toMatch(/switch 000000000000000[12] disconnected/);
      expect(controller.exitCode).toBeNull();
      await controller.stop();
      // Each connection is told of once: in a line of its own, or in one that says how many there were like it.
      const told = lines()
        .filter(
          (one) =>
            /\|controller\|/.test(one) && / (disconnected|refused): /.test(one) && !/malformed/.test(one),
        )
        .map((one) => Number(/\|(\d+) lines? dropped in the last /.exec(one)?.[1] ?? 1));
      const [all, switches] = [told.reduce((sum, count) => sum + count, 0), 2];
      expect(all).toBeGreaterThanOrEqual(counts.greeted + switches);
      expect(all).toBeLessThanOrEqual(counts.made + switches);
      expect(lines().length).toBeLessThan(counts.greeted / 2);
    });
  },
);
