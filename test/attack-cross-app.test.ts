import { beforeAll, describe, expect, it } from 'vitest';
import {
  ApiClient,
  freshClient,
  type Loose,
  leastOf,
  type Operation,
  type Operations,
  operationsOf,
  pathWith,
  type RawAnswer,
  rawRequest,
  type Stack,
  startStack,
  Tenant,
  waitFor,
} from './harness/index.ts';

/**
 * Every route, as `/openapi.json` tells them, asked by somebody who has no business there. No worker runs, so what an app
 * has stays as it is but for what these requests do.
 */
let stack: Stack;
let routes: Operations;
let mine: Owned;
let theirs: Owned;

const IDS = ['endpoint', 'event', 'delivery', 'replay', 'key', 'correlation'] as const;
type Ids = Record<(typeof IDS)[number], string>;
type Owned = { tenant: Tenant; key: string; ids: Ids };

/** Ids of the right form that nobody has. */
const NOBODYS: Ids = {
  endpoint: 'ep_00zzzzzzzzzz',
  event: 'evt_00zzzzzzzzzz',
  delivery: 'dlv_00zzzzzzzzzz',
  replay: 'rpl_00zzzzzzzzzz',
  key: 'key_00zzzzzzzzzz',
  correlation: 'nothing-has-this-one',
};

async function own(): Promise<Owned> {
  const tenant = await Tenant.create(stack.client, { operational_events: true });
  const made = await stack.client.post(`${tenant.path}/keys`, {});
  const endpoint = await tenant.endpoint({
    url: 'https://receiver.example/hook',
    name: 'hook',
    metadata: { marker: `marker-of-${tenant.app}` },
  });
  const correlation = `correlation-of-${tenant.app}`;
  const event = await tenant.publish({ type: 'a.b', payload: 1, correlation_id: correlation });
  const delivery = event.deliveries[0].id;
  // Ended, so that there is something to be replayed.
  await stack.client.post(`${tenant.path}/deliveries/${delivery}/cancel`);
  const replay = await stack.client.post(`${tenant.path}/endpoints/${endpoint.id}/replay`, {
    status: ['cancelled'],
  });
  expect(replay.status, replay.text).toBe(202);
  const ids = {
    endpoint: endpoint.id,
    event: event.id,
    delivery,
    replay: replay.json.id,
    key: made.json.id,
    correlation,
  };
  return { tenant, key: made.json.key, ids };
}

beforeAll(async () => {
  stack = await startStack({ workers: 0 });
  routes = await operationsOf(stack.client);
  mine = await own();
  theirs = await own();
});

type Ask = { key?: string | undefined; app?: string; ids?: Record<string, string>; headers?: object };

function ask(operation: Operation, { key, app = '', ids = {}, headers }: Ask): Promise<RawAnswer> {
  const body = operation.body && JSON.stringify(leastOf(operation.body, routes.resolve));
  return rawRequest(stack.client.url, {
    method: operation.method,
    path: pathWith(operation, { app, ...ids }),
    headers: { ...(key !== undefined && { authorization: `Bearer ${key}` }), ...headers },
    body,
    from: freshClient(),
  });
}

/** Status and problem, without what the asker has said himself. */
function toldBy(answer: RawAnswer, ...said: string[]): string {
  let told = JSON.stringify({ status: answer.status, headers: shownHeaders(answer), body: answer.text });
  for (const text of said) told = told.replaceAll(text, '…');
  return told.replace(/"content-length":"\d+"/, '').replace(/urn:uuid:[\w-]+/, '…');
}

function shownHeaders({ headers }: RawAnswer): object {
  const { date: _, ...rest } = headers;
  return rest;
}

/** Everything of an app that anybody could have changed. */
async function everythingOf({ tenant, ids }: Owned): Promise<unknown> {
  const paths = ['', '/endpoints', '/keys', '/deliveries', `/endpoints/${ids.endpoint}/secret`];
  const answers = await Promise.all([
    ...paths.map((path) => tenant.get(path)),
    tenant.get(`/deliveries/${ids.delivery}`),
    tenant.get(`/replays/${ids.replay}`),
    tenant.get(`/correlations/${ids.correlation}`),
  ]);
  return answers.map(({ status, json }) => [status, json]);
}

/** In each place of an id: the id of that kind; a place whose kind is not known gets every kind in turn. */
function* placed({ ids }: Operation, from: Ids & { app: string }): Generator<Record<string, string>> {
  const known = (name: string): name is keyof Ids => (IDS as readonly string[]).includes(name);
  for (const kind of ids.every(known) ? IDS.slice(0, 1) : ([...IDS, 'app'] as const))
    yield Object.fromEntries(ids.map((name) => [name, known(name) ? from[name] : from[kind]]));
}

it('there is something to attack', () => {
  expect(routes.all.length).toBeGreaterThan(30);
  for (const access of ['open', 'operator', 'app'] as const)
    expect(routes.all.filter((route) => route.access === access).length).toBeGreaterThan(3);
});

describe('a key of one app', () => {
  it('opens no path of another app, and is not told what that app has, nor whether it exists', async () => {
    const before = await everythingOf(theirs);
    for (const route of routes.all.filter(({ path }) => path.includes('{app}'))) {
      const there = await ask(route, { key: mine.key, app: theirs.tenant.app, ids: theirs.ids });
      const nowhere = await ask(route, { key: mine.key, app: 'nowhere', ids: NOBODYS });
      expect(there.status, `${route.name}: ${there.text}`).toBe(403);
      expect(toldBy(there), route.name).toBe(toldBy(nowhere));
      expect(there.text, route.name).not.toContain(theirs.tenant.app);
    }
    expect(await everythingOf(theirs)).toEqual(before);
  });

  it("finds nothing of another app by its ids, on its own app's paths", async () => {
    const before = await everythingOf(theirs);
    for (const route of routes.all.filter(({ ids }) => ids.length > 0)) {
      const app = mine.tenant.app;
      for (const ids of placed(route, { ...theirs.ids, app: theirs.tenant.app })) {
        const [nobodys] = placed(route, { ...NOBODYS, app: 'nowhere' });
        const found = await ask(route, { key: mine.key, app, ids });
        const missing = await ask(route, { key: mine.key, app, ids: nobodys! });
        const expected = route.access === 'operator' ? 403 : 404;
        expect(found.status, `${route.name} with ${Object.values(ids)}: ${found.text}`).toBe(expected);
        if (route.ids.every((name) => name in NOBODYS))
          expect(toldBy(found, ...Object.values(ids)), route.name).toBe(
            toldBy(missing, ...Object.values(nobodys!)),
          );
      }
    }
    expect(await everythingOf(theirs)).toEqual(before);
  });

  it("nor does an operator who takes one app's id to another's path", async () => {
    const before = await everythingOf(theirs);
    for (const route of routes.all.filter(({ ids }) => ids.length > 0)) {
      for (const ids of placed(route, { ...theirs.ids, app: theirs.tenant.app })) {
        const headers = { 'sealpost-app': mine.tenant.app };
        const found = await ask(route, { key: stack.apiKey, app: mine.tenant.app, ids, headers });
        expect(found.status, `${route.name} with ${Object.values(ids)}: ${found.text}`).toBe(404);
      }
    }
    expect(await everythingOf(theirs)).toEqual(before);
  });

  it("filters by another app's ids, and finds nothing", async () => {
    const kinds: Record<string, string> = {
      endpoint_id: theirs.ids.endpoint,
      event_id: theirs.ids.event,
      correlation_id: theirs.ids.correlation,
    };
    const filtered = routes.all.flatMap((route) => {
      const filters = route.query.filter(({ name }) => /_id$/.test(name));
      return filters.map(({ name }) => ({ route, name }));
    });
    expect(filtered.length).toBeGreaterThan(2);
    for (const { route, name } of filtered) {
      for (const id of name in kinds ? [kinds[name]!] : Object.values(kinds)) {
        const path = `${pathWith(route, { app: mine.tenant.app, ...mine.ids })}?${name}=${id}`;
        const { status, json, text } = await stack.client.withKey(mine.key).get(path);
        expect([status, json?.data], `${route.name} ${name}: ${text}`).toEqual([200, []]);
      }
    }
  });

  it('does not act in another app by naming it in a header', async () => {
    const before = await everythingOf(theirs);
    for (const route of routes.all.filter(({ access }) => access === 'caller')) {
      const headers = { 'sealpost-app': theirs.tenant.app };
      const answer = await ask(route, { key: mine.key, ids: theirs.ids, headers });
      expect(answer.status, `${route.name}: ${answer.text}`).toBe(403);
    }
    expect(await everythingOf(theirs)).toEqual(before);
  });

  it("is not given the answer to another app's Idempotency-Key, nor kept from using the same", async () => {
    const event = { type: 'a.b', payload: 'the same' };
    const publish = ({ tenant, key }: Owned) =>
      tenant.through(new ApiClient(stack.client.url, key)).publish(event, { 'idempotency-key': 'shared' });
    const [first, second] = [await publish(theirs), await publish(mine)];
    expect(second.id).not.toBe(first.id);
    expect(second.deliveries).toHaveLength(1);
    // Where the path does not tell the apps apart.
    for (const route of routes.all.filter(({ access, method }) => access === 'caller' && method === 'POST')) {
      const headers = { 'idempotency-key': 'shared', prefer: 'wait=1' };
      await ask(route, { key: theirs.key, ids: theirs.ids, headers });
      const answer = await ask(route, { key: mine.key, ids: theirs.ids, headers });
      expect(answer.headers['idempotent-replayed'], `${route.name}: ${answer.text}`).toBeUndefined();
      expect(answer.status, `${route.name}: ${answer.text}`).not.toBe(503);
    }
  });

  it('reads none of what only operators may', async () => {
    for (const route of routes.all.filter(({ access }) => access === 'operator')) {
      const answer = await ask(route, { key: mine.key, app: mine.tenant.app, ids: mine.ids });
      expect(answer.status, `${route.name}: ${answer.text}`).toBe(403);
    }
  });

  it('asks by HEAD and by other methods to no other effect', async () => {
    for (const method of ['HEAD', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      for (const route of routes.all.filter(({ path }) => path.includes('{app}'))) {
        const path = pathWith(route, { app: theirs.tenant.app, ...theirs.ids });
        const { status } = await rawRequest(stack.client.url, {
          method,
          path,
          headers: { authorization: `Bearer ${mine.key}` },
        });
        expect([204, 403, 405], `${method} ${path}`).toContain(status);
      }
    }
  });
});

describe('without a key that counts', () => {
  let revoked: string;
  let orphaned: string;

  beforeAll(async () => {
    const made = await stack.client.post(`${theirs.tenant.path}/keys`, {});
    revoked = made.json.key;
    await stack.client.delete(`${theirs.tenant.path}/keys/${made.json.id}`);
    const gone = await own();
    orphaned = gone.key;
    expect((await stack.client.delete(gone.tenant.path)).status).toBe(204);
    await waitFor(async () => (await stack.client.get(gone.tenant.path)).status === 404, {
      describe: 'the app to be gone',
    });
  });

  const KEYS: [string, () => Record<string, string>][] = [
    ['no key', () => ({})],
    ['an empty one', () => ({ authorization: 'Bearer ' })],
    ['one of another scheme', () => ({ authorization: `Basic ${btoa(`x:${stack.apiKey}`)}` })],
    ['the key without a scheme', () => ({ authorization: stack.apiKey })],
    ['two in one', () => ({ authorization: `Bearer ${stack.apiKey} ${stack.apiKey}` })],
    ['a part of one', () => ({ authorization: `Bearer ${stack.apiKey.slice(0, -1)}` })],
    ['more than one', () => ({ authorization: `Bearer ${stack.apiKey}x` })],
    ['in another case', () => ({ authorization: `Bearer ${stack.apiKey.toUpperCase()}` })],
    ['a malformed one', () => ({ authorization: 'Bearer sk_\u00ff\u00fe%00' })],
    ['a very long one', () => ({ authorization: `Bearer ${'x'.repeat(8000)}` })],
    ['what is stored of one', () => ({ authorization: `Bearer ${storedHash}` })],
    ['a revoked one', () => ({ authorization: `Bearer ${revoked}` })],
    ['one of a deleted app', () => ({ authorization: `Bearer ${orphaned}` })],
    ['one in the query', () => ({})],
  ];
  let storedHash: string;
  beforeAll(async () => {
    storedHash = Object.keys(await stack.redis.client.hgetall('sp:keys'))[0]!;
  });

  it.each(KEYS)(
    '%s: every route that is not open answers 401, the same for what is there and what is not',
    async (kind, headers) => {
      const before = await everythingOf(theirs);
      const query = kind === 'one in the query' ? `?key=${stack.apiKey}&access_token=${stack.apiKey}` : '';
      for (const route of routes.all) {
        const askFor = async (app: string, ids: Ids) => {
          const path = pathWith(route, { app, ...ids }) + query;
          const body = route.body && JSON.stringify(leastOf(route.body, routes.resolve));
          return rawRequest(stack.client.url, {
            method: route.method,
            path,
            headers: headers(),
            body,
            from: freshClient(),
          });
        };
        const there = await askFor(theirs.tenant.app, theirs.ids);
        if (route.access === 'open') {
          expect(there.status, route.name).toBe(200);
          continue;
        }
        expect(there.status, `${route.name}: ${there.text}`).toBe(401);
        expect(there.headers['www-authenticate']).toBe('Bearer');
        expect(toldBy(there), route.name).toBe(toldBy(await askFor('nowhere', NOBODYS)));
      }
      expect(await everythingOf(theirs)).toEqual(before);
    },
  );

  it('nothing secret is open: the open routes tell of no app', async () => {
    for (const route of routes.all.filter(({ access }) => access === 'open')) {
      const { text } = await ask(route, {});
      for (const secret of [theirs.tenant.app, stack.apiKey, stack.masterKey, theirs.ids.endpoint])
        expect(text as Loose).not.toContain(secret);
    }
  });
});

// Last: an API that meets a key's id that it does not know is not ready any more.
it('who can write to Redis lends no key to another app, and makes none', async () => {
  const { client } = stack.redis;
  const victim = await own();
  const keys = await client.hgetall('sp:keys');
  const hash = Object.keys(keys).find((one) => keys[one] === mine.tenant.app)!;
  const configOf = async (app: string) => `{sp:0}:cfg:${(await client.hget('sp:apps', app))!.split(':')[1]}`;
  const [from, to] = [await configOf(mine.tenant.app), await configOf(victim.tenant.app)];
  const record = (await client.hget(from, `k:${hash}`))!;
  const read = () => stack.client.withKey(mine.key).get(victim.tenant.path);

  await client.hset('sp:keys', hash, victim.tenant.app);
  expect((await read()).status).toBe(401);
  await client.hset(to, `k:${hash}`, record, 'v', String(Date.now()));
  const lent = await read();
  expect([lent.status, lent.json.code]).toEqual([503, 'config_invalid']);
  expect(lent.text).not.toContain('receiver.example');

  await client.hdel(to, `k:${hash}`);
  await client.hset('sp:keys', hash, mine.tenant.app);
  expect((await stack.client.withKey(mine.key).get(mine.tenant.path)).status).toBe(200);
  // A record of an endpoint, of an app, and what hashed former keys, all of his own making.
  const { endpoint } = victim.ids;
  const forged = JSON.stringify({ ...JSON.parse(record.slice(record.indexOf('{'))), id: endpoint });
  await client.hset('sp:former', '00000000', `v1.00000000.${Buffer.alloc(60).toString('base64url')}`);
  for (const made of [
    forged,
    `00000000.x.${forged}`,
    `..${forged}`,
    '',
    'null',
    `${record.slice(0, 52)}.${forged}`,
  ]) {
    await client.hset(to, endpoint, made, 'v', String(Date.now() + 1));
    expect((await stack.client.get(victim.tenant.path)).status, made).toBe(503);
  }
  const another = await stack.addApi();
  expect((await fetch(`${another.url}/livez`)).status).toBe(200);
  expect(another.output).toContain('do not count');
  await another.stop();
});
