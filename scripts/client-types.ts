/** A part of an OpenAPI document, or of a schema in it. */
// biome-ignore lint/suspicious/noExplicitAny: JSON Schema has too many shapes to name for what is read of it
type Json = any;

/** What a producer says and is told. */
const ROOTS = ['EventInput', 'PublishedEvent', 'BatchResult', 'Problem'];
const WIDTH = 110;

/**
 * The types of `@sealpost/client`, as TypeScript's text: made from the document that the API gives of itself, so that the
 * client needs none of its packages and cannot differ from it.
 * @param document of `/openapi.json`
 */
export function clientTypes(document: Json, errorCodes: string[]): string {
  const schemas: Record<string, Json> = document.components.schemas;
  const names = withReferences(ROOTS, schemas);
  const types = names.map((name) => {
    const schema = schemas[name];
    return `${comment(schema.description, '')}export type ${name} = ${typeOf(schema, '')};`;
  });
  const codes = errorCodes.map((code) => `\n  | '${code}'`).join('');
  return [
    '// Made by `npm run client-types` from what the API says of itself in /openapi.json: do not edit.',
    ...types,
    `/** The \`code\` of a problem. */\nexport type ApiErrorCode =${codes};`,
    '',
  ].join('\n\n');
}

function withReferences(roots: string[], schemas: Record<string, Json>): string[] {
  const names = new Set(roots);
  for (const name of names) {
    const text = JSON.stringify(schemas[name]);
    for (const [, referred] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) names.add(referred!);
  }
  return [...names].sort();
}

function typeOf(schema: Json, indent: string): string {
  if (schema === true || schema === undefined) return 'unknown';
  if (schema.$ref) return schema.$ref.split('/').at(-1);
  if (schema.const !== undefined) return literal(schema.const);
  if (schema.enum) return schema.enum.map(literal).join(' | ');
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) return [...new Set(choice.map((each: Json) => typeOf(each, indent)))].join(' | ');
  if (Array.isArray(schema.type)) {
    return schema.type.map((type: string) => typeOf({ ...schema, type }, indent)).join(' | ');
  }
  switch (schema.type) {
    case 'object':
      return objectType(schema, indent);
    case 'array':
      return `Array<${typeOf(schema.items, indent)}>`;
    case 'integer':
      return 'number';
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return schema.type;
    case undefined:
      return 'unknown';
    default:
      throw new TypeError(`a schema of type ${schema.type} has no type yet`);
  }
}

function objectType(schema: Json, indent: string): string {
  if (!schema.properties) return `Record<string, ${typeOf(schema.additionalProperties, indent)}>`;
  const inner = `${indent}  `;
  const required = new Set(schema.required ?? []);
  const members = Object.entries<Json>(schema.properties).map(([name, member]) => {
    const type = typeOf(member, inner);
    // An optional one may be given as undefined: JSON leaves it out.
    const rest = required.has(name) ? `: ${type}` : `?: ${type} | undefined`;
    return `${comment(member.description, inner)}${inner}${name}${rest};\n`;
  });
  return `{\n${members.join('')}${indent}}`;
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}

function comment(description: string | undefined, indent: string): string {
  if (!description) return '';
  const line = `${indent}/** ${description} */`;
  if (line.length <= WIDTH) return `${line}\n`;
  const lines = [''];
  for (const word of description.split(' ')) {
    const last = lines.at(-1)!;
    if (last && `${indent} * ${last} ${word}`.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return `${indent}/**\n${lines.map((text) => `${indent} * ${text}\n`).join('')}${indent} */\n`;
}
