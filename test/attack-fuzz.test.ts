import { ERRORS } from '@sealpost/core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { bodyOf, hostileHeaders, hostileSegment, queryOf } from './harness/hostile.ts';
import {
  type Loose,
  type Operation,
  type Operations,
  operationsOf,
  type RawAnswer,
  rawRequest,
  type Stack,
  startStack,
  Tenant,
} from './harness/index.ts';

/** Requests a route. More by hand: `SEALPOST_FUZZ_RUNS=2000 SEALPOST_FUZZ_SEED=$RANDOM`. */
const RUNS = Number(process.env.SEALPOST_FUZZ_RUNS ?? 60);
const SEED = Number(process.env.SEALPOST_FUZZ_SEED ?? 1);

let stack: Stack;
let routes: Operations;
let tenant: Tenant;
/** What there is to be found. */
const ids: Record<string, string> = {};

beforeAll(async () => {
  stack = await startStack({ workers: 0 });
  routes = await operationsOf(stack.client);
  tenant = await Tenant.create(stack.client);
  const endpoint = await tenant.endpoint({ url: 'https://receiver.example/' });
  const event = await tenant.publish({ type: 'a.b', payload: 1, correlation_id: 'c' });
  const key = await stack.client.post(`${tenant.path}/keys`, {});
  Object.assign(ids, {
    app: tenant.app,
    endpoint: endpoint.id,
    event: event.id,
    delivery: event.deliveries[0].id,
    key: key.json.id,
    correlation: 'c',
  });
});

type Shot = {
  path: string;
  query: string;
  headers: Record<string, string>;
  body: string | Buffer | undefined;
};

function shotsAt(operation: Operation): fc.Arbitrary<Shot> {
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const segments = names.map((name) => {
    // What is deleted would be missing from then on.
    const real = operation.method === 'DELETE' ? 'not-this-one' : (ids[name] ?? 'x');
    return fc.oneof({ weight: 4, arbitrary: fc.constant(real) }, { weight: 1, arbitrary: hostileSegment });
  });
  const parts = fc.tuple(...segments).map((values) => {
    const given = new Map(names.map((name, i) => [name, values[i]!]));
    return operation.path.replace(/\{(\w+)\}/g, (_, name: string) => given.get(name)!);
  });
  return fc.record({
    path: parts,
    query: queryOf(operation.query.map(({ name }) => name)),
    headers: fc.oneof(
      { weight: 5, arbitrary: fc.constant({}) },
      { weight: 2, arbitrary: hostileHeaders },
      { weight: 1, arbitrary: contentTypes(operation) },
    ),
    body: operation.body ? bodyOf(operation.body, routes.resolve) : fc.constant(undefined),
  }) as fc.Arbitrary<Shot>;
}

function contentTypes({ streams }: Operation): fc.Arbitrary<Record<string, string>> {
  const types = [
    'application/json',
    'text/plain',
    'application/xml',
    'a/b/c',
    'application/json; charset=latin1',
  ];
  return fc
    .constantFrom(...types, ...(streams ? ['application/x-ndjson'] : []))
    .map((type) => ({ 'content-type': type }));
}

/** How often each status was answered: shots that all miss prove nothing. */
const statuses = new Map<number, number>();

const CODES = new Set<string>(Object.keys(ERRORS));

function judge(shot: string, answer: RawAnswer): void {
  const { status, text, json } = answer;
  const type = answer.headers['content-type'] ?? '';
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  expect(status, `${shot}\n${text}`).toBeLessThan(500);
  expect(answer.headers['x-content-type-options'], shot).toBe('nosniff');
  if (status < 400) return;
  expect(text, shot).not.toMatch(/node_modules|\bat \S+ \(|\.ts:\d|ioredis|ReplyError|ZodError/);
  expect(type, `${shot}\n${status} ${text}`).toContain('application/problem+json');
  expect(json, `${shot}\n${text}`).toMatchObject({
    status,
    code: expect.any(String),
    title: expect.any(String),
  });
  expect(CODES.has((json as Loose).code), shot).toBe(true);
}

async function fuzz(operation: Operation): Promise<void> {
  const shoot = async ({ path, query, headers, body }: Shot) => {
    const shot = `${operation.method} ${path}${query && `?${query}`} ${JSON.stringify(headers)} ${String(body).slice(0, 2000)}`;
    let answer: RawAnswer;
    try {
      answer = await rawRequest(stack.client.url, {
        method: operation.method,
        path: path + (query && `?${query}`),
        headers: { authorization: `Bearer ${stack.apiKey}`, ...headers },
        body,
      });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (/^ERR_/.test(code)) return; // node:http does not send such a header or path
      throw new Error(`${shot}: no answer`, { cause: error });
    }
    judge(shot, answer);
  };
  await fc.assert(fc.asyncProperty(shotsAt(operation), shoot), {
    numRuns: RUNS,
    seed: SEED,
    endOnFailure: RUNS < 100,
  });
}

describe('whatever comes: no 500, a problem for every error, nothing of the inside', () => {
  it('at every route', { timeout: 180_000 + RUNS * 2000 }, async () => {
    for (const operation of routes.all) await fuzz(operation);
    const all = [...statuses.values()].reduce((sum, count) => sum + count, 0);
    for (const [status, share] of [
      [200, 0.1],
      [201, 0.001],
      [202, 0.005],
      [404, 0.03],
      [422, 0.03],
    ] as const)
      expect((statuses.get(status) ?? 0) / all, JSON.stringify([...statuses])).toBeGreaterThan(share);
  });

  it('the process is the same, well, and has logged no fault of its own', async () => {
    const { pid } = stack.api;
    expect(() => process.kill(pid!, 0)).not.toThrow();
    expect((await stack.client.get('/readyz')).status).toBe(200);
    expect(stack.api.logs.filter(({ level }) => level >= 50)).toEqual([]);
    await tenant.publish({ type: 'a.b', payload: { still: 'here' } });
  });
});
