import type { JsonSchema, Route } from "./route.js";

const OPENAPI_VERSION = "3.1.0";
const json = (schema: JsonSchema): object => ({ "application/json": { schema } });

const problem: JsonSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: { type: "string", description: "What is wrong, in one line." },
    field: { type: "string", description: "The field or parameter that is wrong." },
    error_type: { type: ["string", "integer"], description: "The type of the switch's OFPT_ERROR." },
    error_code: { type: ["string", "integer"] },
  },
};

const problems = {
  "400": "A field is wrong, or the switch calls the request wrong",
  "401": "A token is asked for",
  "403": "A page of another site, or a Host that is not ours",
  "404": "No such route, switch or port",
  "409": "The switch refuses, as things stand",
  "504": "The switch did not answer",
};
const failures = Object.fromEntries(
  Object.entries(problems).map(([status, description]) => [
    status,
    { description, content: json({ $ref: "#/components/schemas/Problem" }) },
  ]),
);

/** What the document says of a route; of some, which are served otherwise, it is all that there is. */
export interface Described extends Omit<Route, "handle"> {
  /** Of the answer, where it is not JSON. */
  readonly answerType?: string;
}

const parametersOf = ({ path, query = {} }: Described): object[] => [
  ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  })),
  ...Object.entries(query).map(([name, description]) => ({
    name,
    in: "query",
    description,
    schema: { type: "string" },
  })),
];

function successOf({ answer, answerType, status = 200 }: Described): object {
  if (answerType !== undefined)
    return {
      [status]: { description: "The answer", content: { [answerType]: { schema: { type: "string" } } } },
    };
  if (answer === undefined) return { [status]: { description: "Done; the switch has confirmed it" } };
  return { [status]: { description: "The answer", content: json(answer) } };
}

const operationId = ({ method, path }: Described): string =>
  `${method.toLowerCase()}${path.replace(/[{}]/g, "").replace(/[^a-zA-Z0-9]+/g, "_")}`;

const operation = (route: Described): object => ({
  operationId: operationId(route),
  tags: [route.tag],
  summary: route.summary,
  parameters: parametersOf(route),
  ...(route.body !== undefined && { requestBody: { content: json(route.body) } }),
  responses: {
    ...successOf(route),
    ...failures,
  },
});

export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly license: object };
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
  readonly components: object;
  readonly security: readonly object[];
}

/** The document of the routes (OpenAPI 3.1). */
export function openApi(routes: readonly Described[]): OpenApi {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: OPENAPI_VERSION,
    info: { title: "Sluice controller", version: "1.0", license: { name: "MIT", identifier: "MIT" } },
    paths,
    components: {
      schemas: { Problem: problem },
      securitySchemes: { token: { type: "http", scheme: "bearer", description: "With --rest-token" } },
    },
    security: [{}, { token: [] }],
  };
}
