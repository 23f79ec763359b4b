import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { effectiveRetry } from '../schemas/retry.ts';
import { buildRequest, requestHeaders, shownHeaders } from '../wire.ts';
import { formatTimestamp, type WireProfileSetting, wireProfileOf } from './index.ts';

const AT = Date.UTC(2025, 0, 15, 10, 30, 0, 123);
const SECRET = 'your-secret';
const hex = (content: string, secret = SECRET) => createHmac('sha256', secret).update(content).digest('hex');

/** The body of an event that was accepted at AT. */
function bodyOf(setting: WireProfileSetting, event: object, payload: string): string {
  const wire = buildRequest({
    profile: wireProfileOf(setting),
    eventId: 'evt_000000000001',
    eventType: 'a.b',
    createdAt: AT,
    contentType: 'application/json',
    payload,
    ...event,
  });
  expect(wire.contentType).toBe('application/json');
  return wire.body;
}

type HeadersInput = Partial<Parameters<typeof requestHeaders>[0]>;

function headersOf(setting: WireProfileSetting, more: HeadersInput = {}) {
  return requestHeaders({
    profile: wireProfileOf(setting),
    eventId: 'evt_000000000001',
    deliveryId: 'dlv_000000000002',
    eventType: 'job.completed',
    timestampSeconds: 1_736_937_000,
    body: '{"a":1}',
    contentType: 'application/json',
    secrets: [SECRET],
    own: {},
    ...more,
  });
}

describe('the body', () => {
  it("is Flock's, with all that its document and its requirements name", () => {
    const payload =
      '{"severity": "High", "bugs_found": ["Memory leak in cache handler"], "confidence": 0.920}';
    const event = {
      eventId: '550e8400-e29b-41d4-a716-446655440000',
      eventType: 'BugAnalysis',
      correlationId: 'workflow-123',
      sequence: 2,
      attributes: { produced_by: 'bug_detector', tags: ['critical', 'reviewed'], version: 1, more: 'x' },
    };
    expect(bodyOf('flock', event, payload)).toBe(
      '{"event":"artifact.published","timestamp":"2025-01-15T10:30:00.123000Z",' +
        `"artifact":{"id":"550e8400-e29b-41d4-a716-446655440000","type":"BugAnalysis","payload":${payload},` +
        '"produced_by":"bug_detector","correlation_id":"workflow-123","created_at":"2025-01-15T10:30:00.123000Z",' +
        '"tags":["critical","reviewed"],"version":1,"sequence":2}}',
    );
  });

  it("is Flock's with its defaults, where the event says nothing", () => {
    expect(JSON.parse(bodyOf('flock', {}, '1.10')).artifact).toEqual({
      id: 'evt_000000000001',
      type: 'a.b',
      payload: 1.1,
      produced_by: null,
      correlation_id: null,
      created_at: '2025-01-15T10:30:00.123000Z',
      tags: [],
      version: 1,
      sequence: null,
    });
    expect(bodyOf('flock', { attributes: { tags: null, version: '2' } }, '1')).toContain(
      '"tags":null,"version":"2"',
    );
  });

  it("is TaskFlow's", () => {
    const payload = '{"job_id":"550e8400-e29b-41d4-a716-446655440000","workflow_id":5,"duration_ms":15000.0}';
    const event = { eventType: 'job.completed', attributes: { request_id: 123 } };
    expect(bodyOf('taskflow', event, payload)).toBe(
      `{"type":"job.completed","request_id":123,"timestamp":"2025-01-15T10:30:00Z","payload":${payload}}`,
    );
    expect(bodyOf('taskflow', {}, '[]')).toContain('"request_id":null,');
  });

  it("is AIFAI's, whatever the event's type", () => {
    const payload =
      '{"id": 123, "notification_type": "problem_matching", "metadata": {"category": "performance"}}';
    expect(bodyOf('aifai', { eventType: 'notification.created' }, payload)).toBe(
      `{"event":"notification","notification":${payload},"timestamp":"2025-01-15T10:30:00Z","platform":"aifai"}`,
    );
  });

  it("is goflagship's, its parts cut out of the payload digit for digit", () => {
    const parts = {
      resource: '{ "type": "flag", "key": "feature_x" }',
      data: '{"before": {"rollout": 9007199254740993}, "after": {"rollout":1.0}, "changes": {}}',
      metadata: '[ 1e400, "\\u00e9" ]',
    };
    const payload = `\n {"more":{"data":1}, "metadata":${parts.metadata} ,"data" : ${parts.data},"res\\u006furce":${parts.resource}}`;
    expect(bodyOf('flagship', { eventType: 'flag.updated', environment: 'prod' }, payload)).toBe(
      '{"event":"flag.updated","timestamp":"2025-01-15T10:30:00Z","environment":"prod",' +
        `"resource":${parts.resource},"data":${parts.data},"metadata":${parts.metadata}}`,
    );
  });

  it.each(['{}', '[{"data":1}]', '"data"', 'null', '1', '{"nested":{"data":1}}'])(
    "is goflagship's with nulls for what the payload %s has not",
    (payload) =>
      expect(bodyOf('flagship', {}, payload)).toBe(
        '{"event":"a.b","timestamp":"2025-01-15T10:30:00Z","environment":null,"resource":null,"data":null,"metadata":null}',
      ),
  );

  it("takes goflagship's environment from the payload where the event has none", () => {
    const payload = '{"environment":"dev"}';
    expect(JSON.parse(bodyOf('flagship', {}, payload)).environment).toBe('dev');
    expect(JSON.parse(bodyOf('flagship', { environment: 'prod' }, payload)).environment).toBe('prod');
  });

  it('is an envelope, or the payload alone, under an own profile', () => {
    expect(bodyOf({}, {}, '1.0')).toBe(bodyOf('standard', {}, '1.0'));
    expect(bodyOf({ envelope: 'payload' }, {}, '1.0')).toBe('1.0');
  });

  it('has the time of its own event, in the form of its profile', () => {
    for (const ms of [AT, AT + 1, 0, AT]) {
      const text = new Date(ms).toISOString();
      expect(formatTimestamp(ms, 'milliseconds')).toBe(text);
      expect(formatTimestamp(ms, 'microseconds')).toBe(text.replace('Z', '000Z'));
      expect(formatTimestamp(ms, 'seconds')).toBe(text.replace(/\.\d+Z/, 'Z'));
    }
  });

  it('escapes what it is given', () => {
    const body = bodyOf('flock', { correlationId: 'a"\\\u2028', attributes: { produced_by: '"' } }, '1');
    expect(JSON.parse(body).artifact).toMatchObject({ correlation_id: 'a"\\\u2028', produced_by: '"' });
  });
});

describe('the headers', () => {
  const signature = `sha256=${hex('{"a":1}')}`;

  it.each<[WireProfileSetting, Record<string, string>]>([
    ['flock', { 'X-Flock-Signature': signature }],
    [
      'taskflow',
      {
        'X-TaskFlow-Signature': signature,
        'X-TaskFlow-Event': 'job.completed',
        'X-TaskFlow-Delivery-ID': 'dlv_000000000002',
      },
    ],
    [
      'aifai',
      {
        'user-agent': 'AIFAI-Webhook/1.0',
        'X-AIFAI-Signature': signature,
        'X-AIFAI-Event': 'notification',
      },
    ],
    [
      'flagship',
      {
        'X-Flagship-Signature': signature,
        'X-Flagship-Event': 'job.completed',
        'X-Flagship-Delivery': 'dlv_000000000002',
      },
    ],
    [
      { headers: { id: 'X-Id', timestamp: 'X-Time' }, user_agent: 'Acme/1' },
      { 'user-agent': 'Acme/1', 'X-Id': 'evt_000000000001', 'X-Time': '1736937000' },
    ],
  ])('of %j are its own beside those of Standard Webhooks', (setting, expected) => {
    const standard = headersOf('standard').headers;
    expect(Object.keys(standard)).toEqual([
      'user-agent',
      'content-type',
      'webhook-id',
      'webhook-timestamp',
      'webhook-signature',
    ]);
    expect(headersOf(setting).headers).toEqual({ ...standard, ...expected });
  });

  it('have the documented one where a name is that of an endpoint’s own, but for the user agent', () => {
    const own = {
      'x-aifai-EVENT': 'forged',
      'X-AIFAI-Signature': 'forged',
      'USER-AGENT': 'Mine/1',
      'X-Mine': 'yes',
    };
    const { headers, sent } = headersOf('aifai', { own });
    expect(headers).toMatchObject({
      'X-AIFAI-Event': 'notification',
      'X-AIFAI-Signature': signature,
      'user-agent': 'Mine/1',
      'x-mine': 'yes',
    });
    const names = Object.keys(headers).map((name) => name.toLowerCase());
    expect(names).toHaveLength(new Set(names).size);
    expect(Object.values(headers)).not.toContain('forged');
    expect(sent.own).toEqual(['USER-AGENT', 'X-Mine']);
  });

  it('have no signature at all without a secret, nor one of an endpoint’s making', () => {
    const { headers } = headersOf('flock', { secrets: [], own: { 'x-flock-signature': 'forged' } });
    expect(Object.keys(headers).filter((name) => /signature/i.test(name))).toEqual([]);
  });

  it('are signed by the present secret alone in a rotation, where the format has no place for two', () => {
    const secrets = [SECRET, 'former'];
    const { headers } = headersOf('taskflow', { secrets });
    expect(headers['X-TaskFlow-Signature']).toBe(signature);
    expect(headers['webhook-signature']!.split(' ')).toHaveLength(2);
    const standard = { headers: { signature: 'Sig' }, signature: 'standard' } as const;
    const both = headersOf(standard, { secrets }).headers;
    expect(both.Sig).toBe(both['webhook-signature']);
  });

  it('take a whsec_ secret as its text, prefix included, for the hex schemes', () => {
    const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
    expect(headersOf('flock', { secrets: [secret] }).headers['X-Flock-Signature']).toBe(
      `sha256=${hex('{"a":1}', secret)}`,
    );
  });

  it('are shown without what is secret', () => {
    const time = { eventId: 'evt_000000000001', timestampSeconds: 1_736_937_000 };
    const { headers, sent } = headersOf('taskflow', { own: { Authorization: 'Bearer x' } });
    const shown = shownHeaders(sent, time);
    expect(shown).toEqual({
      'content-type': 'application/json',
      'webhook-id': 'evt_000000000001',
      'webhook-timestamp': '1736937000',
      'webhook-signature': '[redacted]',
      'X-TaskFlow-Event': 'job.completed',
      'X-TaskFlow-Delivery-ID': 'dlv_000000000002',
      'X-TaskFlow-Signature': '[redacted]',
      Authorization: '[redacted]',
    });
    const sentNames = Object.keys(headers).map((name) => name.toLowerCase());
    for (const name of Object.keys(shown)) expect(sentNames).toContain(name.toLowerCase());
    expect(headersOf('standard').sent.profile).toBeUndefined();
    expect(shownHeaders(headersOf('standard', { secrets: [] }).sent, time)).not.toHaveProperty(
      'webhook-signature',
    );
  });
});

describe('a signature of one’s own', () => {
  const own = (signature: WireProfileSetting & object) => ({ headers: { signature: 'Sig' }, ...signature });
  const sign = (setting: WireProfileSetting & object, secrets = [SECRET]) =>
    headersOf(own(setting), { secrets }).headers.Sig;

  it('is GitHub’s by default, by the example of its documentation', () => {
    const { headers } = headersOf(own({}), {
      body: 'Hello, World!',
      secrets: ["It's a Secret to Everybody"],
    });
    expect(headers.Sig).toBe('sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17');
  });

  it('may be base64 alone', () =>
    expect(sign({ signature: 'sha256-base64' })).toBe(
      createHmac('sha256', SECRET).update('{"a":1}').digest('base64'),
    ));

  it('may be Stripe’s, with a signature for each secret in a rotation', () => {
    const signature = {
      encoding: 'hex',
      content: '{timestamp}.{body}',
      value: 't={timestamp},v1={signature}',
      former: ',v1={signature}',
    } as const;
    const signed = '1736937000.{"a":1}';
    expect(sign({ signature })).toBe(`t=1736937000,v1=${hex(signed)}`);
    expect(sign({ signature }, [SECRET, 'b', 'c'])).toBe(
      `t=1736937000,v1=${hex(signed)},v1=${hex(signed, 'b')},v1=${hex(signed, 'c')}`,
    );
  });

  it('may have the body anywhere, and the id', () => {
    const signature = {
      encoding: 'base64',
      content: 'v0:{id}:{body}:{timestamp}',
      value: 'v0={signature};{id}',
    } as const;
    const content = 'v0:evt_000000000001:{"a":1}:1736937000';
    expect(sign({ signature })).toBe(
      `v0=${createHmac('sha256', SECRET).update(content).digest('base64')};evt_000000000001`,
    );
  });

  it('takes what it is given as it stands, and no placeholder of the body', () => {
    const signature = { encoding: 'hex', content: '{id}{body}', value: '{signature}' } as const;
    const { headers } = headersOf(own({ signature }), { body: '{id} $& {signature}' });
    expect(headers.Sig).toBe(hex('evt_000000000001{id} $& {signature}'));
  });
});

describe('the defaults', () => {
  const policy = { factor: 2, jitter: 0, max_delay_seconds: 3600, max_retries: 3 };

  it.each<[WireProfileSetting, object, number | undefined]>([
    ['standard', { ...policy, strategy: 'exponential', base_seconds: 1, retry_on: 'non_2xx' }, undefined],
    ['raw', { ...policy, strategy: 'exponential', base_seconds: 1, retry_on: 'non_2xx' }, undefined],
    ['flock', { ...policy, strategy: 'exponential', base_seconds: 1, retry_on: 'non_2xx' }, 30],
    [
      'taskflow',
      { ...policy, strategy: 'exponential', base_seconds: 2, max_delay_seconds: 60, retry_on: 'non_2xx' },
      30,
    ],
    ['aifai', { ...policy, strategy: 'linear', base_seconds: 1, retry_on: '5xx_429' }, 10],
    ['flagship', { ...policy, strategy: 'exponential', base_seconds: 1, retry_on: 'non_2xx' }, 10],
    [{}, { ...policy, strategy: 'exponential', base_seconds: 1, retry_on: 'non_2xx' }, undefined],
  ])('of %j are as documented', (setting, retry, timeoutSeconds) => {
    const profile = wireProfileOf(setting);
    expect(effectiveRetry(profile.retry)).toEqual(retry);
    expect(profile.timeoutSeconds).toBe(timeoutSeconds);
  });

  it('of TaskFlow have its limits, and no other profile has any', () => {
    expect(wireProfileOf('taskflow')).toMatchObject({
      rateLimit: { limit: 1000, period_seconds: 3600, over: 'hold' },
      limits: { maxEndpoints: 10, maxRetries: 10, timeoutSeconds: { min: 5, max: 300 } },
      disableIdle: true,
    });
    for (const name of ['standard', 'raw', 'flock', 'aifai', 'flagship'] as const) {
      for (const field of ['rateLimit', 'limits', 'disableIdle'])
        expect(wireProfileOf(name)).not.toHaveProperty(field);
    }
  });
});

describe('wireProfileOf', () => {
  it('compiles a profile once', () => {
    const setting = { envelope: 'payload' } as const;
    expect(wireProfileOf(setting)).toBe(wireProfileOf(setting));
    expect(wireProfileOf('flock')).toBe(wireProfileOf('flock'));
  });

  it.each(['later', 'constructor', ''])('throws for a name that it does not know: %j', (name) =>
    expect(() => wireProfileOf(name as 'raw')).toThrow(TypeError),
  );
});
