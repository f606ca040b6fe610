import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { port, SwitchPeer } from "../../packages/controller/src/testing/switch-peer.js";
import { Daemon, run, SLUICE } from "../support/process.js";

let dir: string;
let daemon: Daemon | undefined;
let peer: SwitchPeer | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-reload-"));
});
afterEach(async () => {
  peer?.end();
  await daemon?.stop("SIGKILL");
  rmSync(dir, { recursive: true });
});

/** A module whose app installs a flow of that priority, and takes it back when it is released. */
const app = (priority: number): string => `
  const flow = (command) => ({ type: "OFPT_FLOW_MOD", command, priority: ${priority} });
  export default (settings) => ({
    name: "mine",
    events: {
      datapath_up: (dp) => dp.request(flow("OFPFC_ADD")).then(() => []),
      datapath_release: () => [flow("OFPFC_DELETE")],
    },
  });`;
const write = (name: string, text: string | object): void => {
  // As editors do: a new file in the place of the old.
  writeFileSync(join(dir, `${name}.new`), typeof text === "string" ? text : JSON.stringify(text));
  renameSync(join(dir, `${name}.new`), join(dir, name));
};

async function start(config: object): Promise<void> {
  write("c.json", { listen: ["ptcp:0:127.0.0.1"], unixctl: join(dir, "ctl"), ...config });
  daemon = new Daemon(["node", SLUICE, "controller", "--config", "c.json"], { cwd: dir });
  await daemon.prints(/listening on ptcp:\d+/);
  peer = await SwitchPeer.connect(/listening on (ptcp:\d+)/.exec(daemon.output)![1]!);
  await peer.handshake(1n, [port(1)]);
}
const nextFlow = async () => {
  const { command, priority } = await peer!.next("OFPT_FLOW_MOD");
  return [command, priority];
};
const appctl = (...args: string[]) => run(["node", SLUICE, "appctl", "-t", join(dir, "ctl"), ...args]);

test("SIGHUP takes up a changed module and a changed list, and the switch stays connected", async () => {
  write("mine.mjs", app(5));
  await start({ apps: ["./mine.mjs"] });
  expect(await nextFlow()).toEqual(["OFPFC_ADD", 5]);
  write("mine.mjs", app(6));
  daemon!.signal("SIGHUP");
  expect(await nextFlow()).toEqual(["OFPFC_ADD", 6]);
  write("c.json", { apps: ["hub"] });
  daemon!.signal("SIGHUP");
  // The app that goes takes its flow back; the one that comes is introduced.
  expect(await nextFlow()).toEqual(["OFPFC_DELETE", 6]);
  expect(await nextFlow()).toEqual(["OFPFC_ADD", 0]);
  await daemon!.prints(/apps reloaded: new hub; kept none; gone/);
  await daemon!.prints(/only apps and their settings are reloaded/);
  expect(peer!.isClosed).toBe(false);
  expect((await appctl("app/list")).stdout).toBe("hub {}\n");
  expect(daemon!.output.match(/connected from/g)).toHaveLength(1);
});

test("what is wrong in the new configuration is told, by the log and to who asked, and nothing changes", async () => {
  await start({ apps: ["hub"] });
  expect(await nextFlow()).toEqual(["OFPFC_ADD", 0]);
  write("c.json", { apps: ["hub", { app: "topology", settings: { probeMs: "soon" } }] });
  const asked = await appctl("app/reload");
  expect(asked.code).not.toBe(0);
  expect(asked.stderr).toContain("c.json: apps[1]: topology.probeMs must be integer");
  await daemon!.prints(/apps\|ERR\|not reloaded: c\.json: apps\[1\]: topology\.probeMs must be integer/);
  expect((await appctl("app/list")).stdout).toBe("hub {}\n");
  write("c.json", { apps: ["hub"] });
  expect((await appctl("app/reload")).stdout).toBe("apps reloaded: new none; kept hub; gone none\n");
});

test("with watch, a change is taken up by itself", async () => {
  write("mine.mjs", app(5));
  await start({ apps: ["./mine.mjs", "learning-switch"], watch: true });
  expect(await nextFlow()).toEqual(["OFPFC_ADD", 5]);
  write("mine.mjs", app(7));
  for (let flow = await nextFlow(); flow[1] !== 7; flow = await nextFlow());
  await daemon!.prints(/apps reloaded: new \S+; kept learning-switch; gone none/);
});

test("an app in TypeScript, from any directory, brings its route along at a reload", async () => {
  await start({ apps: ["hub"], rest: "0" });
  await daemon!.prints(/REST on/);
  const base = /REST on (http:\/\/[^/]+)/.exec(daemon!.output)![1]!;
  const ask = async (body: string) => {
    const response = await fetch(`${base}/greet`, { method: "POST", body });
    return { status: response.status, body: await response.json() };
  };
  expect((await ask("{}")).status).toBe(404);
  write(
    "greet.ts",
    `import { badField, type RestApp } from "@sluice/controller";
     export default (): RestApp => ({
       name: "greet",
       events: {},
       routes: [{
         method: "POST", path: "/greet", tag: "greet", summary: "Greets",
         handle: ({ body }) => {
           const { name } = body as { name?: string };
           if (name === undefined) throw badField("name", "is missing");
           return { hello: name };
         },
       }],
     });`,
  );
  write("c.json", {
    listen: ["ptcp:0:127.0.0.1"],
    unixctl: join(dir, "ctl"),
    apps: ["./greet.ts", "hub"],
    rest: "0",
  });
  daemon!.signal("SIGHUP");
  await daemon!.prints(/apps reloaded: new greet; kept hub/);
  expect(await ask('{"name": "you"}')).toEqual({ status: 200, body: { hello: "you" } });
  // Its errors are the interface's own.
  expect(await ask("{}")).toEqual({ status: 400, body: { error: "name is missing", field: "name" } });
  write("greet.ts", "const a: = 5;");
  expect((await appctl("app/reload")).stderr).toMatch(/greet\.ts: SyntaxError: .* \(line 1, column 10\)/);
  write("greet.ts", 'export default () => ({ name: "greet", events: { packetin: () => [] } });');
  expect((await appctl("app/reload")).stderr).toMatch(
    /app greet: there is no event packetin; there are datapath_up/,
  );
  expect((await ask('{"name": "you"}')).status).toBe(200);
});
