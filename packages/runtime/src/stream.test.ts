import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Listener, listen, openStream } from "./stream.js";

let dir: string;
let open: Listener[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-st-"));
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map((listener) => listener.close()));
  rmSync(dir, { recursive: true });
});

async function listening(...args: Parameters<typeof listen>): Promise<Listener> {
  const listener = await listen(...args);
  open.push(listener);
  return listener;
}
const echo = (socket: Socket): void => void socket.pipe(socket);
const activeOf = (target: string): string =>
  target.replace(/^ptcp:(\d+):(.*)/, "tcp:$2:$1").replace(/^p/, "");

async function roundTrip(target: string, tls = {}): Promise<string> {
  const stream = await openStream(target, tls);
  stream.write("hello");
  const [data] = await once(stream, "data");
  stream.destroy();
  return String(data);
}

test.each(["ptcp:0:127.0.0.1", "ptcp:0:[::1]"])("bytes go both ways over %s", async (target) => {
  const listener = await listening(target, echo);
  expect(await roundTrip(activeOf(listener.target))).toBe("hello");
});

test("bytes go both ways over a unix socket, whose file goes with its listener", async () => {
  const path = join(dir, "s");
  const listener = await listen(`punix:${path}`, echo);
  expect(await roundTrip(`unix:${path}`)).toBe("hello");
  expect((statSync(path).mode & 0o777).toString(8)).toBe("770");
  await listener.close();
  expect(existsSync(path)).toBe(false);
});

test("a port or a path in use is said in one line that names it", async () => {
  const tcp = await listening("ptcp:0:127.0.0.1", echo);
  await expect(listen(tcp.target, echo)).rejects.toThrow(`${tcp.target}: already in use by another program`);
  const unix = await listening(`punix:${dir}/s`, echo);
  await expect(listen(unix.target, echo)).rejects.toThrow("already in use by another program");
});

test("a socket file that a killed program left is replaced", async () => {
  const path = join(dir, "s");
  const program = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", program, path]);
  expect(existsSync(path)).toBe(true);
  await listening(`punix:${path}`, echo);
  expect(await roundTrip(`unix:${path}`)).toBe("hello");
});

test("nobody there, no such path, no such host: one line each", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  await expect(openStream(`tcp:127.0.0.1:${port}`)).rejects.toThrow(
    `tcp:127.0.0.1:${port}: connection refused`,
  );
  await expect(openStream(`unix:${dir}/none`)).rejects.toThrow(/none: no such file$/);
  await expect(openStream("ptcp:1")).rejects.toThrow("is a target to listen on, not to connect to");
  await expect(listen("tcp:127.0.0.1:1", echo)).rejects.toThrow(
    "is a target to connect to, not to listen on",
  );
});

test("closing a listener ends what it accepted", async () => {
  const listener = await listen("ptcp:0:127.0.0.1", echo);
  const stream = await openStream(activeOf(listener.target));
  const ended = once(stream, "close");
  stream.write("x");
  await once(stream, "data");
  await listener.close();
  await ended;
});

test("a connection too many is closed and counted", async () => {
  const listener = await listening("ptcp:0:127.0.0.1", echo, { maxConnections: 1 });
  const target = activeOf(listener.target);
  const first = await openStream(target);
  first.write("x");
  await once(first, "data");
  const second = await openStream(target).catch(() => undefined);
  if (second && !second.closed) await once(second, "close");
  expect(listener.refused).toBe(1);
});

test("an attempt is given up on request", async () => {
  const listener = await listening("ptcp:0:127.0.0.1", echo);
  const target = activeOf(listener.target);
  const giveUp = new AbortController();
  const attempt = openStream(target, { signal: giveUp.signal });
  giveUp.abort();
  await expect(attempt).rejects.toThrow(`${target}: `);
});

test("a missing certificate is named", async () => {
  await expect(openStream("ssl:127.0.0.1:1", {})).rejects.toThrow("ssl:127.0.0.1:1: needs private_key");
  const options = { private_key: join(dir, "nokey") };
  await expect(openStream("ssl:127.0.0.1:1", options)).rejects.toThrow(/private_key .*nokey: no such file/);
});

test("a file that is no socket is not overwritten", async () => {
  const path = join(dir, "precious");
  writeFileSync(path, "data");
  await expect(listen(`punix:${path}`, echo)).rejects.toThrow("already in use");
  await expect(listen(`punix:${path}.d/s`, echo)).rejects.toThrow(/\.d\/s: no such directory$/);
});
