import type { ErrorObject } from "ajv";
import type { SettingsSchema } from "./definition.js";

/** Checks settings against an app's schema. Throws a one-line Error that names the path below `where`
 *  ("conf.json: apps[1].settings"). The validator is loaded only when there is something to check. */
export async function checkSettings(schema: SettingsSchema, settings: unknown, where: string): Promise<void> {
  const { Ajv } = await import("ajv");
  const ajv = new Ajv({ allowUnionTypes: true, strict: false });
  const validate = ajv.compile(closed(schema) as object);
  if (validate(settings)) return;
  throw new Error(explain(validate.errors![0]!, where));
}

/** The schema with `additionalProperties: false` in every object that does not say otherwise: a misspelt setting is an
 *  error, not a setting without effect. */
function closed(schema: unknown): unknown {
  if (typeof schema !== "object" || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(closed);
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  const isObject =
    copy.type === "object" && (copy.properties !== undefined || !("patternProperties" in copy));
  return isObject ? { additionalProperties: false, ...copy } : copy;
}

/** One error of the validator, for people. */
export function explain(error: ErrorObject, where: string): string {
  const steps = error.instancePath.split("/").slice(1);
  const params = error.params as Readonly<Record<string, unknown>>;
  if (error.keyword === "additionalProperties") steps.push(String(params.additionalProperty));
  if (error.keyword === "required") steps.push(String(params.missingProperty));
  const path = steps.map((step) => (/^\d+$/.test(step) ? `[${step}]` : `.${plainStep(step)}`)).join("");
  return `${where}${path} ${reason(error, params)}`;
}

function reason({ keyword, message }: ErrorObject, params: Readonly<Record<string, unknown>>): string {
  if (keyword === "additionalProperties") return "is not known here";
  if (keyword === "required") return "is missing";
  if (keyword === "enum") return `must be one of ${(params.allowedValues as unknown[]).join(", ")}`;
  return message ?? "is not allowed";
}

const plainStep = (step: string): string => step.replaceAll("~1", "/").replaceAll("~0", "~");
