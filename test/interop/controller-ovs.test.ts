import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundledApps } from "@sluice/controller";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSigned } from "../support/certificate.js";
import { type SwitchUnderTest, startOvs } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, Daemon, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const MAC_A = "02:00:00:00:00:0a";
const MAC_B = "02:00:00:00:00:0b";
const MAC_C = "02:00:00:00:00:0c";
const MAC_D = "02:00:00:00:00:0d";
const PROGRAMS = ["ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovs-vswitchd", "ip", "ping", "ethtool", "openssl"];

describeWith({ root: true, programs: PROGRAMS }, "sluice controller on an Open vSwitch bridge", () => {
  const net = new Topology();
  let sut: SwitchUnderTest;
  let controller: Daemon;

  const startController = async (...options: string[]): Promise<void> => {
    const argv = [
      "node",
      SLUICE,
      "controller",
      "--listen",
      "6653",
      `--unixctl=${sut.rundir}/c.ctl`,
      ...options,
    ];
    controller = new Daemon(argv, { netns: net.netns("sw") });
    await controller.prints(/listening on ptcp:6653:127\.0\.0\.1/);
  };
  const flows = (): Promise<string> => sut.ofctl("--no-names", "dump-flows", "br0");
  const connected = (): Promise<void> =>
    until(
      async () => (await sut.vsctl("get", "controller", "br0", "is_connected")).trim() === "true",
      "the switch to be connected",
      30_000,
      () => controller.output,
    );

  beforeAll(async () => {
    const netns = await net.add("sw");
    // Open vSwitch's user-space datapath does not complete the checksums that a veth leaves to hardware.
    await net.addHost("a", `${A}/24`, "p1", "sw", { mac: MAC_A, offloads: false });
    await net.addHost("b", `${B}/24`, "p2", "sw", { mac: MAC_B, offloads: false });
    await net.addHost("c", `${C}/24`, "p3", "sw", { mac: MAC_C, offloads: false });
    sut = await startOvs({ netns });
    await sut.vsctl(
      ..."add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols=OpenFlow13".split(" "),
      ..."-- add-port br0 p1 -- add-port br0 p2 -- add-port br0 p3".split(" "),
      ...["p1", "p2", "p3"].flatMap((name, i) =>
        `-- set interface ${name} ofport_request=${i + 1}`.split(" "),
      ),
    );
    await startController();
    await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6653");
    await connected();
  });

  afterAll(async () => {
    await controller?.stop("SIGKILL");
    await sut?.stop();
    await net.destroy();
  });

  test("hosts ping each other, and the learned flows are in the switch", async () => {
    expect(await net.ping("a", B)).toBe(true);
    expect(await net.ping("c", A)).toBe(true);
    const table = await flows();
    expect(table).toMatch(/priority=0 actions=CONTROLLER:65535/);
    expect(table).toMatch(
      /idle_timeout=60, .*priority=1,in_port=1,vlan_tci=0x0000\/0x1fff,dl_src=02:00:00:00:00:0a,dl_dst=02:00:00:00:00:0b actions=output:2/,
    );
    expect(table).toMatch(/in_port=2,.*dl_dst=02:00:00:00:00:0a actions=output:1/);
    expect(controller.output).toMatch(/switch [0-9a-f]{16} connected from tcp:127\.0\.0\.1:\d+, 4 ports/);
  });

  /** Gives a host another address pair; it is silent until it is told to speak. */
  const become = async (host: string, mac: string, ip?: string): Promise<void> => {
    await net.check(host, ["ip", "addr", "flush", "dev", "eth0"]);
    await net.check(host, ["ip", "link", "set", "eth0", "address", mac]);
    if (ip !== undefined) await net.check(host, ["ip", "addr", "add", `${ip}/24`, "dev", "eth0"]);
  };
  /** Open vSwitch's threads take a changed flow up a little after its barrier: the first answer may go astray. */
  const speak = (from: string, to: string) =>
    net.check(from, ["ping", "-c", "5", "-i", "0.2", "-W", "4", to]);

  test("a host that moves to another port, and back, is reached there with the first packet", async () => {
    expect(await net.ping("a", B)).toBe(true);
    await become("b", MAC_D);
    await become("c", MAC_B, B);
    await speak("c", A);
    expect(await net.ping("a", B)).toBe(true);
    const table = await flows();
    expect(table).toMatch(/dl_dst=02:00:00:00:00:0b actions=output:3/);
    expect(table).not.toMatch(/dl_dst=02:00:00:00:00:0b actions=output:2/);

    await become("c", MAC_C, C);
    await become("b", MAC_B, B);
    await speak("b", A);
    expect(await net.ping("a", B)).toBe(true);
    expect(await flows()).toMatch(/dl_dst=02:00:00:00:00:0b actions=output:2/);
  });

  test("a port that goes down takes its flows with it", async () => {
    expect(await net.ping("a", B)).toBe(true);
    await net.check("b", ["ip", "link", "set", "eth0", "down"]);
    await until(async () => !(await flows()).includes(MAC_B), "B's flows to go", 10_000, flows);
    await net.check("b", ["ip", "link", "set", "eth0", "up"]);
    expect(await net.ping("a", B)).toBe(true);
  });

  test("ovs-appctl asks it for its switches, and turns its log up while it runs", async () => {
    const appctl = (...args: string[]) => check(["ovs-appctl", "-t", `${sut.rundir}/c.ctl`, ...args]);
    expect(await appctl("controller/show")).toMatch(
      /^[0-9a-f]{16} tcp:127\.0\.0\.1:\d+: equal, 4 ports, .*malformed 0, dropped 0/,
    );
    await appctl("vlog/set", "controller:console:dbg");
    expect(await appctl("vlog/list")).toMatch(/controller +DBG +INFO/);
  });

  test("the switch finds nothing wrong with what it is sent, and nor does the controller", async () => {
    expect(controller.output).not.toMatch(/refused|malformed|failed/);
  });

  test("SIGTERM stops it cleanly; the switch comes back to the next one, which starts as a hub", async () => {
    expect(await controller.stop()).toBe(0);
    await startController("--hub");
    await connected();
    await until(async () => (await flows()).includes("actions=FLOOD"), "the hub's flow", 10_000, flows);
    expect(await net.ping("b", C)).toBe(true);
  });

  test("it goes to a switch that listens for controllers itself", async () => {
    await controller.stop();
    await sut.vsctl("set-controller", "br0", "ptcp:6654:127.0.0.1");
    await startController("tcp:127.0.0.1:6654");
    await controller.prints(/switch [0-9a-f]{16} connected from tcp:127\.0\.0\.1:6654/);
    expect(await net.ping("b", C)).toBe(true);
  });

  test("over TLS each shows a certificate, and one that the other does not know is refused", async () => {
    await controller.stop();
    const [ours, theirs] = [
      await selfSigned(sut.rundir, "controller"),
      await selfSigned(sut.rundir, "switch"),
    ];
    await sut.vsctl("set-ssl", theirs.key, theirs.cert, ours.cert);
    await sut.vsctl("set-controller", "br0", "ssl:127.0.0.1:6653");
    const tls = ["--listen", "pssl:6653:127.0.0.1", "-p", ours.key, "-c", ours.cert];
    const start = async (ca: string): Promise<void> => {
      const argv = ["node", SLUICE, "controller", ...tls, "-C", ca];
      controller = new Daemon(argv, { netns: net.netns("sw") });
      await controller.prints(/listening on pssl:6653:127\.0\.0\.1/);
    };
    await start(ours.cert);
    await controller.prints(/ssl:127\.0\.0\.1:\d+: certificate refused: /);
    expect(controller.output).not.toContain("connected from");
    await controller.stop();
    await start(theirs.cert);
    await controller.prints(/switch [0-9a-f]{16} connected from ssl:127\.0\.0\.1:\d+/);
    expect(await net.ping("a", C)).toBe(true);

    // --peer-ca-cert: the switch begins without the certificate of who signed the controller's, and takes it up.
    await controller.stop();
    await sut.vsctl("--", "--bootstrap", "set-ssl", theirs.key, theirs.cert, `${sut.rundir}/taken-up.pem`);
    tls.push("--peer-ca-cert", ours.cert);
    await start(theirs.cert);
    await controller.prints(/switch [0-9a-f]{16} connected from ssl:127\.0\.0\.1:\d+/);
    expect(readFileSync(`${sut.rundir}/taken-up.pem`, "utf8")).toContain(
      readFileSync(ours.cert, "utf8").split("\n")[1],
    );
  });

  test("a switch without OpenFlow 1.3 is told so, and the log says what to do", async () => {
    await controller.stop();
    await startController();
    await sut.vsctl("set-controller", "br0", "tcp:127.0.0.1:6653");
    await sut.vsctl("set", "bridge", "br0", "protocols=OpenFlow10");
    await controller.prints(/switch speaks only OpenFlow 1\.0/);
  });
});

describe("sluice controller without a switch", () => {
  test("a port in use is one line that names it and the option, and exit code 1", async () => {
    const first = new Daemon(["node", SLUICE, "controller", "--listen", "0"]);
    await first.prints(/listening on ptcp:(\d+):/);
    const port = /ptcp:(\d+):/.exec(first.output)![1]!;
    const second = new Daemon(["node", SLUICE, "controller", "--listen", port]);
    expect(await second.ended()).toBe(1);
    expect(second.output).toBe(
      `sluice controller: cannot listen on ptcp:${port}:127.0.0.1: already in use by another program; --listen [IP:]PORT takes another\n`,
    );
    expect(await first.stop("SIGINT")).toBe(0);
  });

  test("--pidfile holds its number while it runs, and keeps another one out; lines may be JSON", async () => {
    const dir = mkdtempSync(join(tmpdir(), "sl-pid-"));
    const argv = ["node", SLUICE, "controller", "--listen", "0", "--pidfile", "--log-format=json"];
    const env = { SLUICE_RUNDIR: dir };
    const file = join(dir, "sluice-controller.pid");
    const daemon = new Daemon(argv, { env });
    try {
      await daemon.prints(/listening on ptcp:(\d+):/);
      const pid = readFileSync(file, "utf8").trim();
      const second = new Daemon(argv, { env });
      expect(await second.ended()).toBe(1);
      expect(second.output).toBe(`sluice controller: --pidfile: ${file}: already running as pid ${pid}\n`);
      const third = new Daemon([...argv, "--overwrite-pidfile"], { env });
      await third.prints(/listening on ptcp:(\d+):/);
      expect(readFileSync(file, "utf8").trim()).not.toBe(pid);
      const port = /ptcp:(\d+):/.exec(third.output)![1]!;
      connect({ port: Number(port), host: "127.0.0.1" })
        .on("error", () => {})
        .end("GET / HTTP/1.1\r\n\r\n");
      await third.prints(/^\{"level":30,"time":\d+,.*"module":"controller",.*\}$/m);
      await third.stop();
      expect(existsSync(file)).toBe(false);
    } finally {
      await daemon.stop();
      rmSync(dir, { recursive: true });
    }
  });

  test.each([
    [["--listen", "x"], '--listen: "x" is not [IP:]PORT or a target to listen on'],
    [
      ["--app", "nope"],
      `--app: no app "nope"; there are ${Object.keys(bundledApps).join(", ")}, and modules by path`,
    ],
    [["--max-idle", "0"], '--max-idle: "0" is not allowed; say "permanent" or 1 to 65535 seconds'],
    [["--connect", "ptcp:1"], "--connect: ptcp:1 is a target to listen on"],
    [["--log-format", "xml"], '--log-format: "xml" is not vlog or json'],
    [["--bogus"], "unknown option --bogus (try --help)"],
    [["--listen", "pssl:0"], "cannot listen on pssl:0: needs private_key; --listen [IP:]PORT takes another"],
  ])("%j is refused in one line", async (argv, line) => {
    const daemon = new Daemon(["node", SLUICE, "controller", ...argv]);
    expect(await daemon.ended()).toBe(1);
    expect(daemon.output).toBe(`sluice controller: ${line}\n`);
  });
});
