import type { ApiClient, Loose } from './api-client.ts';

/** A part of JSON Schema, as the document has it. */
export type Schema = Loose;

/** One route, as `/openapi.json` tells it. */
export type Operation = {
  /** `POST /v1/apps/{app}/events` */
  name: string;
  method: string;
  path: string;
  /** `app`: of the app in the path; `caller`: of the key's own app. */
  access: 'open' | 'operator' | 'app' | 'caller';
  /** Names of the path's parameters but `app`. */
  ids: string[];
  query: { name: string; required: boolean; schema: Schema }[];
  /** Of a JSON body, with its references resolved one by one by `resolve`. */
  body: Schema | undefined;
  streams: boolean;
};

export type Operations = { all: Operation[]; resolve: (schema: Schema) => Schema };

/** Every route of the API: what is generated from them cannot forget a new one. */
export async function operationsOf(client: ApiClient): Promise<Operations> {
  const { json: document } = await client.get('/openapi.json');
  const all = Object.entries<Loose>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Loose>(methods).map(([method, operation]): Operation => {
      const parameters: Loose[] = operation.parameters ?? [];
      const content = operation.requestBody?.content ?? {};
      const params = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
      return {
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        access: accessOf(operation, params),
        ids: params.filter((name) => name !== 'app'),
        query: parameters.filter((parameter) => parameter.in === 'query'),
        body: content['application/json']?.schema,
        streams: 'application/x-ndjson' in content,
      };
    }),
  );
  const resolve = (schema: Schema): Schema => {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(schema?.$ref ?? '')?.[1];
    return name === undefined ? schema : resolve({ ...document.components.schemas[name], $id: name });
  };
  return { all, resolve };
}

function accessOf(operation: Loose, params: string[]): Operation['access'] {
  if (operation.security?.length === 0) return 'open';
  if (operation['x-access'] !== undefined) return 'operator';
  return params.includes('app') ? 'app' : 'caller';
}

/** The path with these in the places of its parameters, encoded. */
export function pathWith({ path }: Operation, params: Readonly<Record<string, string>>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
}

/** What no schema says. */
const WHOLE: Record<string, unknown> = {
  TestInput: { event_type: 'a.b', payload: 1 },
  EventInput: { type: 'a.b', payload: 1 },
};
const TEXTS = ['a.b', 'https://receiver.example/hook', 'x', '2026-01-31T12:00:00Z', 'UTC'];

/** A small value that the schema accepts: a body that gets as far as the handler. */
export function leastOf(schema: Schema, resolve: Operations['resolve']): unknown {
  const is = resolve(schema);
  if (is.$id in WHOLE) return WHOLE[is.$id];
  if (is.enum) return is.enum[0];
  if (is.const !== undefined) return is.const;
  if (is.default !== undefined) return is.default;
  const choice = is.anyOf ?? is.oneOf ?? is.allOf;
  if (choice) return leastOf(choice[0], resolve);
  if (is.type === 'object' || is.properties) {
    const required: string[] = is.required ?? [];
    return Object.fromEntries(required.map((name) => [name, leastOf(is.properties[name], resolve)]));
  }
  if (is.type === 'array') return Array.from({ length: is.minItems ?? 0 }, () => leastOf(is.items, resolve));
  if (is.type === 'integer' || is.type === 'number') return Math.max(1, is.minimum ?? 1);
  if (is.type === 'boolean') return true;
  if (is.type === 'null') return null;
  const fits = (text: string) =>
    (!is.pattern || new RegExp(is.pattern, 'u').test(text)) && text.length <= (is.maxLength ?? 1e9);
  return TEXTS.find(fits) ?? 'a';
}
