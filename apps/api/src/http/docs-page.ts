type Json = Record<string, unknown>;
type Operation = {
  tags: string[];
  operationId: string;
  summary: string;
  description?: string;
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema: Json }[];
  requestBody?: { content: Record<string, { schema: Json }> };
  responses: Record<string, { description?: string; content?: Record<string, { schema: Json }> }>;
  'x-access'?: string;
};

/** The stylesheet of the page, served beside it. */
export const DOCS_CSS = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#0b57d0, #8ab4f8); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; }
.page { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: .875rem; }
nav ul { list-style: none; margin: .25rem 0 1rem; padding: 0; }
nav a { display: block; padding: .2rem .5rem; color: inherit; text-decoration: none; border-radius: 4px; }
nav a:hover { background: var(--soft); }
main { max-width: 56rem; padding: 1.5rem 2rem 6rem; }
h1 { margin: 0; } h2 { margin: 3rem 0 0; border-bottom: 1px solid var(--line); }
article { margin: 1.5rem 0; padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: 8px; scroll-margin-top: 1rem; }
article h3 { margin: 0 0 .25rem; }
.route { font: 600 .9rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4.2em; padding: .1em .5em; border-radius: 4px; background: var(--accent); color: light-dark(#fff, #000); text-align: center; }
table { width: 100%; border-collapse: collapse; margin: .5rem 0; font-size: .9rem; }
th, td { padding: .35rem .5rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } td:first-child { width: 34%; }
code, pre { font-family: ui-monospace, monospace; font-size: .85em; }
pre { overflow: auto; padding: .75rem; background: var(--soft); border-radius: 6px; }
a { color: var(--accent); } .soft { opacity: .7; } .required { color: light-dark(#b3261e, #f2b8b5); font-size: .8em; }
@media (max-width: 50rem) { .page { display: block; } nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line); columns: 2; } main { padding: 1rem; } }
`;

/** The API reference as one page without scripts, from the OpenAPI document. */
export function docsPage(document: Json): string {
  const { info, paths, components } = document as {
    info: { title: string; description: string; version: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, Json> };
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const groups = [...Map.groupBy(operations, ({ operation }) => operation.tags[0] ?? 'Other')];
  const index = groups.map(
    ([tag, list]) =>
      `<strong>${text(tag)}</strong><ul>${list
        .map(({ operation }) => `<li><a href="#${operation.operationId}">${text(operation.summary)}</a></li>`)
        .join('')}</ul>`,
  );
  const sections = groups.map(
    ([tag, list]) =>
      `<h2>${text(tag)}</h2>${list.map(({ path, method, operation }) => article(path, method, operation)).join('')}`,
  );
  const schemas = Object.entries(components.schemas).sort(([a], [b]) => a.localeCompare(b));
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(info.title)} API</title><link rel="stylesheet" href="/docs/style.css"></head><body><div class="page">
<nav aria-label="Routes">${index.join('')}<strong><a href="#schemas">Schemas</a></strong></nav>
<main><h1>${text(info.title)} API <small class="soft">${text(info.version)}</small></h1><p>${prose(info.description)}</p>
<p>Send a key with every request: <code>Authorization: Bearer KEY</code>. In the curl lines <code>$KEY</code> is that key, and <code>$SEALPOST</code> the address of this API. For tools: <a href="/openapi.json">openapi.json</a>.</p>
${sections.join('')}<h2 id="schemas">Schemas</h2>${schemas.map(([name, schema]) => schemaArticle(name, schema)).join('')}
</main></div></body></html>`;
}

function article(path: string, method: string, operation: Operation): string {
  const open = operation.security?.length === 0 ? ' <span class="soft">no key needed</span>' : '';
  const operators = operation['x-access'] ? `<p class="soft">${text(operation['x-access'])}</p>` : '';
  const parameters = (operation.parameters ?? []).map((parameter) =>
    row(
      parameter.name,
      `${parameter.in}, ${typeOf(parameter.schema)}`,
      parameter.required,
      parameter.description,
    ),
  );
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) =>
    row('body', `${text(type)}, ${typeOf(schema)}`, type === 'application/json', undefined),
  );
  const rows = [...parameters, ...bodies];
  const answers = Object.entries(operation.responses).map(([status, { description, content }]) => {
    const schema = Object.values(content ?? {})[0]?.schema;
    const problem = status === 'default';
    return row(
      problem ? 'otherwise' : status,
      problem ? '<a href="#schema-Problem">Problem</a>' : schema ? typeOf(schema) : 'no body',
      false,
      description,
    );
  });
  return `<article id="${operation.operationId}"><h3>${text(operation.summary)}</h3>
<p class="route"><span class="method">${method.toUpperCase()}</span> ${text(path)}${open}</p>
${operation.description ? `<p>${prose(operation.description)}</p>` : ''}${operators}
${rows.length > 0 ? `<h4>Request</h4><table>${rows.join('')}</table>` : ''}
<h4>Answers</h4><table>${answers.join('')}</table>
<details><summary>curl</summary><pre>${text(curl(path, method, operation))}</pre></details></article>`;
}

function curl(path: string, method: string, operation: Operation): string {
  const lines = [`curl -X ${method.toUpperCase()} "$SEALPOST${path.replace('{app}', 'default')}"`];
  if (operation.security?.length !== 0) lines.push('  -H "Authorization: Bearer $KEY"');
  if (operation.requestBody) lines.push('  -H "Content-Type: application/json" -d @body.json');
  return lines.join(' \\\n');
}

function schemaArticle(name: string, schema: Json): string {
  const properties = (schema.properties ?? {}) as Record<string, Json>;
  const required = (schema.required ?? []) as string[];
  const rows = Object.entries(properties).map(([field, value]) =>
    row(
      field,
      typeOf(value),
      required.includes(field),
      value.description as string | undefined,
      value.default,
    ),
  );
  return `<article id="schema-${name}"><h3>${text(name)}</h3>${
    schema.description ? `<p>${prose(String(schema.description))}</p>` : ''
  }${rows.length > 0 ? `<table>${rows.join('')}</table>` : `<p>${typeOf(schema)}</p>`}</article>`;
}

function row(
  name: string,
  type: string,
  required: boolean | undefined,
  description?: string,
  preset?: unknown,
): string {
  const mark = required ? ' <span class="required">required</span>' : '';
  const fallback =
    preset === undefined ? '' : ` <span class="soft">default ${text(JSON.stringify(preset))}</span>`;
  return `<tr><td><code>${text(name)}</code>${mark}</td><td><span class="soft">${type}</span>${fallback}${
    description ? `<br>${prose(description)}` : ''
  }</td></tr>`;
}

/** A schema in a few words, as HTML. */
function typeOf(schema: Json): string {
  if (typeof schema.$ref === 'string') {
    const name = schema.$ref.split('/').at(-1)!;
    return `<a href="#schema-${name}">${text(name)}</a>`;
  }
  if (Array.isArray(schema.enum))
    return schema.enum.map((value) => `<code>${text(JSON.stringify(value))}</code>`).join(' | ');
  if (schema.const !== undefined) return `<code>${text(JSON.stringify(schema.const))}</code>`;
  const choices = (schema.anyOf ?? schema.oneOf) as Json[] | undefined;
  if (choices) return choices.map(typeOf).join(' or ');
  if (schema.type === 'array') return `list of ${typeOf((schema.items as Json | undefined) ?? {})}`;
  if (schema.type === 'object' && schema.properties) {
    return `{ ${Object.entries(schema.properties as Record<string, Json>)
      .map(([name, value]) => `${text(name)}: ${typeOf(value)}`)
      .join(', ')} }`;
  }
  if (schema.type === undefined) return 'any JSON value';
  const bounds = [
    schema.minimum !== undefined && `≥ ${schema.minimum}`,
    schema.maximum !== undefined && Number(schema.maximum) < 1e15 && `≤ ${schema.maximum}`,
    schema.maxLength !== undefined && `≤ ${schema.maxLength} characters`,
  ].filter(Boolean);
  return text([String(schema.type), ...bounds].join(', '));
}

/** Text with `code` in backquotes. */
function prose(markdown: string): string {
  return text(markdown).replace(/`([^`]+)`/g, '<code>$1</code>');
}

function text(value: string): string {
  return value.replace(
    /[&<>"]/g,
    (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char]!,
  );
}
