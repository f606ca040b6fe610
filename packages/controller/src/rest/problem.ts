import { EncodeError } from "@sluice/openflow-codec";
import { OfpRequestError } from "../framework/requests.js";

/** An answer that is not a success: an HTTP status and a JSON body with `error`, in one line. */
export class Problem extends Error {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;

  constructor(status: number, error: string, more: Readonly<Record<string, unknown>> = {}) {
    super(error);
    this.status = status;
    this.body = { error, ...more };
  }
}

/** What is wrong with which field of a body or parameter: 400. */
export const badField = (field: string, what: string): Problem =>
  new Problem(400, `${field} ${what}`, { field });

/** Error types for what is wrong with the request by itself; the others are about the state of the switch. */
const BAD_REQUESTS: ReadonlySet<unknown> = new Set([
  "OFPET_BAD_REQUEST",
  "OFPET_BAD_ACTION",
  "OFPET_BAD_INSTRUCTION",
  "OFPET_BAD_MATCH",
]);
const ABOUT_STATE: ReadonlySet<unknown> = new Set(["OFPBRC_IS_SLAVE", "OFPBRC_EPERM"]);

/** What a failed request to a switch is to the client: the switch's refusal 400 or 409, no answer 504. */
export function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error;
  if (error instanceof OfpRequestError) {
    const { error_type, error_code } = error;
    const status = BAD_REQUESTS.has(error_type) && !ABOUT_STATE.has(error_code) ? 400 : 409;
    return new Problem(status, error.message, { error_type, error_code });
  }
  if (error instanceof EncodeError) return badField(error.path, error.detail);
  return undefined;
}

const isOurFault = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;

/** What is to be thrown for an error of a request to a switch. A switch that is gone, slow or overloaded rejects with a
 *  plain Error. */
export function switchProblem(error: unknown): unknown {
  if (isOurFault(error)) return error;
  return problemOf(error) ?? new Problem(504, error instanceof Error ? error.message : String(error));
}

interface SchemaError {
  instancePath: string;
  keyword: string;
  message?: string | undefined;
  params: Record<string, unknown>;
}

/** The first thing that a schema found wrong, as a problem that names the field. */
export function schemaProblem([first]: readonly SchemaError[], where: string): Problem {
  const segments = (first?.instancePath ?? "").split("/").slice(1);
  if (first?.keyword === "required") segments.push(String(first.params.missingProperty));
  const field = segments.reduce(
    (path, segment) =>
      /^\d+$/.test(segment) ? `${path}[${segment}]` : path ? `${path}.${segment}` : segment,
    "",
  );
  const what = first?.keyword === "required" ? "is missing" : (first?.message ?? "is not allowed");
  return badField(field || where, what);
}
