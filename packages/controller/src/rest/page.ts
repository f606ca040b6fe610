import type { OpenApi } from "./openapi.js";

/** The document as a page to read: every route with its parameters, bodies and a curl line. It needs no script. */

interface Operation {
  readonly tags: readonly string[];
  readonly summary: string;
  readonly parameters: readonly { name: string; in: string; description?: string }[];
  readonly requestBody?: { content: Record<string, { schema: Schema }> };
  readonly responses: Readonly<
    Record<string, { description: string; content?: Record<string, { schema: Schema }> }>
  >;
}
interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly $ref?: string;
}

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
summary{cursor:pointer;padding:.2rem 0}summary b{display:inline-block;width:4.5rem;font-size:.8rem}
.GET{color:#06c}.POST{color:#080}.PUT{color:#a60}.DELETE{color:#b00}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f4f4f4;padding:.6rem;overflow-x:auto}
details>div{margin:0 0 1rem 4.8rem}td,th{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}pre{background:#222}.GET{color:#6bf}.POST{color:#6c6}.DELETE{color:#f77}a{color:#8af}}`;

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);

/** A schema as the JSON that it describes: types in the places of values. */
function outline(schema: Schema, indent = ""): string {
  const deeper = `${indent}  `;
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map((one) => outline(one, indent)).join(" | ");
  if (schema.items) return `[${outline(schema.items, indent)}, …]`;
  const { properties, required = [], additionalProperties } = schema;
  if (properties) {
    const lines = Object.entries(properties).map(
      ([name, of]) =>
        `${deeper}"${name}": ${outline(of, deeper)}${required.includes(name) ? "  (required)" : ""}`,
    );
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  if (typeof additionalProperties === "object")
    return `{ NAME: ${outline(additionalProperties, indent)}, … }`;
  return [schema.type ?? "any"].flat().join(" or ");
}

function curl(method: string, path: string, { requestBody }: Operation): string {
  const verb = method === "GET" ? "" : `-X ${method} `;
  const body = requestBody ? "-d '{…}' " : "";
  return `curl ${verb}${body}http://localhost:8080${path}`;
}

function operation(method: string, path: string, row: Operation): string {
  const parameters = row.parameters.map(
    ({ name, in: place, description = "" }) =>
      `<tr><td><code>${name}</code></td><td>${place}</td><td>${escapeHtml(description)}</td></tr>`,
  );
  const schemas = (content: Record<string, { schema: Schema }> | undefined): string =>
    Object.values(content ?? {})
      .map(({ schema }) => `<pre>${escapeHtml(outline(schema))}</pre>`)
      .join("");
  const [[status = "", success] = []] = Object.entries(row.responses);
  return `<details><summary><b class="${method}">${method}</b><code>${escapeHtml(path)}</code> ${escapeHtml(row.summary)}</summary><div>
<pre>${escapeHtml(curl(method, path, row))}</pre>
${parameters.length > 0 ? `<table>${parameters.join("")}</table>` : ""}
${row.requestBody ? `<p>Body</p>${schemas(row.requestBody.content)}` : ""}
<p>${status}: ${escapeHtml(success?.description ?? "")}</p>${schemas(success?.content)}
</div></details>`;
}

export function page({ info, paths }: OpenApi): string {
  const byTag = new Map<string, string[]>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, row] of Object.entries(methods) as [string, Operation][]) {
      const tag = row.tags[0] ?? "";
      byTag.set(tag, [...(byTag.get(tag) ?? []), operation(method.toUpperCase(), path, row)]);
    }
  }
  const sections = [...byTag].map(([tag, rows]) => `<h2>${escapeHtml(tag)}</h2>${rows.join("\n")}`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(info.title)}</title><style>${STYLE}</style>
<h1>${escapeHtml(info.title)}</h1>
<p>A write is answered once the switch has confirmed it. A refusal has a JSON body with <code>error</code>, one line; where a
field is wrong also <code>field</code>, where the switch refused also <code>error_type</code> and <code>error_code</code>.
The same as <a href="/openapi.json">OpenAPI 3.1</a>.</p>
${sections.join("\n")}
</html>
`;
}
