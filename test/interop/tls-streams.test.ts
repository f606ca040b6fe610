import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listen, openStream } from "@sluice/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { selfSigned } from "../support/certificate.js";
import { describeWith } from "../support/requirements.js";

describeWith({ programs: ["openssl"] }, "streams over TLS", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const certificate = async (name: string) => {
    const { key, cert } = await selfSigned(dir, name);
    return { private_key: key, certificate: cert };
  };

  test("a connection needs a certificate that the other end's ca_cert vouches for, both ways", async () => {
    const [us, peer, stranger] = [
      await certificate("us"),
      await certificate("peer"),
      await certificate("stranger"),
    ];
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
