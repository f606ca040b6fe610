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
  readonly #apps: readonly App[];
  readonly #log: Log;
  readonly #steps = new Map<EventName, readonly Step[]>();
  #failures = 0;

  constructor(apps: readonly App[], log: Log) {
    this.#apps = apps;
    this.#log = log;
    const names = new Set(apps.flatMap((app) => Object.keys(app.events) as EventName[]));
    for (const name of names) {
      const steps = apps.filter((app) => app.events[name] !== undefined);
      this.#steps.set(
        name,
        steps.map((app) => ({ app, handle: app.events[name] as Handler })),
      );
    }
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
        if (messages !== undefined) sendAll(dp, messages as readonly OfMessageInit[]);
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

function sendAll(dp: Switch, messages: readonly OfMessageInit[]): void {
  for (let i = 0; i < messages.length; i++) dp.send(messages[i]!);
}
