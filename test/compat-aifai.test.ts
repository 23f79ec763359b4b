import { beforeAll, describe, expect, it } from 'vitest';
import { badFields, DialectClient, headerNames, hexSignature, msUntilRetry } from './harness/dialect.ts';
import {
  ApiClient,
  type Loose,
  Receiver,
  type Stack,
  startStack,
  type Tenant,
  waitFor,
} from './harness/index.ts';
import { delaysOf } from './seeds/delays.ts';

// AIFAI's document, feature by feature, for a client of which only the base URL and the key were changed.

const PATH = '/compat/aifai';
const PREFERENCES = '/api/v1/notifications/preferences/';
const SECRET = 'your-secret-key';

const NOTIFICATION = {
  id: 123,
  notification_type: 'problem_matching',
  title: 'Problem Matching Your Expertise: Optimize Database Queries',
  content: 'New problem in performance that matches your expertise',
  priority: 'high',
  read: false,
  created_at: '2026-02-04T10:30:00Z',
  read_at: null,
  related_entity_type: 'problem',
  related_entity_id: 78,
  metadata: { category: 'performance' },
};

const NONE = {
  enable_webhook: false,
  webhook_url: null,
  quiet_hours_start: null,
  quiet_hours_end: null,
  max_notifications_per_hour: null,
};

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});

/** An agent: an app of its own, its key, and where its webhooks arrive. */
class Agent {
  readonly aifai: DialectClient;
  readonly receiver: Receiver;

  private constructor(aifai: DialectClient, receiver: Receiver) {
    this.aifai = aifai;
    this.receiver = receiver;
  }

  static async open(settings: object = { signing_secret: SECRET }): Promise<Agent> {
    return new Agent(await DialectClient.open(stack.client, PATH, settings), await Receiver.listen());
  }

  get tenant(): Tenant {
    return this.aifai.tenant;
  }

  async prefer(preferences: object): Promise<Loose> {
    const answer = await this.aifai.put(PREFERENCES, preferences);
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  }

  async preferences(): Promise<Loose> {
    const answer = await this.aifai.get(PREFERENCES);
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  }

  /** Webhooks on. */
  enable(more: object = {}): Promise<Loose> {
    return this.prefer({ enable_webhook: true, webhook_url: this.receiver.url('/webhooks/aifai'), ...more });
  }

  /** What AIFAI does when it creates a notification. The event, which must be readable whatever becomes of its webhook. */
  async notify(payload: object = NOTIFICATION): Promise<Loose> {
    const event = await this.tenant.publish({ type: 'problem_matching', payload });
    const read = await this.tenant.get(`/events/${event.id}`);
    expect(read.json.payload).toEqual(payload);
    return event;
  }

  /** The delivery of a new notification, once it has ended. */
  async notified(): Promise<Loose> {
    const { deliveries } = await this.notify();
    expect(deliveries).toHaveLength(1);
    return this.tenant.ended(deliveries[0].id);
  }

  async endpoints(): Promise<Loose[]> {
    return (await this.tenant.get('/endpoints')).json.data;
  }
}

/** Hours of which the first began when `ahead` hours have passed; two, so that a turn of the hour changes nothing. */
function hours(ahead: number) {
  const start = (new Date().getUTCHours() + ahead) % 24;
  return { quiet_hours_start: start, quiet_hours_end: (start + 2) % 24 };
}

describe('a notification', () => {
  it('arrives as documented: body, headers, signature over the raw body', async () => {
    const agent = await Agent.open();
    await agent.enable();
    await agent.notify();
    const [request] = await agent.receiver.waitForRequests(1, { path: '/webhooks/aifai' });
    const body = JSON.parse(request!.text);
    expect(body).toEqual({
      event: 'notification',
      notification: NOTIFICATION,
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      platform: 'aifai',
    });
    expect(Object.keys(body)).toEqual(['event', 'notification', 'timestamp', 'platform']);
    expect(request!.headers).toMatchObject({
      'content-type': 'application/json',
      'x-aifai-event': 'notification',
      'x-aifai-signature': hexSignature(request!, SECRET),
      'user-agent': 'AIFAI-Webhook/1.0',
    });
    expect(headerNames(request!)).toEqual(
      expect.arrayContaining(['webhook-id', 'webhook-signature', 'webhook-timestamp']),
    );
  });

  it('is retried on 5xx and 429, up to 3 times', async () => {
    const agent = await Agent.open({ defaults: { retry: { base_seconds: 0.01 } } });
    agent.receiver.respond((_, nth) => [503, 429, 500, 503][nth - 1] ?? 200);
    await agent.enable();
    expect(await agent.notified()).toMatchObject({ status: 'dead', attempt_count: 4 });
  });

  it('is retried after 1, 2 and 3 s', async () => {
    const agent = await Agent.open();
    agent.receiver.respond(503);
    await agent.enable();
    const { deliveries } = await agent.notify();
    const [endpoint] = await agent.endpoints();
    expect(endpoint).toMatchObject({ retry: { retry_on: '5xx_429' }, timeout_seconds: 10 });
    expect(delaysOf(endpoint!.retry)).toEqual([1, 2, 3]);
    const retrying = await agent.tenant.hasStatus(deliveries[0].id, 'retrying');
    expect(msUntilRetry(retrying)).toBeGreaterThan(900);
  });

  it('is not retried on another 4xx', async () => {
    const agent = await Agent.open();
    agent.receiver.respond(400);
    await agent.enable();
    expect(await agent.notified()).toMatchObject({ status: 'dead', attempt_count: 1, last_status_code: 400 });
  });
});

describe('webhooks are sent only when', () => {
  it('they are enabled: notifications are created all the same', async () => {
    const agent = await Agent.open();
    await agent.prefer({ webhook_url: agent.receiver.url() });
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    await agent.prefer({ enable_webhook: true });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
    await agent.prefer({ enable_webhook: false });
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    expect(agent.receiver.requests).toHaveLength(1);
  });

  it('a URL is given, and not to the one before it', async () => {
    const agent = await Agent.open();
    expect(await agent.prefer({ enable_webhook: true })).toEqual({ ...NONE, enable_webhook: true });
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    const url = agent.receiver.url('/first');
    expect(await agent.prefer({ webhook_url: url })).toEqual({
      ...NONE,
      enable_webhook: true,
      webhook_url: url,
    });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
    expect(await agent.prefer({ webhook_url: null })).toEqual({ ...NONE, enable_webhook: true });
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    await agent.prefer({ webhook_url: agent.receiver.url('/second') });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
    expect(agent.receiver.requests.map(({ path }) => path)).toEqual(['/first', '/second']);
  });

  it('it is not quiet, from the first hour to the second, UTC', async () => {
    const agent = await Agent.open();
    await agent.enable(hours(0));
    expect(await agent.notified()).toMatchObject({
      status: 'skipped',
      reason: 'quiet_hours',
      attempt_count: 0,
    });
    await agent.prefer(hours(4));
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
    await agent.prefer(hours(0));
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'quiet_hours' });
    await agent.prefer({ quiet_hours_end: null });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
    expect(agent.receiver.requests).toHaveLength(2);
  });

  it('no more than the number of an hour have been sent', async () => {
    const agent = await Agent.open();
    await agent.enable({ max_notifications_per_hour: 2 });
    const ended = [await agent.notified(), await agent.notified(), await agent.notified()];
    expect(ended.map(({ status, reason }) => [status, reason])).toEqual([
      ['delivered', null],
      ['delivered', null],
      ['skipped', 'rate_limited'],
    ]);
    await agent.prefer({ max_notifications_per_hour: null });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
  });

  it("nor more than the app's limit, as long as nothing is said about that", async () => {
    const rate_limit = { limit: 1, period_seconds: 3600, over: 'skip' };
    const agent = await Agent.open({ defaults: { rate_limit } });
    await agent.enable();
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'rate_limited' });
    await agent.prefer({ max_notifications_per_hour: null });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
  });

  it('the receiver has not said 410, until they are enabled again', async () => {
    const agent = await Agent.open();
    agent.receiver.respond(410);
    const enabled = await agent.enable();
    expect(enabled.enable_webhook).toBe(true);
    await agent.notified();
    await waitFor(async () => !(await agent.preferences()).enable_webhook, {
      describe: 'the webhook to be disabled',
    });
    expect(await agent.notified()).toMatchObject({ status: 'skipped', reason: 'endpoint_disabled' });
    expect(await agent.preferences()).toEqual({ ...enabled, enable_webhook: false });
    expect((await agent.endpoints())[0]).toMatchObject({ disabled_reason: 'gone' });
    // Other preferences do not bring it back.
    expect(await agent.prefer({ max_notifications_per_hour: 9 })).toMatchObject({ enable_webhook: false });
    agent.receiver.respond(200);
    expect(await agent.prefer({ enable_webhook: true })).toMatchObject({ enable_webhook: true });
    expect((await agent.endpoints())[0]).toMatchObject({ enabled: true, disabled_reason: null });
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
  });
});

describe('preferences', () => {
  it('are none at first, and each is kept when another is changed', async () => {
    const agent = await Agent.open();
    expect(await agent.preferences()).toEqual(NONE);
    expect(await agent.endpoints()).toEqual([]);
    const webhook_url = 'https://your-endpoint.example/webhooks/aifai';
    let kept: Loose = NONE;
    // In the order of the document's snippets, and one by one.
    for (const one of [
      { enable_webhook: true, webhook_url },
      { quiet_hours_start: 22, quiet_hours_end: 6 },
      { max_notifications_per_hour: 10 },
      { enable_webhook: false },
      { quiet_hours_start: 23 },
      { quiet_hours_end: 0 },
      { max_notifications_per_hour: 10_000 },
      { quiet_hours_start: null },
      { quiet_hours_end: null },
      { quiet_hours_start: 0 },
      { quiet_hours_end: 23 },
      { max_notifications_per_hour: null },
      { webhook_url: null },
      { enable_webhook: true },
      {},
      { enable_webhook: null },
    ]) {
      kept = { ...kept, ...one };
      if (kept.enable_webhook === null) kept.enable_webhook = false;
      expect(await agent.prefer(one), JSON.stringify(one)).toEqual(kept);
      expect(await agent.preferences()).toEqual(kept);
    }
    expect(await agent.endpoints()).toMatchObject([
      { name: 'aifai-notifications', wire_profile: 'aifai', event_types: [], metadata: {} },
    ]);
  });

  it('are an endpoint that Sealpost’s own API shows, and what is changed there shows here', async () => {
    const agent = await Agent.open();
    await agent.enable({ quiet_hours_start: 22, quiet_hours_end: 6, max_notifications_per_hour: 10 });
    const [endpoint] = await agent.endpoints();
    expect(endpoint).toMatchObject({
      enabled: true,
      quiet_hours: { start_hour: 22, end_hour: 6, timezone: 'UTC', during: 'skip' },
      rate_limit: { limit: 10, period_seconds: 3600, over: 'skip' },
    });
    const byDay = { limit: 100, period_seconds: 86_400, over: 'hold' };
    const change = { metadata: { team: 'search' }, rate_limit: byDay };
    await agent.tenant.client.patch(`${agent.tenant.path}/endpoints/${endpoint.id}`, change);
    expect(await agent.preferences()).toMatchObject({ max_notifications_per_hour: null });
    await agent.prefer({ quiet_hours_end: null });
    expect((await agent.endpoints())[0]).toMatchObject({
      rate_limit: byDay,
      quiet_hours: null,
      metadata: { team: 'search', aifai_quiet_hours_start: 22 },
    });
    await agent.tenant.client.delete(`${agent.tenant.path}/endpoints/${endpoint.id}`);
    expect(await agent.preferences()).toEqual(NONE);
    await agent.enable();
    expect(await agent.notified()).toMatchObject({ status: 'delivered' });
  });

  it.each<[object, string[]]>([
    [{ quiet_hours_start: 24 }, ['quiet_hours_start']],
    [{ quiet_hours_end: -1 }, ['quiet_hours_end']],
    [{ quiet_hours_start: 1.5 }, ['quiet_hours_start']],
    [{ quiet_hours_start: 7, quiet_hours_end: 7 }, ['quiet_hours_end']],
    [{ max_notifications_per_hour: 0 }, ['max_notifications_per_hour']],
    [{ max_notifications_per_hour: 10_001 }, ['max_notifications_per_hour']],
    [{ enable_webhook: 'yes' }, ['enable_webhook']],
    [{ webhook_url: 'ftp://x.example/' }, ['webhook_url']],
    [{ webhook_url: 'http://169.254.169.254/latest' }, ['webhook_url']],
    [{ webhook_url: '' }, ['webhook_url']],
    [{ enabled: true, url: 'https://x.example/' }, ['enabled', 'url']],
  ])('that are wrong are refused by their own names: %j', async (preferences, paths) => {
    const agent = await Agent.open();
    const refused = await agent.aifai.put(PREFERENCES, preferences);
    expect([refused.status, refused.json?.code], refused.text).toEqual([422, 'validation_failed']);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(badFields(refused).sort()).toEqual(paths);
    expect(await agent.endpoints()).toEqual([]);
  });

  it('want https where the deployment does', async () => {
    const { url } = await stack.addApi({ SEALPOST_HTTPS_ONLY: 'true' });
    const agent = await Agent.open();
    const there = new ApiClient(url, stack.apiKey);
    const put = (webhook_url: string) =>
      there.put(PATH + PREFERENCES, { webhook_url }, { 'sealpost-app': agent.tenant.app });
    expect(badFields(await put('http://your-endpoint.example/'))).toEqual(['webhook_url']);
    expect((await put('https://your-endpoint.example/')).status).toBe(200);
  });

  it('whose hours become the same by one alone are refused by that one’s name', async () => {
    const agent = await Agent.open();
    await agent.prefer({ quiet_hours_start: 22, quiet_hours_end: 6 });
    expect(badFields(await agent.aifai.put(PREFERENCES, { quiet_hours_start: 6 }))).toEqual([
      'quiet_hours_start',
    ]);
    await agent.prefer({ quiet_hours_end: null });
    expect(badFields(await agent.aifai.put(PREFERENCES, { quiet_hours_end: 22 }))).toEqual([
      'quiet_hours_end',
    ]);
    expect(await agent.preferences()).toMatchObject({ quiet_hours_start: 22, quiet_hours_end: null });
  });

  it('have a path with and without the slash at the end', async () => {
    const agent = await Agent.open();
    const path = PREFERENCES.slice(0, -1);
    const saved = await agent.aifai.put(path, { max_notifications_per_hour: 5 });
    expect([saved.status, saved.json.max_notifications_per_hour]).toEqual([200, 5]);
    expect((await agent.aifai.get(path)).json).toEqual(await agent.preferences());
  });

  it('make one endpoint, however many first calls come at the same time to however many processes', async () => {
    const agent = await Agent.open();
    const second = agent.aifai.client.withKey(undefined);
    expect((await second.get(PATH + PREFERENCES)).status).toBe(401);
    const { url } = await stack.addApi();
    const others = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        fetch((i % 2 ? url : stack.api.url) + PATH + PREFERENCES, {
          method: 'PUT',
          headers: {
            authorization: `Bearer ${stack.apiKey}`,
            'content-type': 'application/json',
            'sealpost-app': agent.tenant.app,
          },
          body: JSON.stringify(i < 6 ? { quiet_hours_start: i } : { max_notifications_per_hour: i }),
        }),
      ),
    );
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 200));
    expect(await agent.endpoints()).toHaveLength(1);
    const { quiet_hours_start: start, max_notifications_per_hour: limit } = await agent.preferences();
    expect([start < 6, limit >= 6]).toEqual([true, true]);
  });
});

describe('the secret', () => {
  it('is the app’s signing secret, and is not told', async () => {
    const agent = await Agent.open();
    expect(Object.keys(await agent.enable())).toEqual(Object.keys(NONE));
    expect(JSON.stringify([await agent.preferences(), await agent.endpoints()])).not.toContain(SECRET);
  });

  it('is generated where there is none, told by the call that made it, and by no other', async () => {
    const agent = await Agent.open({});
    const { webhook_secret, ...preferences } = await agent.prefer({ quiet_hours_start: 3 });
    expect(webhook_secret).toMatch(/^whsec_/);
    expect(preferences).toEqual({ ...NONE, quiet_hours_start: 3 });
    expect(Object.keys(await agent.enable())).toEqual(Object.keys(NONE));
    await agent.notify();
    const [request] = await agent.receiver.waitForRequests(1);
    expect(request!.headers['x-aifai-signature']).toBe(hexSignature(request!, webhook_secret));
  });
});

describe('who acts where', () => {
  const of = (client: ApiClient, app?: string) =>
    client.get(PATH + PREFERENCES, app === undefined ? {} : { 'sealpost-app': app });

  it('an app’s key acts in its own app, also when it says so, and in no other', async () => {
    const [one, other] = [await Agent.open(), await Agent.open()];
    await one.prefer({ max_notifications_per_hour: 1 });
    const { client } = one.aifai;
    expect((await of(client, one.tenant.app)).json.max_notifications_per_hour).toBe(1);
    const refused = await of(client, other.tenant.app);
    expect([refused.status, refused.json.code]).toEqual([403, 'key_of_another_app']);
    const put = await client.put(PATH + PREFERENCES, {}, { 'sealpost-app': other.tenant.app });
    expect([put.status, put.json.code]).toEqual([403, 'key_of_another_app']);
    expect(await other.endpoints()).toEqual([]);
  });

  it('an operator acts in the app that Sealpost-App names, else in default', async () => {
    const agent = await Agent.open();
    await agent.prefer({ max_notifications_per_hour: 7 });
    expect((await of(stack.client, agent.tenant.app)).json.max_notifications_per_hour).toBe(7);
    expect((await of(stack.client)).json).toEqual(NONE);
    expect((await of(stack.client, 'no-such-app')).status).toBe(404);
  });

  it('nobody acts without a key', async () => {
    expect((await of(stack.client.withKey(undefined))).status).toBe(401);
    expect((await of(stack.client.withKey('sk_wrong'))).status).toBe(401);
  });
});

it('is described in the OpenAPI document', async () => {
  const { json } = await stack.client.get('/openapi.json');
  const { get, put } = json.paths[PATH + PREFERENCES];
  expect([get.tags, put.tags]).toEqual([['AIFAI compatibility'], ['AIFAI compatibility']]);
  const { properties } = json.components.schemas.AifaiPreferencesInput;
  expect(Object.keys(properties)).toEqual(Object.keys(NONE));
});
