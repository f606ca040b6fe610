// Hot path: `dispatch` runs for each packet-in.
import type { OfMessageInit } from "@sluice/openflow-codec";
import type { Clock, Log, Timer } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import type { App, AppEvents, Switch } from "./app.js";
import type { Timings } from "./timings.js";

type EventName = keyof AppEvents;
type Arguments<N extends EventName> = Parameters<AppEvents[N]> extends [Switch, ...infer Rest] ? Rest : never;
type Handler = (dp: Switch, detail: unknown) => unknown;

/** The same events for who only watches (the log, a screen, a test): nothing that a listener returns is sent. */
export type ControllerEvents = { [N in EventName]: (...args: Parameters<AppEvents[N]>) => void };

interface Step {
  app: App;
  handle: Handler;
  /** Shared by the app's handlers. */
  awaited: { count: number };
}

export interface DispatcherOptions {
  clock: Clock;
  /** Where it is written down how long apps take for packet-ins. */
  timings?: Timings | undefined;
}

/** Promised answers of an app that are waited for; with as many outstanding it is not asked. */
const MAX_PENDING = 4096;
/** Event loops that stand still for longer are told of. */
const STALL_MS = 1000;

/** Hands events to the apps in their order, sends what they answer, and keeps one app's failure from the rest. */
export class Dispatcher {
  readonly watchers = new EventEmitter<ControllerEvents>();
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #timings: Timings | undefined;
  #apps: readonly App[] = [];
  #steps = new Map<EventName, readonly Step[]>();
  readonly #failures = new Map<string, number>();
  /** The handler that was called last. */
  #last: Step | undefined;
  #watch: Timer | undefined;

  /** Throws a one-line Error for an app that is none. */
  constructor(apps: readonly App[], log: Log, { clock, timings }: DispatcherOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#timings = timings;
    this.#setApps(apps);
  }

  /** Goes on with another list. Switches that are up stay so: they are released by the apps that went and introduced to
   *  the apps that came; an app in both lists notices nothing. */
  replaceApps(apps: readonly App[], switches: readonly Switch[]): void {
    const before = this.#apps;
    this.#setApps(apps);
    const gone = before.filter((app) => !apps.includes(app));
    const came = apps.filter((app) => !before.includes(app));
    for (const app of gone) {
      if (!came.some(({ name }) => name === app.name)) this.#tellOne("datapath_release", app, switches);
      try {
        app.stop?.();
      } catch (error) {
        this.#log.err(`app ${app.name} failed to stop: ${describe(error)}`);
      }
    }
    for (const app of came) this.#tellOne("datapath_up", app, switches);
  }

  #setApps(apps: readonly App[]): void {
    for (const app of apps) checkApp(app);
    this.#apps = apps;
    this.#steps = new Map();
    const names = new Set(apps.flatMap((app) => Object.keys(app.events) as EventName[]));
    for (const name of names) {
      const steps = apps.filter((app) => app.events[name] !== undefined);
      this.#steps.set(name, steps.map(stepOf(name)));
    }
  }

  #tellOne(name: "datapath_release" | "datapath_up", app: App, switches: readonly Switch[]): void {
    if (app.events[name] === undefined) return;
    for (const dp of switches) this.#run(name, [stepOf(name)(app)], dp, undefined);
  }

  get apps(): readonly App[] {
    return this.#apps;
  }

  /** Handlers that threw or rejected so far, by app. */
  get failures(): ReadonlyMap<string, number> {
    return this.#failures;
  }

  /** Tells in the log when everything had to wait for long, and what ran then. Gives what ends that. */
  watchStalls(): () => void {
    const period = STALL_MS / 2;
    let expected = this.#clock.now() + period;
    this.#watch = this.#clock.setInterval(() => {
      const now = this.#clock.now();
      const late = now - expected;
      expected = now + period;
      const app = this.#last?.app.name;
      const who = app === undefined ? "" : `; app ${app} ran last`;
      if (late > STALL_MS) this.#log.warn(`nothing was answered for ${(late / 1000).toFixed(1)} s${who}`);
      this.#last = undefined;
    }, period);
    return () => this.#watch?.cancel();
  }

  dispatch<N extends EventName>(name: N, dp: Switch, ...detail: Arguments<N>): void {
    const steps = this.#steps.get(name);
    if (steps !== undefined) this.#run(name, steps, dp, detail[0]);
    if (this.watchers.listenerCount(name) > 0) this.#tell(name, dp, detail[0]);
  }

  #tell(name: EventName, dp: Switch, detail: unknown): void {
    try {
      (this.watchers as unknown as EventEmitter).emit(name, dp, detail);
    } catch (error) {
      this.#failed(name, undefined, dp, error);
    }
  }

  #run(name: EventName, steps: readonly Step[], dp: Switch, detail: unknown): void {
    const timings = name === "packet_in" ? this.#timings : undefined;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      this.#last = step;
      const started = timings === undefined ? 0 : this.#clock.now();
      try {
        if (step.awaited.count >= MAX_PENDING)
          throw new Error(`${MAX_PENDING} answers of it are still awaited`);
        const answer = step.handle(dp, detail);
        if (answer instanceof Promise) {
          const ends = timings === undefined ? undefined : () => this.#took(step.app, started);
          this.#later(name, step, dp, answer, ends);
        } else if (timings !== undefined) this.#took(step.app, started);
        if (answer === undefined) continue;
        if (!(answer instanceof Promise)) sendAll(dp, answer);
        if (name === "packet_in") return;
      } catch (error) {
        this.#failed(name, step.app, dp, error);
      }
    }
  }

  #took({ name }: App, started: number): void {
    this.#timings?.packetIn(name, (this.#clock.now() - started) / 1000);
  }

  #later(
    name: EventName,
    { app, awaited }: Step,
    dp: Switch,
    answer: Promise<unknown>,
    ends?: () => void,
  ): void {
    awaited.count++;
    answer
      .then((messages) => {
        if (messages === undefined) return;
        if (this.#apps.includes(app) || name === "datapath_release") sendAll(dp, messages);
      })
      .catch((error) => this.#failed(name, app, dp, error))
      .finally(() => {
        awaited.count--;
        ends?.();
      });
  }

  #failed(name: EventName, app: App | undefined, dp: Switch, error: unknown): void {
    const who = app?.name ?? "watcher";
    this.#failures.set(who, (this.#failures.get(who) ?? 0) + 1);
    const text = this.#log.enabled("dbg") && error instanceof Error ? error.stack : describe(error);
    this.#log.err(`${app === undefined ? who : `app ${who}`} failed at ${name} of switch ${dp.id}: ${text}`);
  }
}

const stepOf =
  (name: EventName) =>
  (app: App): Step => ({ app, handle: app.events[name] as Handler, awaited: awaitedOf(app) });

const awaited = new WeakMap<App, { count: number }>();
/** How many promised answers of an app have not come yet. */
function awaitedOf(app: App): { count: number } {
  let counted = awaited.get(app);
  if (counted === undefined) {
    counted = { count: 0 };
    awaited.set(app, counted);
  }
  return counted;
}

function sendAll(dp: Switch, answer: unknown): void {
  if (!Array.isArray(answer)) throw new Error(`answered with ${kindOf(answer)}, not with a list of messages`);
  const messages: readonly OfMessageInit[] = answer;
  for (let i = 0; i < messages.length; i++) dp.send(messages[i]!);
}

const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null && "type" in value
    ? `${String(value.type)} alone`
    : value === null
      ? "null"
      : `a value of type ${typeof value}`;

const ANY_EVENT: Readonly<Record<EventName, true>> = {
  datapath_up: true,
  datapath_down: true,
  datapath_release: true,
  packet_in: true,
  port_status: true,
  flow_removed: true,
  error: true,
  other: true,
};

/** Throws a one-line Error for what is no app: TypeScript says it of a literal, and nobody of JavaScript. */
export function checkApp(app: unknown): asserts app is App {
  const { name, events } = (app ?? {}) as Partial<App>;
  if (typeof name !== "string") throw new Error("the app has no name");
  if (typeof events !== "object" || events === null) throw new Error(`app ${name} has no events`);
  for (const [event, handle] of Object.entries(events)) {
    if (!Object.hasOwn(ANY_EVENT, event))
      throw new Error(
        `app ${name}: there is no event ${event}; there are ${Object.keys(ANY_EVENT).join(", ")}`,
      );
    if (handle !== undefined && typeof handle !== "function")
      throw new Error(`app ${name}: events.${event} is no function`);
  }
}

/** An error in one line: what, and where it came from. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const what = `${error.name === "Error" ? "" : `${error.name}: `}${error.message.split("\n")[0]}`;
  const place = /\(?((?:file:\/\/)?\/[^\s()]+:\d+:\d+)\)?$/m.exec(error.stack ?? "")?.[1];
  return isAboutCode(error) && place !== undefined
    ? `${what} (at ${place.replace(/^file:\/\//, "").replace(/\?version=[^:]*/, "")})`
    : what;
}

/** A mistake in a program, rather than what the program was told. */
const isAboutCode = (error: Error): boolean =>
  error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
