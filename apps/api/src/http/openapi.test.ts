import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { aifaiRoutes } from '../dialects/aifai/routes.ts';
import { flagshipRoutes } from '../dialects/flagship/routes.ts';
import { flockRoutes } from '../dialects/flock/routes.ts';
import { taskflowRoutes } from '../dialects/taskflow/routes.ts';
import { appRoutes } from '../routes/apps.ts';
import { correlationRoutes } from '../routes/correlations.ts';
import { deliveryRoutes } from '../routes/deliveries.ts';
import { endpointRoutes } from '../routes/endpoints.ts';
import { eventRoutes } from '../routes/events.ts';
import { healthRoutes } from '../routes/health.ts';
import { keyRoutes } from '../routes/keys.ts';
import { laneRoutes } from '../routes/lanes.ts';
import { publishRoutes } from '../routes/publish.ts';
import { replayRoutes } from '../routes/replays.ts';
import { testRoutes } from '../routes/test-endpoint.ts';
import type { Services } from '../services.ts';
import { docsPage } from './docs-page.ts';
import { openApiDocument } from './openapi.ts';
import { defineRoute, type Route } from './route.ts';

// The document is made of what routes say, before any of them is called.
const none = {} as Services;
const routes: Route[] = [
  ...appRoutes(none),
  ...keyRoutes(none),
  ...endpointRoutes(none),
  ...laneRoutes(none),
  ...eventRoutes(none),
  ...publishRoutes(none),
  ...testRoutes(none),
  ...deliveryRoutes(none),
  ...replayRoutes(none),
  ...correlationRoutes(none),
  ...taskflowRoutes(none),
  ...flagshipRoutes(none),
  ...aifaiRoutes(none),
  ...flockRoutes(none),
  ...healthRoutes(
    async () => undefined,
    () => undefined,
  ),
];
const document = openApiDocument(routes, '1.2.3') as {
  paths: Record<string, Record<string, { operationId: string; parameters?: { name: string; in: string }[] }>>;
  components: Record<string, Record<string, unknown>>;
};
const operations = Object.values(document.paths).flatMap((path) => Object.values(path));

describe('the OpenAPI document', () => {
  it('has every route, each with an id of its own', () => {
    expect(operations).toHaveLength(routes.length);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(routes.length);
  });

  it('names every parameter of a path, and points to nothing that is not there', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const { parameters = [] } of Object.values(methods))
        expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)).toEqual(
          inPath,
        );
    }
    const json = JSON.stringify(document);
    const references = [...json.matchAll(/"\$ref":"([^"]*)"/g)].map(([, reference]) => reference!);
    expect(references.length).toBeGreaterThan(20);
    for (const reference of references) {
      const [, , kind, name] = reference.split('/');
      expect(document.components[kind!], reference).toHaveProperty([name!]);
    }
  });

  it('gives a component one form: what is asked and what is answered do not share a name', () => {
    const forms = new Map<string, string>();
    const note = (schema: z.ZodType, io: 'input' | 'output') => {
      const { $defs = {} } = z.toJSONSchema(z.object({ schema }), { io, unrepresentable: 'any' });
      for (const [name, form] of Object.entries($defs)) {
        const text = JSON.stringify(form);
        expect(forms.get(name) ?? text, name).toBe(text);
        forms.set(name, text);
      }
    };
    for (const route of routes) {
      if (route.body) note(route.body, 'input');
      for (const { schema } of Object.values(route.answers)) if (schema) note(schema, 'output');
    }
    expect(forms.size).toBeGreaterThan(10);
  });
});

describe('the page', () => {
  it('has every route and schema, and all its links lead somewhere', () => {
    const html = docsPage(openApiDocument(routes, '1.2.3'));
    const ids = new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
    for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
    for (const { operationId } of operations) expect(ids).toContain(operationId);
  });

  it('shows texts as texts, and has no script and no asset of another host', () => {
    const route = defineRoute({
      method: 'get',
      path: '/x',
      tag: 'T',
      summary: '<script>alert("1")</script>',
      access: 'operator',
      answers: { 200: { description: '<b>' } },
      handle: async () => ({ status: 200 }),
    });
    const html = docsPage(openApiDocument([route], '1'));
    expect(html).toContain('&lt;script&gt;alert(&quot;1&quot;)');
    expect(html).not.toMatch(/<script|<b>|(?:src|href)="(?:https?:)?\/\//);
  });
});
