import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen, openStream } from "@sluice/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWith } from "../support/requirements.js";

describeWith({ programs: ["openssl"] }, "streams over TLS", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  function certificate(name: string): { private_key: string; certificate: string } {
    const [private_key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ].concat(["-subj", `/CN=${name}`, "-keyout", private_key, "-out", cert]),
      { stdio: "ignore" },
    );
    return { private_key, certificate: cert };
  }

  test("a connection needs a certificate that the other end's ca_cert vouches for, both ways", async () => {
    const [us, peer, stranger] = [certificate("us"), certificate("peer"), certificate("stranger")];
    const errors: string[] = [];
    let served = 0;
    const serve = (socket: Socket): void => {
      served++;
      socket.pipe(socket);
    };
    const listener = await listen("pssl:0:127.0.0.1", serve, {
      ...us,
      ca_cert: peer.certificate,
      onPeerError: (line) => errors.push(line),
    });
    const target = listener.target.replace(/^pssl:(\d+):(.*)/, "ssl:$2:$1");
    const stream = await openStream(target, { ...peer, ca_cert: us.certificate });
    stream.write("hello");
    expect(String(await once(stream, "data"))).toBe("hello");
    stream.destroy();
    await expect(openStream(target, { ...peer, ca_cert: stranger.certificate })).rejects.toThrow(
      `${target}: `,
    );
    const refused = await openStream(target, { ...stranger, ca_cert: us.certificate }).catch(() => undefined);
    if (refused && !refused.closed) await once(refused, "close");
    expect(errors).toContainEqual(expect.stringMatching(/^ssl:127\.0\.0\.1:\d+: certificate refused: \w+$/));
    expect(served).toBe(1);
    await listener.close();
  });
});
