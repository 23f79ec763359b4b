import { beforeAll, describe, expect, it } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;
/** One that delivers, one that is dead at once, one that is disabled. */
let good: string;
let bad: string;
let off: string;
let events: Loose[];

const TYPES = ['order.created', 'order.paid', 'user.created'];

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
  receiver.respond('/bad', 500);
  tenant = await Tenant.create(stack.client);
  const make = async (path: string, input = {}) =>
    (await tenant.endpoint({ url: receiver.url(path), retry: { max_retries: 0 }, ...input })).id;
  good = await make('/good');
  bad = await make('/bad', { event_types: ['order.*'] });
  off = await make('/off', { event_types: ['user.*'], enabled: false });
  // 15 of each type: 30 deliveries to good and bad for orders, 15 to good and off for users; 90 in all.
  events = [];
  for (let i = 0; i < 45; i++) {
    const flow = { correlation_id: `flow-${i % 2}` };
    events.push(await tenant.publish({ type: TYPES[i % 3]!, payload: i, ...(i % 3 < 2 && flow) }));
  }
  for (const { deliveries } of events) for (const { id } of deliveries) await tenant.ended(id);
});

async function list(query: string, path = '/deliveries'): Promise<Loose> {
  const answer = await tenant.get(`${path}${query}`);
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

const ids = ({ data }: Loose): string[] => data.map(({ id }: Loose) => id);
const total = async (query: string, path?: string): Promise<number> =>
  (await list(query, path)).pagination.total;
/** All deliveries, newest first, as publishing told them. */
const all = () =>
  events.flatMap(({ deliveries }) => deliveries.map(({ id }: Loose) => id as string)).reverse();

describe('deliveries are listed', () => {
  it('newest first, 20 a page unless said otherwise', async () => {
    const first = await list('');
    expect(first.pagination).toMatchObject({ page: 1, limit: 20, total: 90 });
    expect(ids(first)).toEqual(all().slice(0, 20));
    expect(first.data[0]).toMatchObject({
      event_id: events.at(-1).id,
      event_type: 'user.created',
      endpoint_id: off,
      status: 'skipped',
      reason: 'endpoint_disabled',
    });
    expect(first.data[0]).not.toHaveProperty('attempts');
  });

  it('page by page, none missing and none twice', async () => {
    const pages = [];
    for (let page = 1; page <= 4; page++) pages.push(await list(`?page=${page}&limit=25`));
    expect(pages.flatMap(ids)).toEqual(all());
    expect(pages.map(({ pagination }) => pagination.page)).toEqual([1, 2, 3, 4]);
    expect(ids(await list('?page=5&limit=25'))).toEqual([]);
  });

  it('as none beyond the last page', async () => {
    expect(await list('?page=100&limit=100')).toMatchObject({ data: [], pagination: { total: 90 } });
  });
});

describe('a cursor leads through a list', () => {
  it.each(['', '&status=skipped', '&event_type=even', '&status=skipped&event_type=odd', '&correlation_id=c'])(
    'with %j, none missing and none twice, while new ones come',
    async (filter) => {
      const own = await Tenant.create(stack.client);
      await own.endpoint({ url: receiver.url(), enabled: false });
      const event = (i: number) => ({ type: i % 2 ? 'odd' : 'even', payload: i, correlation_id: 'c' });
      for (let i = 0; i < 30; i++) await own.publish(event(i));
      const whole = ids((await own.get(`/deliveries?limit=100${filter}`)).json);
      const pages: string[][] = [];
      for (let cursor: string | undefined = ''; cursor !== undefined; ) {
        const page = await own.get(`/deliveries?limit=4${filter}${cursor && `&cursor=${cursor}`}`);
        expect(page.status, page.text).toBe(200);
        pages.push(ids(page.json));
        cursor = page.json.pagination.cursor;
        await own.publish(event(pages.length));
      }
      expect(pages.flat()).toEqual(whole);
      expect(Math.max(...pages.map((page) => page.length))).toBe(4);
    },
  );

  it('beside a total that is exact, or said to be a minimum', async () => {
    for (const [filter, total, atLeast] of [
      ['', 90, undefined],
      ['&status=dead', 30, undefined],
      ['&event_type=order.paid', 30, true],
    ] as const) {
      const first = (await list(`?limit=5${filter}`)).pagination;
      expect([first.total, first.total_is_minimum], filter).toEqual([total, undefined]);
      const second = (await list(`?limit=5${filter}&cursor=${first.cursor}`)).pagination;
      expect([second.page, second.total_is_minimum], filter).toEqual([null, atLeast]);
      if (!atLeast) expect(second.total).toBe(total);
    }
  });

  it('and no further', async () => {
    const { pagination } = await list('?limit=100');
    expect(pagination).not.toHaveProperty('cursor');
  });

  it('and must be one that the list gave out', async () => {
    for (const cursor of ['abc', 'ZW5kcG9pbnRzOmVwXzA', 'MTIz']) {
      const answer = await tenant.get(`/deliveries?cursor=${cursor}`);
      expect([answer.status, answer.json.code], cursor).toEqual([400, 'invalid_cursor']);
    }
    const { pagination } = await list('?limit=1');
    const both = await tenant.get(`/deliveries?page=1&cursor=${pagination.cursor}`);
    expect([both.status, both.json.errors[0].path]).toEqual([400, 'cursor']);
  });
});

describe('deliveries are found by', () => {
  it('status, one or more', async () => {
    expect(await total('?status=delivered')).toBe(45);
    expect(await total('?status=dead')).toBe(30);
    expect(await total('?status=skipped')).toBe(15);
    expect(await total('?status=dead,skipped')).toBe(45);
    expect(await total('?status=dead&status=skipped')).toBe(45);
    expect(await total('?status=dead,dead')).toBe(30);
    expect(await total('?status=pending')).toBe(0);
    const { data } = await list('?status=dead&limit=100');
    expect(data).toHaveLength(30);
    expect(new Set(data.map((d: Loose) => d.status))).toEqual(new Set(['dead']));
  });

  it('endpoint, in both ways to ask', async () => {
    for (const [endpoint, count] of [
      [good, 45],
      [bad, 30],
      [off, 15],
    ] as const) {
      const asked = await list(`?endpoint_id=${endpoint}&limit=100`);
      expect(asked.pagination.total).toBe(count);
      expect(asked.data.every((d: Loose) => d.endpoint_id === endpoint)).toBe(true);
      expect(await list('?limit=100', `/endpoints/${endpoint}/deliveries`)).toEqual(asked);
    }
    expect(await total(`?endpoint_id=${good}&status=dead`)).toBe(0);
    expect(await total(`?endpoint_id=${bad}&status=dead,delivered`)).toBe(30);
    expect(await total('?event_type=order.paid', `/endpoints/${bad}/deliveries`)).toBe(15);
    const none = await tenant.get('/endpoints/ep_000000000000/deliveries');
    expect([none.status, none.json.code]).toEqual([404, 'endpoint_not_found']);
  });

  it('event type', async () => {
    expect(await total('?event_type=order.paid')).toBe(30);
    expect(await total('?event_type=order.paid&status=dead')).toBe(15);
    expect(await total('?event_type=order')).toBe(0);
  });

  it('event', async () => {
    const { id, deliveries } = events[0];
    const found = await list(`?event_id=${id}`);
    expect(ids(found)).toEqual(deliveries.map((d: Loose) => d.id).reverse());
    expect(await total(`?event_id=${id}&status=dead`)).toBe(1);
    expect(await total(`?event_id=${id}&endpoint_id=${good}`)).toBe(1);
    expect(await total('?event_id=evt_000000000000')).toBe(0);
  });

  it('correlation id, which also counts them by status', async () => {
    expect(await total('?correlation_id=flow-0')).toBe(30);
    expect(await total('?correlation_id=flow-0&status=dead')).toBe(15);
    expect(await total(`?correlation_id=flow-0&endpoint_id=${good}`)).toBe(15);
    expect(await total('?correlation_id=flow-2')).toBe(0);
    const counts = await tenant.get('/correlations/flow-0');
    expect(counts.json).toEqual({
      correlation_id: 'flow-0',
      events: 15,
      deliveries: { pending: 0, retrying: 0, delivered: 15, dead: 15, skipped: 0, cancelled: 0 },
    });
    const none = await tenant.get('/correlations/flow-2');
    expect([none.status, none.json.code]).toEqual([404, 'correlation_not_found']);
  });

  it('time: since is inclusive, until is not', async () => {
    const at = encodeURIComponent(events[20].created_at);
    const since = events.filter(({ created_at }) => created_at >= events[20].created_at);
    const count = since.reduce((sum, { deliveries }) => sum + deliveries.length, 0);
    expect(await total(`?since=${at}`)).toBe(count);
    expect(await total(`?until=${at}`)).toBe(90 - count);
    expect(await total(`?since=${at}&until=${at}`)).toBe(0);
    expect(await total('?since=2020-01-01T00:00:00%2B02:00')).toBe(90);
  });
});

describe('what cannot be listed', () => {
  it.each([
    'page=0',
    'page=-1',
    'page=1.5',
    'page=x',
    'page=',
    'limit=0',
    'limit=101',
    'status=gone',
    'status=',
    'event_type=a..b',
    'since=yesterday',
    'since=2026-01-31',
    'surplus=1',
    'page=1&page=2',
  ])('is refused: %s', async (query) => {
    const answer = await tenant.get(`/deliveries?${query}`);
    expect([answer.status, answer.json.code], answer.text).toEqual([400, 'invalid_query']);
    expect(answer.json.errors[0].path.split('[')[0]).toBe(query.split('=')[0]);
  });

  it('is too deep past 10,000 entries', async () => {
    for (const query of ['page=101&limit=100', 'page=10001&limit=1', 'page=1000000000']) {
      const answer = await tenant.get(`/deliveries?${query}`);
      expect([answer.status, answer.json.code], query).toEqual([400, 'page_too_deep']);
    }
  });

  it("is another app's, by whichever id", async () => {
    const other = await Tenant.create(stack.client);
    const correlation_id = 'flow-0';
    await other.publish({ type: 'a', payload: 1, correlation_id });
    const secrets = [
      `endpoint_id=${good}`,
      `endpoint_id=${good}&status=delivered`,
      `event_id=${events[0].id}`,
      'correlation_id=flow-0',
    ];
    for (const query of secrets) {
      const answer = await other.get(`/deliveries?${query}`);
      expect([answer.json.data, answer.json.pagination.total], query).toEqual([[], 0]);
    }
    expect((await other.get(`/endpoints/${good}/deliveries`)).status).toBe(404);
    expect((await other.get(`/deliveries/${events[0].deliveries[0].id}`)).status).toBe(404);
    expect((await other.get('/correlations/flow-0')).json.deliveries.delivered).toBe(0);
  });
});

it('a page holds no delivery twice while many are published', async () => {
  const own = await Tenant.create(stack.client);
  await own.endpoint({ url: receiver.url(), enabled: false });
  const many = { events: Array.from({ length: 1000 }, () => ({ type: 'early', payload: 1 })) };
  await own.client.post(`${own.path}/events/batch`, many);
  const few = { events: Array.from({ length: 50 }, () => ({ type: 'late', payload: 1 })) };
  const last = `/deliveries?event_type=early&limit=100&page=${1000 / 100}`;
  const expected = ids((await own.get(last)).json);
  expect(expected).toHaveLength(100);
  const publishing = (async () => {
    for (let i = 0; i < 40; i++) await own.client.post(`${own.path}/events/batch`, few);
  })();
  const seen: string[][] = [];
  for (let i = 0; i < 20; i++) seen.push(ids((await own.get(last)).json));
  await publishing;
  for (const page of seen) expect(page).toEqual(expected);
});

it('a deleted endpoint still has its past deliveries in the list of the app', async () => {
  const own = await Tenant.create(stack.client);
  const { id } = await own.endpoint({ url: receiver.url('/good') });
  const delivery = await own.send();
  await own.hasStatus(delivery, 'delivered');
  await own.client.delete(`${own.path}/endpoints/${id}`);
  for (const query of ['', `?endpoint_id=${id}`, `?endpoint_id=${id}&status=delivered`]) {
    const { data, pagination } = (await own.get(`/deliveries${query}`)).json;
    expect([data.map((d: Loose) => d.id), pagination.total], query).toEqual([[delivery], 1]);
  }
});

it('a correlation id may be any printable text', async () => {
  const own = await Tenant.create(stack.client);
  await own.endpoint({ url: receiver.url(), enabled: false });
  for (const correlation_id of ['a/b c', 'gr\u00f6\u00dfe \u{1F600}', '1:2:seq', '{sp:9}:%41', '..']) {
    await own.publish({ type: 'a', payload: 1, correlation_id });
    const name = encodeURIComponent(correlation_id).replaceAll('.', '%2E');
    const { data } = (await own.get(`/deliveries?correlation_id=${name}`)).json;
    expect(data.map((d: Loose) => d.correlation_id)).toEqual([correlation_id]);
    if (correlation_id === '..') continue; // no client can ask for this path
    expect((await own.get(`/correlations/${name}`)).json).toMatchObject({ correlation_id, events: 1 });
  }
});

it('an event is shown with its deliveries', async () => {
  const event = events[1];
  const shown = await tenant.get(`/events/${event.id}`);
  expect(shown.json).toMatchObject({
    id: event.id,
    type: 'order.paid',
    payload: 1,
    payload_expired: false,
    content_type: 'application/json',
    correlation_id: 'flow-1',
    sequence: 1,
    webhook_url: null,
    created_at: event.created_at,
  });
  expect(shown.json.deliveries.map((d: Loose) => [d.endpoint_id, d.status])).toEqual([
    [good, 'delivered'],
    [bad, 'dead'],
  ]);
});
