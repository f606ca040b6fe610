import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { port, SwitchPeer } from "../../packages/controller/src/testing/switch-peer.js";
import { Daemon, SLUICE } from "../support/process.js";

/** An app whose handler does not return: nothing of the controller runs any more, but it is told which one it is. */
let dir: string;
const daemons: Daemon[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-hang-"));
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop("SIGKILL");
  rmSync(dir, { recursive: true });
});

/** Its loop is on line 3, and ends when the file is there. */
const STUCK = (file: string): string => `import { existsSync } from "node:fs";
function untilItIsThere(path) {
  while (!existsSync(path)) {}
}
export default () => ({
  name: "stuck",
  events: { packet_in: () => untilItIsThere(${JSON.stringify(file)}) },
});
`;

async function hang(format: "vlog" | "json", line: RegExp): Promise<void> {
  const path = (suffix: string): string => join(dir, `${format}.${suffix}`);
  writeFileSync(path("mjs"), STUCK(path("go")));
  const options = [`--log-format=${format}`, `--log-file=${path("log")}`, "--app", path("mjs")];
  const daemon = new Daemon(["node", SLUICE, "controller", "--listen=ptcp:0:127.0.0.1", ...options]);
  daemons.push(daemon);
  await daemon.prints(/listening on ptcp:\d+/);
  const peer = await SwitchPeer.connect(/listening on (ptcp:\d+)/.exec(daemon.output)![1]!);
  await peer.handshake(1n, [port(1)]);
  peer.send({
    ...{ type: "OFPT_PACKET_IN", reason: "OFPR_NO_MATCH", match: { in_port: 1 }, cookie: 0n },
    ...{ data: new Uint8Array(60), total_len: 60, table_id: 0 },
  });
  await daemon.prints(line);
  expect(readFileSync(path("log"), "utf8")).toMatch(line);
  writeFileSync(path("go"), "");
  // It goes on as before.
  await daemon.prints(/nothing was answered for \d+\.\d s; app stuck ran last/);
  peer.send({ type: "OFPT_ECHO_REQUEST", data: new Uint8Array() });
  await peer.next("OFPT_ECHO_REPLY");
  peer.end();
}

test("an app that hangs is named in the log, with its event and the place in its file", async () => {
  const told = "nothing is answered for 5 s: app stuck is in packet_in of switch 0000000000000001, at \\w+ ";
  await Promise.all([
    hang("vlog", new RegExp(`\\|watchdog\\|ERR\\|${told}\\(.*/vlog\\.mjs:3:\\d+\\)$`, "m")),
    hang(
      "json",
      new RegExp(`^\\{"level":50,.*"module":"watchdog",.*"${told}\\(.*/json\\.mjs:3:\\d+\\)"`, "m"),
    ),
  ]);
});
