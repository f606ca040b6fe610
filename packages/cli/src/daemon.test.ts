import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { daemonLog } from "./daemon.js";

test("a process that is one daemon after the other listens for its end once", () => {
  const io = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough(), env: {} };
  const listeners = () => process.listenerCount("exit") + process.listenerCount("uncaughtException");
  daemonLog({}, io, "");
  const once = listeners();
  daemonLog({}, io, "");
  expect(listeners()).toBe(once);
});
