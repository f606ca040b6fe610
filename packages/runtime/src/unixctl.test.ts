import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { describeWith } from "../../../test/support/requirements.js";
import { createLog, type LogRegistry } from "./log.js";
import { logCommands } from "./log-commands.js";
import { openStream } from "./stream.js";
import { ControlServer, controlCall, controlPath } from "./unixctl.js";

let dir: string;
let path: string;
let server: ControlServer;
let logs: LogRegistry;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "sl-ctl-"));
  path = join(dir, "x.1.ctl");
  logs = createLog({ console: () => {} });
  server = new ControlServer(
    "sluice 0.1.0",
    {
      echo: { usage: "WORD...", args: [1, 3], run: (args) => args.join(" ") },
      slow: {
        run: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return "slow";
        },
      },
      fail: {
        run: () => {
          throw new Error("no such bridge");
        },
      },
    },
    logCommands(logs),
  );
  await server.listen(path);
});
afterEach(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

test("answers with the command's text, closed by a newline", async () => {
  expect(await controlCall(path, "echo", ["a", "b"])).toEqual({ id: 0, result: "a b\n", error: null });
  expect(await controlCall(path, "version", [])).toMatchObject({ result: "sluice 0.1.0\n" });
  expect((await controlCall(path, "list-commands", [])).result).toContain(
    "  echo                    WORD...\n",
  );
});

test("says what is wrong with an unknown command, a wrong number of arguments, a failing command", async () => {
  expect((await controlCall(path, "nope", [])).error).toMatch(/^"nope" is not a valid command/);
  expect((await controlCall(path, "echo", [])).error).toBe('"echo" command requires at least 1 arguments\n');
  expect((await controlCall(path, "version", ["x"])).error).toBe(
    '"version" command takes at most 0 arguments\n',
  );
  expect(await controlCall(path, "fail", [])).toMatchObject({ result: null, error: "no such bridge\n" });
});

test("requests sent at once are answered in their order", async () => {
  const socket = await openStream(`unix:${path}`);
  const ask = (id: number, method: string) => JSON.stringify({ id, method, params: [] });
  socket.write(ask(1, "slow") + ask(2, "version"));
  let text = "";
  while (text.split("\n").length < 3) text += String((await once(socket, "data"))[0]);
  socket.destroy();
  expect(
    text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).id),
  ).toEqual([1, 2]);
});

test.each(["{garbage}", '{"method":1,"params":[]}', '{"method":"version","params":[1]}', "\u0001"])(
  "%j ends that connection and no other",
  async (bad) => {
    const socket = await openStream(`unix:${path}`);
    socket.write(bad);
    await once(socket, "close");
    expect((await controlCall(path, "version", [])).error).toBeNull();
  },
);

test("a daemon's name leads to its socket by its pid file", () => {
  writeFileSync(join(dir, "x.pid"), "1\n");
  expect(controlPath("x", dir)).toBe(path);
  expect(controlPath("/a/b", dir)).toBe("/a/b");
  expect(() => controlPath("y", dir)).toThrow("y.pid: no such pid file");
});

test("log levels are shown and set", async () => {
  const log = logs.module("dpif");
  expect((await controlCall(path, "vlog/set", ["dpif:console:dbg"])).error).toBeNull();
  expect(log.enabled("dbg")).toBe(true);
  expect((await controlCall(path, "vlog/list", [])).result).toMatch(/dpif +DBG +INFO\n/);
  expect((await controlCall(path, "vlog/set", ["none:dbg"])).error).toMatch(/"none"/);
});

const appctl = (...args: string[]) => promisify(execFile)("ovs-appctl", ["--timeout=5", "-t", path, ...args]);
describeWith({ programs: ["ovs-appctl"] }, "the real ovs-appctl", () => {
  test("lists commands, gives arguments, shows text and errors", async () => {
    expect((await appctl("list-commands")).stdout).toMatch(/^The available commands are:\n/);
    expect((await appctl("echo", "x", "y")).stdout).toBe("x y\n");
    await expect(appctl("fail")).rejects.toThrow("no such bridge");
  });
});
