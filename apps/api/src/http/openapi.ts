import { appId } from '@sealpost/core';
import { z } from 'zod';
import { problemAnswer } from './problem.ts';
import { APP_HEADER, type Route } from './route.ts';

type Json = Record<string, unknown>;

const REF = (id: string) => `#/components/schemas/${id}`;

/** What a path parameter is. */
const PARAMETERS: Record<string, { schema: Json; description: string }> = {
  app: { schema: inline(appId, 'input'), description: 'The app.' },
  endpoint: { schema: { type: 'string' }, description: 'Id of the endpoint: `ep_…`.' },
  event: { schema: { type: 'string' }, description: "Id of the event: `evt_…`, or the producer's own." },
  delivery: { schema: { type: 'string' }, description: 'Id of the delivery: `dlv_…`.' },
  replay: { schema: { type: 'string' }, description: 'Id of the replay: `rpl_…`.' },
  key: { schema: { type: 'string' }, description: 'Id of the key.' },
  correlation: { schema: { type: 'string' }, description: 'The correlation id.' },
};

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'For 24 hours, the same key and body get the same answer.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
};
const PREFER = {
  name: 'Prefer',
  in: 'header',
  description:
    '`wait=N`: answer when each delivery has had its first attempt, after N ≤ 30 seconds at most (RFC 7240).',
  schema: { type: 'string' },
};

const SEALPOST_APP = {
  name: APP_HEADER,
  in: 'header',
  description: "The app in which an operator acts; `default` without it. An app's key acts in its own.",
  schema: { type: 'string' },
};

/** The OpenAPI 3.1 document, from the very routes and schemas that serve and validate. */
export function openApiDocument(routes: Route[], version: string): Json {
  const components: Record<string, Json> = {};
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    // A slash that may be left out is shown.
    const path = route.path.replace(/\{\/\}$/, '/').replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: operation(route, components) };
  }
  schemaOf(problemAnswer, 'output', components);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sealpost',
      version,
      description:
        'Sends webhooks. Errors are problem details (RFC 9457) with a stable `code`. Times are RFC 3339 in UTC. ' +
        'Lists answer `{data, pagination}`, newest first.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: components,
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description: "An operator's key, or a key of the app in the path.",
        },
      },
      responses: {
        Problem: {
          description: 'What went wrong.',
          content: { 'application/problem+json': { schema: { $ref: REF('Problem') } } },
        },
      },
    },
  };
}

function operation(route: Route, components: Record<string, Json>): Json {
  const parameters: Json[] = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    ...PARAMETERS[name!],
  }));
  parameters.push(...queryParameters(route.query));
  if (route.access === 'caller') parameters.push(SEALPOST_APP);
  if (route.method === 'post' && (route.access === 'caller' || route.path.includes('/:app/')))
    parameters.push(IDEMPOTENCY_KEY);
  if (/\/(events|test|sync)$/.test(route.path) && route.method === 'post') parameters.push(PREFER);
  const open = typeof route.access === 'object';
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    ...(route.description && { description: route.description }),
    ...(open && { security: [] }),
    ...(route.access === 'operator' && { 'x-access': "Only an operator's key may do this." }),
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && { requestBody: requestBody(route, components) }),
    responses: { ...answers(route, components), default: { $ref: '#/components/responses/Problem' } },
  };
}

function operationId({ method, path }: Route): string {
  const words = path.split('/').filter((word) => word && word !== 'v1');
  return [method, ...words.map((word) => word.replace(/\W/g, ''))].join('_');
}

function queryParameters(query: z.ZodType | undefined): Json[] {
  if (!query) return [];
  const { properties = {}, required = [] } = inline(query, 'input') as {
    properties?: Json;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => {
    const { description, ...rest } = schema as Json;
    return {
      name,
      in: 'query',
      required: required.includes(name),
      ...(description !== undefined && { description }),
      schema: rest,
    };
  });
}

function requestBody(route: Route, components: Record<string, Json>): Json {
  const schema = schemaOf(route.body!, 'input', components);
  const optional = route.body!.safeParse(undefined).success;
  const stream = { schema: { type: 'string', description: 'An event a line.' } };
  return {
    required: !optional,
    content: { 'application/json': { schema }, ...(route.streams && { [route.streams]: stream }) },
  };
}

function answers(route: Route, components: Record<string, Json>): Json {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, { description, schema }]) => [
      status,
      {
        description,
        ...(schema && {
          content: { 'application/json': { schema: schemaOf(schema, 'output', components) } },
        }),
      },
    ]),
  );
}

/** A schema with an id becomes a component, with all that it refers to; another stays where it is. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', components: Record<string, Json>): Json {
  const json = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json & {
    $defs?: Record<string, Json>;
  };
  const { $defs = {}, $schema: _, id, ...rest } = json;
  for (const [name, definition] of Object.entries($defs)) components[name] ??= pointed(cleaned(definition));
  const own = pointed(cleaned(rest));
  if (typeof id !== 'string') return own;
  components[id] ??= own;
  return { $ref: REF(id) };
}

function inline(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, id: __, ...json } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json;
  return cleaned(json);
}

/** References to `$defs` point to the components. */
function pointed(json: Json): Json {
  return JSON.parse(JSON.stringify(json).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json;
}

function cleaned(json: Json): Json {
  const { id: _, $id: __, $schema: ___, ...rest } = json;
  return rest;
}
