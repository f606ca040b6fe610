// Hot path: `dispatch` runs for each packet-in.
import type { OfMessageInit } from "@sluice/openflow-codec";
import type { Log } from "@sluice/runtime";
import { EventEmitter } from "eventemitter3";
import type { App, AppEvents, Switch } from "./app.js";

type EventName = keyof AppEvents;
type Arguments<N extends EventName> = Parameters<AppEvents[N]> extends [Switch, ...infer Rest] ? Rest : never;
type Handler = (dp: Switch, detail: unknown) => unknown;

/** The same events for who only watches (the log, a screen, a test): nothing that a listener returns is sent. */
export type ControllerEvents = { [N in EventName]: (...args: Parameters<AppEvents[N]>) => void };

interface Step {
  app: App;
  handle: Handler;
}

/** Hands events to the apps in their order, sends what they answer, and keeps one app's failure from the rest. */
export class Dispatcher {
  readonly watchers = new EventEmitter<ControllerEvents>();
  readonly #log: Log;
  #apps: readonly App[] = [];
  #steps = new Map<EventName, readonly Step[]>();
  #failures = 0;

  constructor(apps: readonly App[], log: Log) {
    this.#log = log;
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
        this.#log.err(`app ${app.name} failed to stop: ${(error as Error).message}`);
      }
    }
    for (const app of came) this.#tellOne("datapath_up", app, switches);
  }

  #setApps(apps: readonly App[]): void {
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

  /** Handlers that threw or rejected so far. */
  get failures(): number {
    return this.#failures;
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
      this.#failed(name, "watcher", dp, error);
    }
  }

  #run(name: EventName, steps: readonly Step[], dp: Switch, detail: unknown): void {
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      try {
        const answer = step.handle(dp, detail);
        if (answer === undefined) continue;
        if (answer instanceof Promise) this.#later(name, step.app, dp, answer);
        else sendAll(dp, answer as readonly OfMessageInit[]);
        if (name === "packet_in") return;
      } catch (error) {
        this.#failed(name, `app ${step.app.name}`, dp, error);
      }
    }
  }

  #later(name: EventName, app: App, dp: Switch, answer: Promise<unknown>): void {
    answer
      .then((messages) => {
        if (messages === undefined) return;
        if (this.#apps.includes(app) || name === "datapath_release")
          sendAll(dp, messages as readonly OfMessageInit[]);
      })
      .catch((error) => this.#failed(name, `app ${app.name}`, dp, error));
  }

  #failed(name: EventName, who: string, dp: Switch, error: unknown): void {
    this.#failures++;
    const text =
      error instanceof Error ? (this.#log.enabled("dbg") ? error.stack : error.message) : String(error);
    this.#log.err(`${who} failed at ${name} of switch ${dp.id}: ${text}`);
  }
}

const stepOf =
  (name: EventName) =>
  (app: App): Step => ({ app, handle: app.events[name] as Handler });

function sendAll(dp: Switch, messages: readonly OfMessageInit[]): void {
  for (let i = 0; i < messages.length; i++) dp.send(messages[i]!);
}
