import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { selfSigned } from "../support/certificate.js";
import { Daemon, SLUICE } from "../support/process.js";
import { describeWith } from "../support/requirements.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-"));
  writeFileSync(join(dir, "token"), "correct-horse\n");
  writeFileSync(join(dir, "empty"), "\n");
});
afterAll(() => rmSync(dir, { recursive: true }));

const start = (...options: string[]): Daemon =>
  new Daemon(["node", SLUICE, "controller", "--listen", "0", ...options], { cwd: dir });
async function served(daemon: Daemon): Promise<string> {
  await daemon.prints(/REST on/);
  return /REST on (\S+)\//.exec(daemon.output)![1]!;
}

describe("sluice controller --rest", () => {
  test.each([
    [["--rest", "x"], '--rest: "x" is not [HOST:]PORT'],
    [["--rest", "70000"], '--rest: "70000" is not [HOST:]PORT'],
    [["--rest", "203.0.113.1:0"], "--rest: 203.0.113.1:0: this machine does not have that address"],
    [["--rest-token", "token"], "--rest-token needs --rest [HOST:]PORT"],
    [["--rest", "0", "--rest-token", "none"], "--rest-token: none: no such file"],
    [
      ["--rest", "0", "--rest-token", "empty"],
      "--rest-token: empty is to hold one line without spaces and commas",
    ],
    [["--rest", "0", "--rest-certificate", "x"], "--rest-certificate needs --rest-private-key"],
    [["--rest", "0", "--rest-private-key", "x"], "--rest-private-key needs --rest-certificate"],
    [
      ["--rest", "0", "--rest-private-key", "x", "--rest-certificate", "token"],
      "--rest-private-key: x: no such file",
    ],
  ])("%j is refused in one line", async (options, line) => {
    const daemon = start(...options);
    expect(await daemon.ended()).toBe(1);
    expect(daemon.output.split("\n").filter((text) => text.startsWith("sluice "))).toEqual([
      `sluice controller: ${line}`,
    ]);
  });

  test("a port in use is named", async () => {
    const first = start("--rest", "0");
    const port = /:(\d+)$/.exec(await served(first))![1]!;
    const second = start("--rest", port);
    expect(await second.ended()).toBe(1);
    expect(second.output).toContain(`--rest: ${port}: already in use by another program\n`);
    expect(await first.stop()).toBe(0);
  });

  test("it is on loopback by itself, and where it is not, says what that means", async () => {
    const daemon = start("--rest", "0.0.0.0:0");
    expect(await served(daemon)).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
    await daemon.prints(
      /whoever reaches 0\.0\.0\.0:\d+ may change flows; --rest-token FILE asks for a token/,
    );
    await daemon.stop();
    const own = start("--rest", "0");
    expect(await served(own)).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(own.output).not.toContain("whoever");
    await own.stop();
  });

  test("a token is asked for, and a host name is taken when it is told", async () => {
    const daemon = start("--rest", "0", "--rest-token", "token", "--rest-host", "Sdn.Example");
    const base = await served(daemon);
    const status = async (headers: Record<string, string>) =>
      (await fetch(`${base}/stats/switches`, { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status({ authorization: "Bearer correct-horse" })).toBe(200);
    const asHost = (host: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { host, authorization: "Bearer correct-horse" };
        const sent = plainRequest(`${base}/stats/switches`, { headers }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        sent.on("error", reject);
        sent.end();
      });
    expect([await asHost("sdn.example:8080"), await asHost("other.example")]).toEqual([200, 403]);
    await daemon.stop();
  });

  test("apps come and go with the configuration, and their routes with them", async () => {
    const file = join(dir, "c.json");
    const write = (...apps: string[]) => writeFileSync(file, JSON.stringify({ apps, rest: 0 }));
    write("topology");
    const daemon = start("--config", file);
    const base = await served(daemon);
    const status = async (path: string) => (await fetch(base + path)).status;
    const rates = "/v1/monitor/ports";
    expect([await status("/v1.0/topology/links"), await status(rates)]).toEqual([200, 404]);
    write("topology", "monitor");
    daemon.signal("SIGHUP");
    await daemon.prints(/new monitor/);
    expect(await status(rates)).toBe(200);
    expect(await (await fetch(`${base}/openapi.json`)).text()).toContain(rates);
    write("topology");
    daemon.signal("SIGHUP");
    await daemon.prints(/gone monitor/);
    expect([await status("/v1.0/topology/links"), await status(rates)]).toEqual([200, 404]);
    expect(await daemon.stop()).toBe(0);
  });
});

describeWith({ programs: ["openssl"] }, "REST over TLS", () => {
  test("shows its certificate, and takes only clients that show one of its authority", async () => {
    const [ours, theirs] = [await selfSigned(dir, "controller"), await selfSigned(dir, "client")];
    const daemon = start(
      ...["--rest", "0", "--rest-private-key", ours.key, "--rest-certificate", ours.cert],
      ...["--rest-ca-cert", theirs.cert],
    );
    const base = await served(daemon);
    expect(base).toMatch(/^https:/);
    const ask = (options: object): Promise<string> =>
      new Promise((resolve) => {
        const sent = request(
          `${base}/stats/switches`,
          { ca: readFileSync(ours.cert), ...options },
          (response) => {
            response.resume();
            resolve(String(response.statusCode));
          },
        );
        sent.on("error", (error) => resolve(error.message));
        sent.end();
      });
    const client = { key: readFileSync(theirs.key), cert: readFileSync(theirs.cert) };
    expect(await ask(client)).toBe("200");
    expect(await ask({})).not.toBe("200");
    expect(await ask({ ...client, ca: readFileSync(theirs.cert) })).toMatch(/self-signed|unable to verify/);
    await daemon.stop();
  });
});
