import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppFiles } from "@sluice/controller";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sluice } from "../testing.js";
import { resolveApps } from "./apps.js";
import { readInvocation } from "./options.js";

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sl-conf-"));
  file = join(dir, "c.json");
});
afterEach(() => rmSync(dir, { recursive: true }));

const config = (text: string | object): string[] => {
  writeFileSync(file, typeof text === "string" ? text : JSON.stringify(text));
  return ["--config", file];
};
const appsOf = async (argv: readonly string[]) =>
  (await resolveApps(readInvocation(argv), new AppFiles())).entries.map(({ definition, settings }) => [
    definition.name,
    settings,
  ]);

describe("the apps that run", () => {
  test("are the learning switch, or those that options name, in their order", async () => {
    expect(await appsOf([])).toEqual([["learning-switch", {}]]);
    expect(await appsOf(["--hub", "-n"])).toEqual([["hub", { noFlow: true }]]);
    expect(await appsOf(["--app", "topology", "--app=hub", "--set", "topology.probeMs=500"])).toEqual([
      ["topology", { probeMs: 500 }],
      ["hub", {}],
    ]);
  });

  test("have the settings that ovs-testcontroller's options stand for", async () => {
    const learning = async (...argv: string[]) => (await appsOf(argv)).at(-1)![1];
    expect(await learning("-w", "-N", "--max-idle=permanent")).toEqual({
      wildcards: 0x3820f0,
      normal: true,
      maxIdle: 0,
    });
    expect(await learning("--wildcards=2000EC", "-n")).toEqual({ wildcards: 0x2000ec, noFlow: true });
    // A queue stands above --normal and --hub.
    expect(await appsOf(["-H", "-N", "-q", "3", "-Q", "eth0:4"])).toEqual([
      ["learning-switch", { queue: 3, portQueues: { eth0: 4 } }],
    ]);
    writeFileSync(file, "actions=1");
    expect(await appsOf(["--with-flows", file])).toEqual([
      ["static-flows", { files: [file] }],
      ["learning-switch", {}],
    ]);
  });

  test("and their settings may be in a file; an option stands in place of the file's", async () => {
    writeFileSync(
      join(dir, "mine.mjs"),
      "export default function mine() { return { name: 'm', events: {} }; }",
    );
    const argv = config({
      apps: [
        "topology",
        { app: "./mine.mjs", settings: { any: 1 } },
        { app: "learning-switch", settings: { size: 9 } },
      ],
      listen: ["ptcp:7777:127.0.0.1", "punix:/tmp/x"],
      "probe-interval": 3,
      "max-idle": "permanent",
      noflow: true,
    });
    const { listens, probeIntervalMs } = readInvocation(argv);
    expect([listens, probeIntervalMs]).toEqual([["ptcp:7777:127.0.0.1", "punix:/tmp/x"], 3000]);
    expect(await appsOf(argv)).toEqual([
      ["topology", {}],
      ["mine", { any: 1 }],
      ["learning-switch", { size: 9, maxIdle: 0, noFlow: true }],
    ]);
    const over = readInvocation([...argv, "--listen=6700", "--max-idle=5"]);
    expect(over.listens).toEqual(["ptcp:6700:127.0.0.1"]);
    expect((await appsOf([...argv, "--max-idle=5"]))[2]![1]).toMatchObject({ maxIdle: 5 });
    expect(await appsOf([...argv, "--app=hub"])).toEqual([["hub", { noFlow: true }]]);
  });
});

test.each([
  ["{", "c.json: line 1, column 2: not JSON: "],
  ['{\n  "a": 1,\n  b\n}', "c.json: line 3, column 3: not JSON: "],
  ["[]", "c.json: is not a JSON object"],
  [{ listn: [] }, "c.json: listn is not known here; there are apps, app, "],
  [{ listen: "6653" }, "c.json: listen must be a list"],
  [{ listen: [{}] }, "c.json: listen[0] must be a string or a number"],
  [{ noflow: 1 }, "c.json: noflow must be true or false"],
  [{ apps: [] }, "c.json: apps must be a list of apps"],
  [{ apps: ["nope"] }, 'c.json: apps[0]: no app "nope"; there are learning-switch, hub, '],
  [{ apps: ["hub", { name: "x" }] }, "c.json: apps[1] must be an app's name or path, or "],
  [{ apps: [{ app: "hub", setings: {} }] }, "c.json: apps[0].setings is not known here"],
  [{ apps: [{ app: "hub", settings: { noflow: true } }] }, "c.json: apps[0]: hub.noflow is not known here"],
  [
    { apps: ["hub", { app: "topology", settings: { probeMs: "x" } }] },
    "c.json: apps[1]: topology.probeMs must be integer",
  ],
  [{ apps: ["./none.js"] }, "none.js: no such file"],
  [{ apps: ["hub", "hub"] }, "app hub is listed twice"],
  [{ "max-idle": 0 }, '--max-idle: "0" is not allowed'],
])("%j is refused with one line and its path", async (text, message) => {
  const result = await sluice(["controller", ...config(text)]);
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toContain(message);
  expect(result.stderr.split("\n")).toHaveLength(2);
});

test.each([
  [["--config", "/nowhere/c.json"], "--config: /nowhere/c.json: no such file"],
  [["--app", "nope"], '--app: no app "nope"'],
  [["--set", "x"], '--set: "x" is not APP.SETTING=VALUE'],
  [["--set", "hub.noFlow=true"], "--set: hub.noFlow: app hub is not among those that run"],
  [["--set", "learning-switch.size=0"], "learning-switch.size must be >= 1"],
  [["-O", "OpenFlow10,OpenFlow14"], '--protocols: "OpenFlow10,OpenFlow14" leaves out OpenFlow13'],
  [["--wildcards=xyz"], '--wildcards: "xyz" is not a hexadecimal mask'],
  [["-Q", "eth0"], '--port-queue: "eth0" is not PORT-NAME:QUEUE'],
  [["--with-flows", "/nowhere/f"], "app static-flows: /nowhere/f: no such file"],
  [["--listen", "x"], '--listen: "x" is not [IP:]PORT'],
])("%j is refused with one line", async (argv, message) => {
  const result = await sluice(["controller", ...argv]);
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toContain(message);
  expect(result.stderr.split("\n")).toHaveLength(2);
});
