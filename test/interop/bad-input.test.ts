import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SwitchUnderTest, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

const sluice = (...args: string[]) => run(["node", SLUICE, ...args]);

/** A socket that keeps what it receives. */
class Raw {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {});
  }

  static async open(target: { path: string } | { port: number; host: string }): Promise<Raw> {
    const socket = connect(target);
    const raw = new Raw(socket);
    await once(socket, "connect");
    return raw;
  }

  send(hex: string): void {
    this.socket.write(Buffer.from(hex.replaceAll(" ", ""), "hex"));
  }

  /** Takes one OpenFlow message off what has been received. */
  async message(): Promise<Buffer> {
    const whole = (): boolean =>
      this.received.length >= 8 && this.received.length >= this.received.readUInt16BE(2);
    await until(whole, "an OpenFlow message");
    const length = this.received.readUInt16BE(2);
    const message = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return message;
  }

  /** Takes messages until one has this OpenFlow type number. */
  async messageOfType(type: number): Promise<Buffer> {
    for (;;) {
      const message = await this.message();
      if (message[1] === type) return message;
    }
  }

  end(): void {
    this.socket.destroy();
  }
}

const HELLO = "04 00 0010 00000001 0001 0008 00000010";
const [OFPT_ERROR, OFPT_ECHO_REPLY] = [1, 3];

describe("the command line says what is wrong in one line", () => {
  test.each([
    [["no-such-command"], /no-such-command/],
    [["ofctl", "no-such-command", "br0"], /no-such-command/],
    [["ofctl", "--no-such-option", "show", "br0"], /no-such-option/],
    [["ofctl", "show", "tcp:127.0.0.1:1"], /127\.0\.0\.1:1.*(refused|ECONNREFUSED)/i],
    [["vsctl", "--db=unix:/nonexistent/db.sock", "show"], /\/nonexistent\/db\.sock/],
    [["vswitchd", "nonsense:1"], /nonsense/],
    [["controller", "--no-such-option"], /no-such-option/],
    [["ovsdb-server", "/nonexistent/dir/conf.db"], /\/nonexistent\/dir\/conf\.db/],
    [["start", "--no-such-option"], /no-such-option/],
  ])("sluice %j", async (args, pattern) => {
    const result = await sluice(...args);
    expect(result.code).not.toBe(0);
    expect(result.code).not.toBeNull();
    expect(result.stderr).toMatch(pattern);
    expect(result.stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
  });

  test("ofctl decode reports a bad line and goes on", async () => {
    const lines = ["04 00 00 08 00 00 00 01", "04 0e 00 09 00 00 00 02 00", "zz", "0402000800000003"];
    const result = await run(["node", SLUICE, "ofctl", "decode"], { input: `${lines.join("\n")}\n` });
    const documents = result.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type?: string; error?: { type?: string; code?: string } });
    expect(documents.map((document) => document.type ?? Object.keys(document)[0])).toEqual([
      "OFPT_HELLO",
      "error",
      "error",
      "OFPT_ECHO_REQUEST",
    ]);
    expect(documents[1]!.error).toMatchObject({ type: "OFPET_BAD_REQUEST", code: "OFPBRC_BAD_LEN" });
  });
});

describeWith({ root: true, programs: ["ovs-vsctl", "ip"] }, "bad input disturbs nothing", () => {
  const net = new Topology();
  let sut: SwitchUnderTest;
  let mgmt: { path: string };

  beforeAll(async () => {
    const netns = await net.add("sw");
    sut = await startSluice({ netns });
    await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    mgmt = { path: `${sut.rundir}/br0.mgmt` };
  });

  afterAll(async () => {
    await sut?.stop();
    await net.destroy();
  });

  const answersEcho = async (raw: Raw): Promise<void> => {
    raw.send("04 02 000c 000000ee 61626364");
    const reply = await raw.messageOfType(OFPT_ECHO_REPLY);
    expect(reply.toString("hex")).toBe("0403000c000000ee61626364");
  };

  test.each([
    ["an unknown message type", "04 63 0008 00000007", 1, 1],
    ["a flow_mod cut short", "04 0e 0010 00000007 0000000000000000", 1, 6],
    ["an echo with the wrong version", "01 02 0008 00000007", 1, 0],
    ["an unknown multipart type", "04 12 0010 00000007 00ff 0000 00000000", 1, 2],
    ["an unknown experimenter", "04 04 0010 00000007 00abcdef 00000001", 1, 3],
    [
      "a flow_mod whose match runs past its end",
      `04 0e 0038 00000007 ${"00".repeat(16)} 00 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000 0001 0040 00000000`,
      4,
      1,
    ],
    [
      "a flow_mod with an unknown action",
      `04 0e 0048 00000007 ${"00".repeat(16)} 00 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000 0001 0004 00000000 0004 0010 00000000 0063 0008 00000000`,
      2,
      0,
    ],
    [
      "a flow_mod with a bad prerequisite",
      `04 0e 0040 00000007 ${"00".repeat(16)} 00 00 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000 0001 000c 80001604 0a000001 00000000`,
      4,
      9,
    ],
  ])(
    "OpenFlow: %s gets the error of the specification, and the connection goes on",
    async (_, hex, type, code) => {
      const raw = await Raw.open(mgmt);
      raw.send(HELLO);
      raw.send(hex);
      const error = await raw.messageOfType(OFPT_ERROR);
      expect([error.readUInt16BE(8), error.readUInt16BE(10)]).toEqual([type, code]);
      expect(error.readUInt32BE(4)).toBe(7);
      const request = Buffer.from(hex.replaceAll(" ", ""), "hex");
      expect(error.subarray(12).toString("hex")).toBe(request.subarray(0, error.length - 12).toString("hex"));
      expect(error.length - 12).toBeGreaterThanOrEqual(Math.min(64, request.length));
      await answersEcho(raw);
      raw.end();
    },
  );

  test("OpenFlow: a peer that speaks only 1.0 gets OFPHFC_INCOMPATIBLE and is closed", async () => {
    const raw = await Raw.open(mgmt);
    raw.send("01 00 0008 00000001");
    const error = await raw.messageOfType(OFPT_ERROR);
    expect([error.readUInt16BE(8), error.readUInt16BE(10)]).toEqual([0, 0]);
    await until(() => raw.closed, "the connection to close");
  });

  test("OpenFlow: a length below the header closes that connection and no other", async () => {
    const good = await Raw.open(mgmt);
    good.send(HELLO);
    const bad = await Raw.open(mgmt);
    bad.send(HELLO);
    bad.send("04 02 0004 00000001");
    await until(() => bad.closed, "the bad connection to close");
    await answersEcho(good);
    good.end();
  });

  test.each([
    ["garbage", "this is not JSON"],
    ["a bad UTF-8 sequence", Buffer.from('{"method":"\xff\xfe","params":[],"id":1}', "latin1")],
    ["nesting without end", "[".repeat(100_000)],
  ])("OVSDB: %s closes that connection and no other", async (_, bytes) => {
    const good = await Raw.open({ path: `${sut.rundir}/db.sock` });
    const bad = await Raw.open({ path: `${sut.rundir}/db.sock` });
    bad.socket.write(bytes);
    await until(() => bad.closed, "the bad connection to close");
    good.socket.write('{"method":"echo","params":["still here"],"id":1}');
    await until(() => good.received.includes("still here"), "the good connection's echo");
    good.end();
  });

  test("a switch without CAP_NET_RAW says so in Interface.error", async () => {
    const netns = await net.add("nocap");
    await check(["ip", "-n", netns, "link", "add", "p1", "type", "veth", "peer", "name", "p1x"]);
    const unprivileged = await startSluice({
      netns,
      prefix: ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin"],
    });
    try {
      await unprivileged
        .vsctl("add-br", "br9", "--", "set", "bridge", "br9", "datapath_type=netdev")
        .catch(() => {});
      await unprivileged.vsctl("add-port", "br9", "p1").catch(() => {});
      const error = (await unprivileged.vsctl("get", "interface", "p1", "error")).trim();
      expect(error).toMatch(/CAP_NET_RAW|not permitted/);
      expect(error).not.toContain("\n");
      expect((await unprivileged.vsctl("get", "interface", "p1", "ofport")).trim()).toBe("-1");
    } finally {
      await unprivileged.stop();
    }
  });
});
