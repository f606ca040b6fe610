import { nullLog, VirtualClock } from "@sluice/runtime";
import { expect, test } from "vitest";
import { composeApps } from "../composition/index.js";
import { FakeSwitch } from "../testing/fake-switch.js";
import type { App, AppEvents } from "./app.js";
import { checkApp, Dispatcher } from "./dispatch.js";
import { Timings } from "./timings.js";

function start(...apps: App[]) {
  const clock = new VirtualClock();
  const timings = new Timings();
  const [errors, warnings]: [string[], string[]] = [[], []];
  const log = {
    ...nullLog,
    err: (text: string) => void errors.push(text),
    warn: (text: string) => void warnings.push(text),
  };
  const dispatcher = new Dispatcher(apps, log, { clock, timings });
  const dp = new FakeSwitch([]);
  const packetIn = (): void => dispatcher.dispatch("packet_in", dp, { match: {} } as never);
  return { clock, timings, errors, warnings, dispatcher, dp, packetIn };
}
const app = (packet_in: (...args: never[]) => unknown, name = "mine"): App => ({
  name,
  events: { packet_in: packet_in as AppEvents["packet_in"] },
});
const settled = () => new Promise(setImmediate);

test("what is no app is told of in one line", () => {
  const wrong = (given: unknown): string => {
    try {
      checkApp(given);
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(wrong(undefined)).toBe("the app has no name");
  expect(wrong({ name: "a" })).toBe("app a has no events");
  expect(wrong({ name: "a", events: { packetIn: () => [] } })).toMatch(
    /^app a: there is no event packetIn; there are datapath_up, .*, packet_in, /,
  );
  expect(wrong({ name: "a", events: { packet_in: [] } })).toBe("app a: events.packet_in is no function");
  expect(wrong({ name: "a", events: { packet_in: undefined } })).toBe("");
  expect(() => start({ name: "a", events: { up: () => {} } } as never)).toThrow("there is no event up");
});

test("an answer that is no list of messages, and what a handler throws, are told of with the app and the place", () => {
  const answers = [
    () => ({ type: "OFPT_PACKET_OUT" }),
    () => null,
    () => [{ type: "OFPT_FLOWMOD" }],
    (_dp: unknown, { data }: { data: Uint8Array }) => data[0],
    () => {
      throw "plain text";
    },
  ];
  let next = 0;
  const { errors, packetIn, dispatcher } = start(
    app((...args) => (answers[next++] as (...given: never[]) => unknown)(...args)),
  );
  for (const _ of answers) packetIn();
  const at = "app mine failed at packet_in of switch 0000000000000001: ";
  expect(errors).toEqual([
    `${at}answered with OFPT_PACKET_OUT alone, not with a list of messages`,
    `${at}answered with null, not with a list of messages`,
    `${at}EncodeError: type: "OFPT_FLOWMOD" is not a type of ofp_message`,
    expect.stringMatching(
      /TypeError: Cannot read properties of undefined .* \(at \/.*dispatch\.test\.ts:\d+:\d+\)$/,
    ),
    `${at}plain text`,
  ]);
  expect([...dispatcher.failures]).toEqual([["mine", 5]]);
});

test("an app whose answers do not come is not asked for ever more; another's are unharmed", async () => {
  let asked = 0;
  const resolves: (() => void)[] = [];
  const { errors, packetIn } = start(
    app(() => {
      asked++;
      return new Promise<void>((resolve) => {
        resolves.push(resolve);
      });
    }),
  );
  for (let i = 0; i < 5000; i++) packetIn();
  expect(asked).toBe(4096);
  expect(errors).toHaveLength(904);
  expect(errors[0]).toContain("4096 answers of it are still awaited");
  for (const resolve of resolves) resolve();
  await settled();
  packetIn();
  expect(asked).toBe(4097);
});

test("it is measured what an app takes, until a promised answer is there", async () => {
  const { clock, timings, packetIn } = start(
    app(() => clock.advance(2), "passes"),
    app(async () => {
      clock.advance(30);
      return [];
    }, "answers"),
  );
  packetIn();
  await settled();
  const { passes, answers } = Object.fromEntries(timings.packetIns);
  expect([passes!.sumSeconds, answers!.sumSeconds]).toEqual([0.002, 0.03]);
  expect(answers!.counts.indexOf(1)).toBe(11);
});

test("kinds beyond those that are told apart are one together", () => {
  const timings = new Timings();
  for (let i = 0; i < 100; i++) timings.request(`kind ${i}`, 1);
  expect(timings.requests.size).toBe(65);
  expect(timings.requests.get("other")!.sumSeconds).toBe(36);
});

test("when nothing was answered for long, the app that ran then is named", () => {
  const slow = { by: 0 };
  const { clock, dispatcher, warnings, packetIn } = start(app(() => clock.now(), "slow"));
  // The timer of a loop that stands still comes late.
  const timers: (() => void)[] = [];
  let now = 0;
  const stuck = new Dispatcher(
    dispatcher.apps,
    { ...nullLog, warn: (text) => void warnings.push(text) },
    {
      clock: {
        ...{ now: () => now + slow.by, wallNow: () => 0, setTimeout: () => ({ cancel: () => {} }) },
        setInterval: (callback) => {
          timers.push(callback);
          return { cancel: () => timers.pop() };
        },
      },
    },
  );
  const end = stuck.watchStalls();
  now = 500;
  timers[0]!();
  expect(warnings).toEqual([]);
  stuck.dispatch("packet_in", new FakeSwitch([]), { match: {} } as never);
  slow.by = 2500;
  now = 1000;
  timers[0]!();
  expect(warnings).toEqual(["nothing was answered for 2.5 s; app slow ran last"]);
  end();
  expect(timers).toEqual([]);
  packetIn();
});

test("a timer of an app that throws, or rejects, is told of, and time goes on", async () => {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const log = { module: () => ({ ...nullLog, err: (text: string) => void lines.push(text) }) };
  let runs = 0;
  composeApps(
    [
      {
        definition: {
          ...{ name: "t", summary: "", settings: { type: "object" } },
          create: (_settings, { clock: own }) => {
            own.setInterval(() => {
              runs++;
              throw new Error("thrown");
            }, 100);
            own.setTimeout(async () => {
              throw new Error("rejected");
            }, 100);
            return { name: "t", events: {} };
          },
        },
      },
    ],
    { clock, log: log as never },
  );
  clock.advance(200);
  await settled();
  expect(runs).toBe(2);
  expect(lines.sort()).toEqual([
    "a timer of the app failed: rejected",
    "a timer of the app failed: thrown",
    "a timer of the app failed: thrown",
  ]);
});

test("apps read a switch's tables by their context: by what the switch lists, where no copy is kept", async () => {
  const sw = new FakeSwitch([]);
  const names: number[] = [];
  composeApps([
    {
      definition: {
        ...{ name: "t", summary: "", settings: { type: "object" } },
        create: (_settings, { tables }) => {
          void tables(sw).then(({ flowCount }) => names.push(flowCount));
          return { name: "t", events: {} };
        },
      },
    },
  ]);
  await settled();
  expect(names).toEqual([0]);
});
