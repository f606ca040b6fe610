import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { App } from "../framework/app.js";
import { composeApps, withRequired } from "./compose.js";
import { type AppDefinition, defineApp, type SettingsOf } from "./definition.js";
import { AppFiles } from "./load.js";
import { checkSettings } from "./settings.js";

const plain = (name: string, more: Partial<AppDefinition> = {}): AppDefinition => ({
  name,
  summary: name,
  settings: { type: "object" },
  create: () => ({ name, events: {} }),
  ...more,
});
const namesOf = (entries: readonly { definition: AppDefinition }[]): string[] =>
  entries.map(({ definition }) => definition.name);

describe("the list of apps", () => {
  const known = { links: plain("links"), paths: plain("paths", { requires: ["links"] }) };

  test("keeps its order; what an app requires is put in before it", () => {
    expect(namesOf(withRequired([{ definition: plain("a") }, { definition: known.paths }], known))).toEqual([
      "a",
      "links",
      "paths",
    ]);
    expect(namesOf(withRequired([{ definition: known.links }, { definition: known.paths }], known))).toEqual([
      "links",
      "paths",
    ]);
  });

  test("says what is wrong with it", () => {
    const of = (...definitions: AppDefinition[]) =>
      withRequired(
        definitions.map((definition) => ({ definition })),
        known,
      );
    expect(() => of(known.links, known.links)).toThrow("app links is listed twice");
    expect(() => of(known.paths, known.links)).toThrow("app paths needs links before it");
    expect(() => of(plain("x", { requires: ["y"] }))).toThrow("app x needs app y, which is not known");
  });

  test("an app is kept with its state while it and what it uses are the same", () => {
    const base = plain("base");
    const user = plain("user", {
      create: (_settings, context) => ({ name: `on ${context.app("base")!.name}`, events: {} }),
    });
    const list = (size: number, other = {}) => [
      { definition: base, settings: { size } },
      { definition: user, settings: {} },
      { definition: plain("other"), settings: other },
    ];
    const first = composeApps(list(1));
    const second = composeApps(list(1, { a: [1] }), { previous: first });
    expect([second[0] === first[0], second[1] === first[1], second[2] === first[2]]).toEqual([
      true,
      true,
      false,
    ]);
    const third = composeApps(list(2), { previous: second });
    expect([third[0] === second[0], third[1] === second[1]]).toEqual([false, false]);
  });

  test("an app that cannot be made is named, and those made before it are stopped", () => {
    let stopped = 0;
    const first = plain("first", { create: () => ({ name: "first", events: {}, stop: () => stopped++ }) });
    const bad = plain("bad", {
      create: () => {
        throw new Error("no table 300");
      },
    });
    expect(() => composeApps([{ definition: first }, { definition: bad }])).toThrow("app bad: no table 300");
    expect(stopped).toBe(1);
  });
});

describe("settings", () => {
  const definition = defineApp({
    name: "typed",
    summary: "",
    settings: {
      type: "object",
      properties: {
        rate: { type: "integer", minimum: 1 },
        mode: { type: "string", enum: ["a", "b"] },
        ports: { type: "array", items: { type: "object", properties: { id: { type: "integer" } } } },
        byName: { type: "object", additionalProperties: { type: "integer" } },
      },
      required: ["rate"],
    },
    create: ({ rate, mode = "a", ports, byName }) => {
      // What the schema says, TypeScript knows.
      const typed: [number, "a" | "b", number | undefined, number | undefined] = [
        rate,
        mode,
        ports?.[0]?.id,
        byName?.x,
      ];
      return { name: typed.join(), events: {} } satisfies App;
    },
  });
  const check = (settings: unknown) => checkSettings(definition.settings, settings, "conf.json: apps[1]");

  test("are typed by their schema", () => {
    const rate: SettingsOf<{ type: "object"; properties: { rate: { type: "integer" } } }>["rate"] = 5;
    expect(definition.create({ rate, byName: { x: 7 } }, {} as never).name).toBe("5,a,,7");
  });

  test("are checked, and the path is named", async () => {
    await check({ rate: 1, mode: "b", ports: [{ id: 3 }], byName: { any: 1 } });
    await expect(check({})).rejects.toThrow("conf.json: apps[1].rate is missing");
    await expect(check({ rate: 0 })).rejects.toThrow("conf.json: apps[1].rate must be >= 1");
    await expect(check({ rate: 1, mode: "c" })).rejects.toThrow(
      "conf.json: apps[1].mode must be one of a, b",
    );
    await expect(check({ rate: 1, Mode: "a" })).rejects.toThrow("conf.json: apps[1].Mode is not known here");
    await expect(check({ rate: 1, ports: [{ id: 1 }, { id: "x" }] })).rejects.toThrow(
      "conf.json: apps[1].ports[1].id must be integer",
    );
    await expect(check({ rate: 1, ports: [{ no: 1 }] })).rejects.toThrow("ports[0].no is not known here");
    await expect(check({ rate: 1, byName: { a: "b" } })).rejects.toThrow("byName.a must be integer");
  });
});

describe("an app of the user's", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "sl-app-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const file = (text: string): string => {
    const path = join(dir, "app.mjs");
    writeFileSync(path, text);
    return path;
  };
  const files = new AppFiles();
  const nameOf = async (text: string): Promise<string> =>
    (await files.load(file(text))).create({ word: "w" }, {} as never).name;

  test("is exported as a definition, a function, or an app", async () => {
    expect(await nameOf("export default (settings) => ({ name: 'f-' + settings.word, events: {} });")).toBe(
      "f-w",
    );
    expect(await nameOf("export const mine = () => ({ name: 'only-one', events: {} });")).toBe("only-one");
    expect(await nameOf("export default { name: 'value', events: {} };  ")).toBe("value");
    expect(
      await nameOf("export const app = { name: 'd', create: (s) => ({ name: 'd-' + s.word, events: {} }) };"),
    ).toBe("d-w");
  });

  test("is loaded again only when its file has changed", async () => {
    const path = file("export default () => ({ name: 'one', events: {} });");
    const first = await files.load(path);
    expect(await files.load(path)).toBe(first);
    file("export default () => ({ name: 'two, now', events: {} });");
    expect((await files.load(path)).create({}, {} as never).name).toBe("two, now");
  });

  test("is named with what is wrong with it", async () => {
    const wrong = (text: string) => nameOf(text).catch((error: Error) => error.message.replace(dir, "DIR"));
    expect(await wrong("export const a = 1;")).toMatch(/^DIR\/app.mjs: exports no app/);
    expect(await wrong("export default () => ({ events: {} });")).toBe("DIR/app.mjs: the app has no name");
    expect(await wrong("export default () => ({ name: 'x', events: { packet_in: 3 } });")).toBe(
      "DIR/app.mjs: app x: events.packet_in is no function",
    );
    expect(await wrong("throw new Error('at once');")).toBe("DIR/app.mjs: at once");
    await expect(files.load(join(dir, "none.js"))).rejects.toThrow("none.js: no such file");
  });
});
