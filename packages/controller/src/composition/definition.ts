import type { Clock, Log } from "@sluice/runtime";
import type { App, Switch } from "../framework/app.js";
import type { ReadonlyTables } from "../tables/index.js";

/** What an app lets its users set: JSON Schema, of which `SettingsOf` gives the TypeScript type. */
export type SettingSchema = {
  readonly description?: string;
  readonly default?: unknown;
  /** Names of keywords beside the ones below go to the validator as they are; their type is `unknown`. */
  readonly [keyword: string]: unknown;
} & (
  | { readonly type: "boolean" }
  | { readonly type: "integer" | "number"; readonly minimum?: number; readonly maximum?: number }
  | { readonly type: "string"; readonly pattern?: string; readonly enum?: readonly string[] }
  | { readonly type: "array"; readonly items: SettingSchema }
  | SettingsSchema
  | { readonly type?: undefined }
);

/** The settings of an app as a whole, or an object among them. No other keys are taken unless
 *  `additionalProperties` says of what kind. */
export interface SettingsSchema {
  readonly type: "object";
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: SettingSchema;
  readonly [keyword: string]: unknown;
}

type Value<S> = S extends { readonly enum: readonly (infer E)[] }
  ? E
  : S extends { readonly type: "boolean" }
    ? boolean
    : S extends { readonly type: "integer" | "number" }
      ? number
      : S extends { readonly type: "string" }
        ? string
        : S extends { readonly type: "array"; readonly items: infer I }
          ? readonly Value<I>[]
          : S extends { readonly type: "object" }
            ? SettingsOf<S>
            : unknown;
type Required<S> = S extends { readonly required: readonly (infer R)[] } ? R : never;

/** The type of what a schema lets through. */
export type SettingsOf<S> = (S extends { readonly properties: infer P }
  ? { readonly [K in keyof P as K extends Required<S> ? K : never]: Value<P[K]> } & {
      readonly [K in keyof P as K extends Required<S> ? never : K]?: Value<P[K]> | undefined;
    }
  : unknown) &
  (S extends { readonly additionalProperties: infer A extends SettingSchema }
    ? { readonly [name: string]: Value<A> }
    : unknown);

/** What an app is made with, beside its settings. */
export interface AppContext {
  readonly clock: Clock;
  /** The log module of the app's name. */
  readonly log: Log;
  /** An app that stands before this one, undefined where there is none. An app that asked for another is made anew
   *  whenever that one is. */
  app<A extends App = App>(name: string): A | undefined;
  /** As many bytes that nobody can guess; in a replay those of the recording, so that what is made from them is the same. */
  random(size: number): Uint8Array;
  /** The tables, groups and meters of a connected switch, with everything that was sent to it so far and not refused:
   *  the controller's copy, which begins with the first question and is kept up to date from then on (of switches with
   *  flow monitors also with what others change), or, where there is none, what the switch lists. A `send` that was
   *  refused is not in it, nor are timeouts that the switch does not tell of until the next check. Not to be kept: ask
   *  again. Rejects as `request` does. */
  tables(dp: Switch): Promise<ReadonlyTables>;
}

/** Settings as JSON has them. */
export type Settings = Readonly<Record<string, unknown>>;

/** How an app is named, configured and made: declared by data, so that the command line, the configuration file, the
 *  help and REST need not know the app. */
export interface AppDefinition {
  readonly name: string;
  /** One line for the help. */
  readonly summary: string;
  readonly settings: SettingsSchema;
  /** Apps that must stand before it; where the list lacks one, it is put there with its default settings. */
  readonly requires?: readonly string[];
  /** Called with settings that the schema has let through. Throws a one-line Error on what the schema cannot say. */
  create(settings: Settings, context: AppContext): App;
}

/** A definition whose `create` gets its settings typed as its schema says. */
export const defineApp = <const S extends SettingsSchema>(
  definition: Omit<AppDefinition, "settings" | "create"> & {
    readonly settings: S;
    create(settings: SettingsOf<S>, context: AppContext): App;
  },
): AppDefinition => definition as AppDefinition;
