import { stringifyJson } from "@sluice/runtime";

/** The `error` tags of RFC 7047 §3.1 and §5.2 and those that ovsdb-server adds. */
export type OvsdbErrorTag =
  | "syntax error"
  | "unknown column"
  | "unknown database"
  | "unknown mutator"
  | "unknown function"
  | "constraint violation"
  | "referential integrity violation"
  | "domain error"
  | "range error"
  | "duplicate uuid-name"
  | "duplicate uuid"
  | "timed out"
  | "not owner"
  | "aborted"
  | "canceled"
  | "not supported"
  | "invalid parameters"
  | "not allowed"
  | "permission error"
  | "resources exhausted"
  | "I/O error"
  | "ovsdb error"
  | "unknown monitor"
  | "duplicate monitor ID";

/** A refusal as RFC 7047 `<error>`: what goes back to the client, never a crash. */
export class OvsdbError extends Error {
  readonly tag: OvsdbErrorTag | string;
  readonly details: string;
  /** The offending JSON, as compact text. */
  readonly syntax: string | undefined;

  constructor(tag: OvsdbErrorTag | string, details: string, syntax?: unknown) {
    super(`${tag}: ${details}`);
    this.name = "OvsdbError";
    this.tag = tag;
    this.details = details;
    this.syntax = syntax === undefined ? undefined : stringifySorted(syntax);
  }

  toJson(): { details: string; error: string; syntax?: string } {
    const json = { details: this.details, error: this.tag as string };
    return this.syntax === undefined ? json : { ...json, syntax: this.syntax };
  }
}

export const syntaxError = (details: string, json?: unknown): OvsdbError =>
  new OvsdbError("syntax error", details, json);

/** Compact JSON with the members of every object in order, as ovsdb-server prints it. */
export const stringifySorted = (json: unknown): string => stringifyJson(sortMembers(json));

export const sortMembers = (json: unknown): unknown => {
  if (Array.isArray(json)) return json.map(sortMembers);
  if (json === null || typeof json !== "object") return json;
  return Object.fromEntries(
    Object.entries(json)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => [key, sortMembers(value)]),
  );
};

/** A JSON object, not an array and not null. */
export const isObject = (json: unknown): json is Record<string, unknown> =>
  typeof json === "object" && json !== null && !Array.isArray(json);
