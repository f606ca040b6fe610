import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sluice } from "../../packages/cli/src/testing.js";
import { type SwitchUnderTest, startOvs, startSluice } from "../support/daemons.js";
import { Topology } from "../support/netns.js";
import { check, type RunResult, run, SLUICE, until } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

/** How sluice ofctl reaches a switch (unix, TCP, TLS), agrees on the version, and prints JSON. */

/** A certificate authority's certificate, and a key with a certificate that it signed. */
interface Tls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

async function makeTls(dir: string): Promise<Tls> {
  const path = (name: string): string => join(dir, name);
  const [ca, caKey, key, request, cert] = ["ca.pem", "ca-key.pem", "key.pem", "req.pem", "cert.pem"].map(
    path,
  );
  const openssl = (...args: string[]): Promise<string> => check(["openssl", ...args], { cwd: dir });
  const rsa = ["-newkey", "rsa:2048", "-nodes"];
  await openssl("req", "-x509", ...rsa, "-keyout", caKey!, "-out", ca!, "-days", "2", "-subj", "/CN=test-ca");
  await openssl("req", ...rsa, "-keyout", key!, "-out", request!, "-subj", "/CN=test");
  const signed = ["-CA", ca!, "-CAkey", caKey!, "-CAcreateserial", "-days", "2"];
  await openssl("x509", "-req", "-in", request!, ...signed, "-out", cert!);
  return { key: key!, cert: cert!, ca: ca! };
}

/** Commands that print something, each with --json. */
const PRINTING: readonly (readonly string[])[] = [
  ["show", "br0"],
  ["dump-desc", "br0"],
  ["dump-tables", "br0"],
  ["dump-table-features", "br0"],
  ["dump-flows", "br0"],
  ["dump-flows", "br0", "table=1"],
  ["--sort", "dump-flows", "br0"],
  ["dump-aggregate", "br0"],
  ["dump-ports", "br0"],
  ["dump-ports-desc", "br0"],
  ["dump-groups", "br0"],
  ["dump-group-stats", "br0"],
  ["dump-group-features", "br0"],
  ["dump-meters", "br0"],
  ["meter-stats", "br0"],
  ["meter-features", "br0"],
  ["queue-stats", "br0"],
  ["queue-get-config", "br0", "1"],
  ["ofp-print", "0400000800000001"],
  ["parse-flow", "ip,actions=2"],
  ["parse-group", "group_id=1,type=all,bucket=output:1"],
];
/** Those whose documents are no messages. */
const OTHERS: readonly (readonly string[])[] = [
  ["get-frags", "br0"],
  ["ping", "br0", "8"],
  ["benchmark", "br0", "8", "10"],
];

const entriesOf = (lines: string): unknown[] =>
  lines
    .trimEnd()
    .split("\n")
    .flatMap((line) => (JSON.parse(line) as { body: { entries: unknown[] } }).body.entries);

const KINDS = [
  { name: "a real Open vSwitch", start: startOvs },
  { name: "our switch", start: startSluice },
] as const;

const needs = { root: true, programs: ["ovs-ofctl", "ovs-vsctl", "ovs-vswitchd", "ip", "openssl"] };

describe.each(KINDS)("$name", ({ start }) => {
  describeWith(needs, "reached by sluice ofctl", () => {
    const topology = new Topology();
    let sut: SwitchUnderTest;
    let netns: string;
    let tls: Tls;

    const ofctl = (args: readonly string[], input = ""): Promise<RunResult> =>
      run(["node", SLUICE, "ofctl", ...args], { env: { SLUICE_RUNDIR: sut.rundir }, netns, input });
    /** In this process: starting another takes most of the time. */
    const quick = (args: readonly string[], input = ""): Promise<RunResult> =>
      sluice(["ofctl", ...args], input, { SLUICE_RUNDIR: sut.rundir });
    const lines = async (args: readonly string[]): Promise<unknown[]> => {
      const { code, stdout, stderr } = await quick(["--json", ...args]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown);
    };

    beforeAll(async () => {
      netns = await topology.add("sw");
      sut = await start({ netns });
      tls = await makeTls(sut.rundir);
      const port = ["--", "add-port", "br0", "p1", "--", "set", "interface", "p1", "type=internal"];
      const set = ["datapath_type=netdev", "fail_mode=secure"];
      await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", ...set, ...port);
      await sut.vsctl("set-ssl", tls.key, tls.cert, tls.ca);
      await sut.vsctl("set-controller", "br0", "ptcp:16653:127.0.0.1", "pssl:16654:127.0.0.1");
      for (const flow of ["table=1,ip,actions=output:1", "arp,actions=drop"])
        await sut.ofctl("add-flow", "br0", flow);
      await sut.ofctl("add-group", "br0", "group_id=1,type=all,bucket=output:1");
      await sut.ofctl("add-meter", "br0", "meter=1,kbps,bands=type=drop,rate=1000");
    });
    afterAll(async () => {
      await sut?.stop();
      await topology.destroy();
    });

    const withTls = (): string[] => ["-p", tls.key, "-c", tls.cert, "-C", tls.ca];

    test("over unix, TCP and TLS, and the same is said over each", async () => {
      const targets = [
        ["br0"],
        [`unix:${sut.rundir}/br0.mgmt`],
        [`${sut.rundir}/br0.mgmt`],
        ["tcp:127.0.0.1:16653"],
        [...withTls(), "ssl:127.0.0.1:16654"],
      ];
      const answers: string[] = [];
      for (const target of targets) {
        const args = [...target.slice(0, -1), "--no-stats", "--sort", "dump-flows", target.at(-1)!];
        await until(async () => (await ofctl(args)).code === 0, `an answer of ${target.at(-1)}`);
        answers.push((await ofctl(args)).stdout);
      }
      expect(answers[0]).toContain("table=1, ip actions=output:1");
      expect(new Set(answers).size).toBe(1);
      const theirs = ["ovs-ofctl", "-O", "OpenFlow13", ...withTls(), "--no-stats", "--sort", "dump-flows"];
      expect(await check([...theirs, "ssl:127.0.0.1:16654"], { netns })).toBe(answers[0]);
    });

    test("over TLS not without a certificate, nor with an authority that has not signed the switch's", async () => {
      const bare = await ofctl(["show", "ssl:127.0.0.1:16654"]);
      expect(bare).toMatchObject({ code: 1, stdout: "" });
      expect(bare.stderr).toMatch(/^sluice ofctl: .+\n$/);
      const stranger = ["-p", tls.key, "-c", tls.cert, "-C", tls.cert];
      const refused = await ofctl([...stranger, "show", "ssl:127.0.0.1:16654"]);
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toMatch(/^sluice ofctl: ssl:127\.0\.0\.1:16654: .+\n$/);
    });

    test("-O chooses among versions, of which ours must be one", async () => {
      expect((await ofctl(["-O", "OpenFlow13", "get-frags", "br0"])).stdout).toBe("normal\n");
      expect((await ofctl(["-O", "OpenFlow10,OpenFlow13,OpenFlow14", "get-frags", "br0"])).code).toBe(0);
      expect(await ofctl(["-O", "OpenFlow10", "get-frags", "br0"])).toEqual({
        code: 1,
        stdout: "",
        stderr: "sluice ofctl: OpenFlow10: not spoken; sluice speaks OpenFlow13\n",
      });
    });

    test.each(PRINTING)("--json %j %j prints messages, which encode takes back", async (...args) => {
      const documents = (await lines(args)) as { type: string }[];
      expect(documents.every(({ type }) => type.startsWith("OFPT_"))).toBe(true);
      const text = documents.map((document) => JSON.stringify(document)).join("\n");
      const hex = await quick(["encode"], `${text}\n`);
      expect(hex).toMatchObject({ code: 0, stderr: "" });
      const again = await quick(["decode"], hex.stdout);
      // A list that is too long for one message comes back in its parts.
      const isOne = hex.stdout.trimEnd().split("\n").length === documents.length;
      if (isOne) expect(again.stdout).toBe(`${text}\n`);
      else expect(entriesOf(again.stdout)).toEqual(entriesOf(text));
    });

    test.each(OTHERS)("--json %j %j prints documents", async (...args) => {
      for (const document of await lines(args)) expect(typeof document).toBe("object");
    });

    test("--json tells of a refusal, and of differences, by documents", async () => {
      const refused = await quick(["--json", "add-flow", "br0", "actions=group:77"]);
      expect(refused.code).toBe(1);
      expect(JSON.parse(refused.stdout)).toMatchObject({
        type: "OFPT_ERROR",
        error_type: "OFPET_BAD_ACTION",
        error_code: "OFPBAC_BAD_OUT_GROUP",
      });
      const other = join(sut.rundir, "other.txt");
      await check(["sh", "-c", 'echo arp,actions=drop > "$0"', other]);
      const different = await quick(["--json", "diff-flows", "br0", other]);
      expect(different.code).toBe(2);
      expect(JSON.parse(different.stdout)).toEqual({ before: "table=1 ip actions=output:1", after: null });
    });
  });
});

describeWith(needs, "a switch that does not speak OpenFlow 1.3", () => {
  const topology = new Topology();
  let sut: SwitchUnderTest;
  beforeAll(async () => {
    sut = await startOvs({ netns: await topology.add("sw") });
    await sut.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
  });
  afterAll(async () => {
    await sut?.stop();
    await topology.destroy();
  });

  test.each([
    ["OpenFlow10", "OpenFlow10 (0x01)"],
    ["OpenFlow14,OpenFlow15", "OpenFlow14 (0x05), OpenFlow15 (0x06)"],
  ])("%s: is told so in one line", async (protocols, spoken) => {
    await sut.vsctl("set", "bridge", "br0", `protocols=${protocols}`);
    const result = await run(["node", SLUICE, "ofctl", "show", "br0"], {
      env: { SLUICE_RUNDIR: sut.rundir },
    });
    expect(result).toEqual({
      code: 1,
      stdout: "",
      stderr: `sluice ofctl: br0: no version in common: we speak OpenFlow13 (0x04), the switch ${spoken}\n`,
    });
  });
});
