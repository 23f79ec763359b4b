import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Loose,
  type ReceivedRequest,
  Receiver,
  rawRequest,
  type Stack,
  sendRaw,
  startStack,
  Tenant,
} from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;
let other: Tenant;
let appKey: string;

beforeAll(async () => {
  stack = await startStack();
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
  other = await Tenant.create(stack.client, { name: 'the other' });
  appKey = (await stack.client.post(`${tenant.path}/keys`, {})).json.key;
});

const send = (method: string, path: string, body: string, key = stack.apiKey) =>
  rawRequest(stack.client.url, { method, path, body, headers: { authorization: `Bearer ${key}` } });

/** Every line that a process has printed is a line of its log. */
function expectTidyLogs(): void {
  for (const { output } of [stack.api, ...stack.workers]) {
    for (const line of output.split('\n').filter(Boolean)) {
      expect(() => JSON.parse(line), `a line that is no JSON: ${line}`).not.toThrow();
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
      expect(line).not.toContain('"injected"');
    }
  }
}

describe('text that would begin a new header or a new line of the log', () => {
  const BREAKS: [string, string][] = [
    ['CR LF', 'a\r\nx-injected: yes\r\n\r\n{"injected":1}'],
    ['LF', 'a\n{"level":60,"msg":"injected"}'],
    ['CR', 'a\rx-injected: yes'],
    ['NUL', 'a\0b'],
    ['a line separator', 'a\u2028{"injected":1}'],
    ['a paragraph separator', 'a\u2029b'],
    ['a next line', 'a\u0085b'],
    ['ANSI colours', '\u001b[2J\u001b[31mred'],
    ['a C1 control sequence', '\u009b31mred'],
    ['a vertical tab and a form feed', 'a\u000bb\u000cc'],
    ['CR LF in full width', 'a\u560d\u560ax-injected: yes'],
    ['encoded', 'a%0d%0ax-injected:%20yes'],
  ];
  const places: [string, (text: string) => [path: string, body: object]][] = [
    ['event type', (type) => ['/events', { type, payload: 1 }]],
    ['event id', (id) => ['/events', { type: 'inject.event', payload: 1, id }]],
    ['correlation id', (text) => ['/events', { type: 'inject.event', payload: 1, correlation_id: text }]],
    ['environment', (text) => ['/events', { type: 'inject.event', payload: 1, environment: text }]],
    ['content type', (text) => ['/events', { type: 'inject.event', payload: 'x', content_type: text }]],
    [
      'content type parameter',
      (text) => ['/events', { type: 'inject.event', payload: 'x', content_type: `text/plain; a="${text}"` }],
    ],
    ['payload', (payload) => ['/events', { type: 'inject.event', payload }]],
    [
      'raw payload',
      (payload) => [
        '/events',
        { type: 'inject.raw', payload, content_type: 'text/plain', wire_profile: 'raw' },
      ],
    ],
    ['attribute', (text) => ['/events', { type: 'inject.event', payload: 1, attributes: { [text]: text } }]],
    [
      'webhook_url',
      (text) => ['/events', { type: 'inject.event', payload: 1, webhook_url: receiver.url(`/once?${text}`) }],
    ],
    [
      'webhook_secret',
      (text) => [
        '/events',
        { type: 'inject.event', payload: 1, webhook_url: receiver.url('/once'), webhook_secret: text },
      ],
    ],
    [
      'endpoint url',
      (text) => ['/endpoints', { url: receiver.url(`/${text}`), event_types: ['inject.event'] }],
    ],
    ['endpoint name', (name) => ['/endpoints', { url: receiver.url(), name, event_types: ['never'] }]],
    [
      'endpoint description',
      (text) => ['/endpoints', { url: receiver.url(), description: text, event_types: ['never'] }],
    ],
    [
      'endpoint secret',
      (secret) => ['/endpoints', { url: receiver.url('/secret'), secret, event_types: ['inject.event'] }],
    ],
    [
      'header name',
      (text) => [
        '/endpoints',
        { url: receiver.url('/named'), headers: { [text]: 'x' }, event_types: ['inject.event'] },
      ],
    ],
    [
      'header value',
      (text) => [
        '/endpoints',
        { url: receiver.url('/valued'), headers: { 'x-own': text }, event_types: ['inject.event'] },
      ],
    ],
    [
      'metadata',
      (text) => ['/endpoints', { url: receiver.url(), metadata: { [text]: text }, event_types: ['never'] }],
    ],
    ['key name', (name) => ['/keys', { name }]],
    ['test event type', (text) => ['/endpoints/ep_000000000000/test', { event_type: text, payload: 1 }]],
  ];
  /** All that Sealpost sends by itself, beside the endpoints' own. */
  const OURS = new Set([
    'host',
    'connection',
    'content-type',
    'content-length',
    'accept-encoding',
    'user-agent',
    'webhook-id',
    'webhook-timestamp',
    'webhook-signature',
    'x-own',
  ]);
  const headersOf = ({ rawHeaders }: ReceivedRequest) =>
    rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());

  it.each(places)('in %s is refused, or arrives as text', async (place, bodyOf) => {
    for (const [kind, text] of BREAKS) {
      const [path, body] = bodyOf(text);
      const answer = await send('POST', tenant.path + path, JSON.stringify(body));
      expect(answer.status, `${kind}: ${answer.text}`).toBeLessThan(500);
      if (answer.status >= 400) expect([400, 404, 422], `${kind}: ${answer.text}`).toContain(answer.status);
      const names = Object.keys(answer.headers);
      expect(
        names.filter((name) => /inject/.test(name)),
        `${place}, ${kind}`,
      ).toEqual([]);
    }
  });

  it('and so the receivers have seen no header that nobody set', async () => {
    const marker = await tenant.publish({ type: 'inject.event', payload: 'last' });
    for (const { id } of marker.deliveries) await tenant.ended(id);
    expect(receiver.requests.length).toBeGreaterThan(20);
    for (const request of receiver.requests) {
      expect(
        headersOf(request).filter((name) => !OURS.has(name)),
        request.path,
      ).toEqual([]);
      expect(JSON.stringify(request.rawHeaders)).not.toMatch(/\\[rnu]|\u2028|\u2029/);
    }
    expectTidyLogs();
  });

  it.each([
    ['Idempotency-Key', 'idempotency-key'],
    ['Prefer', 'prefer'],
    ['User-Agent', 'user-agent'],
    ['X-Forwarded-For', 'x-forwarded-for'],
    ['X-Request-Id', 'x-request-id'],
    ['Traceparent', 'traceparent'],
  ])('in the header %s', async (_, name) => {
    for (const value of ['a\u009b31m', '\u00ff\u00fe', "';--", '{"injected":1}', 'x'.repeat(4000)]) {
      const answer = await rawRequest(stack.client.url, {
        method: 'POST',
        path: `${tenant.path}/events`,
        headers: { authorization: `Bearer ${stack.apiKey}`, [name]: value },
        body: JSON.stringify({ type: 'nobody.wants', payload: 1 }),
      });
      expect([202, 400], answer.text).toContain(answer.status);
      expect(JSON.stringify(answer.headers)).not.toContain('injected');
    }
    expectTidyLogs();
  });

  it('in a path', async () => {
    for (const path of [
      '/v1/apps/%0d%0aset-cookie:%20a=b',
      '/v1/%0a{"level":60,"injected":1}',
      '/admin/%0d%0ax:y',
      '/%1b[31m',
      '/%e2%80%a8',
    ]) {
      const answer = await rawRequest(stack.client.url, {
        path,
        headers: { authorization: `Bearer ${stack.apiKey}` },
      });
      expect(answer.status, answer.text).toBe(404);
      expect(answer.headers['set-cookie']).toBeUndefined();
      expect(answer.headers.location ?? '').not.toMatch(/[\r\n]/);
    }
    expectTidyLogs();
  });

  it('that is no HTTP, or two requests in one', async () => {
    const head = `POST ${tenant.path}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${stack.apiKey}\r\ncontent-type: application/json\r\n`;
    const smuggled = `GET /v1/apps HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${stack.apiKey}\r\n\r\n`;
    const body = '{"type":"nobody.wants","payload":1}';
    const all = {
      'length and chunks': `${head}content-length: ${body.length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      'two lengths': `${head}content-length: ${body.length}\r\ncontent-length: 0\r\n\r\n${body}${smuggled}`,
      'a negative length': `${head}content-length: -1\r\n\r\n${smuggled}`,
      'an unknown coding': `${head}transfer-encoding: chunked, x\r\n\r\n0\r\n\r\n${smuggled}`,
      'a space before the colon': `${head}content-length : 0\r\n\r\n${smuggled}`,
      'a folded header': `${head}x-a: b\r\n c: d\r\ncontent-length: ${body.length}\r\n\r\n${body}${smuggled}`,
      'a bare CR': `${head}x-a: b\rx-c: d\r\n\r\n${smuggled}`,
      'a NUL': `${head}x-a: b\0c\r\n\r\n${smuggled}`,
      garbage: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'another protocol': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    };
    for (const [kind, bytes] of Object.entries(all)) {
      const { statuses, text } = await sendRaw(stack.client.url, bytes);
      expect(statuses, `${kind}: ${text}`).toEqual([400]);
      expect(text, kind).toContain('application/problem+json');
    }
    const { statuses } = await sendRaw(stack.client.url, `${head}x-a: ${'b'.repeat(20_000)}\r\n\r\n`);
    expect(statuses).toEqual([431]);
  });
});

describe('names that mean something to JavaScript', () => {
  const EVIL =
    '"__proto__":{"polluted":"yes","enabled":false,"isAdmin":true},"constructor":{"prototype":{"polluted":"yes"}}';

  it('are data where data is free, and unknown fields elsewhere; nothing that follows is changed by them', async () => {
    const made = await tenant.endpoint({ url: receiver.url('/data'), event_types: ['proto.event'] });
    const url = JSON.stringify(receiver.url('/never'));
    const unknown: [string, string, string][] = [
      ['POST', '/endpoints', `{"url":${url},${EVIL}}`],
      ['POST', '/endpoints', `{"url":${url},"retry":{${EVIL}}}`],
      ['POST', '/endpoints', `{"url":${url},"rate_limit":{"limit":1,"period_seconds":1,${EVIL}}}`],
      ['POST', '/endpoints', `{"url":${url},"quiet_hours":{"start_hour":1,"end_hour":2,${EVIL}}}`],
      ['POST', '/endpoints', `{"url":${url},"metadata":{${EVIL}}}`],
      ['POST', '/endpoints', `{"url":${url},"headers":{${EVIL}}}`],
      ['POST', '/endpoints', `{"url":${url},"headers":{"__proto__":"x"}}`],
      ['PUT', `/endpoints/${made.id}`, `{"url":${url},${EVIL}}`],
      ['PATCH', `/endpoints/${made.id}`, `{${EVIL}}`],
      ['PATCH', `/endpoints/${made.id}`, '{"__proto__":{"url":"http://127.0.0.1/"}}'],
      ['POST', `/endpoints/${made.id}/secret/rotate`, `{${EVIL}}`],
      ['POST', `/endpoints/${made.id}/replay`, `{${EVIL}}`],
      ['POST', `/endpoints/${made.id}/test`, `{"event_type":"a","payload":1,${EVIL}}`],
      ['POST', `/endpoints/${made.id}/pause`, `{${EVIL}}`],
      ['POST', '/keys', `{${EVIL}}`],
      ['PUT', '', `{${EVIL}}`],
      ['PUT', '', `{"defaults":{${EVIL}}}`],
      ['PUT', '', `{"defaults":{"retry":{${EVIL}}}}`],
      ['POST', '/events', `{"type":"proto.event","payload":1,${EVIL}}`],
      ['POST', '/events', `{"type":"proto.event","payload":1,"attributes":{${EVIL}}}`],
      ['POST', '/events', '{"__proto__":{"type":"proto.event","payload":1}}'],
    ];
    for (const [method, path, body] of unknown) {
      const answer = await send(method, tenant.path + path, body);
      expect(answer.status, `${method} ${path} ${body}: ${answer.text}`).toBe(422);
    }
    const batch = await send(
      'POST',
      `${tenant.path}/events/batch`,
      `{"events":[{"type":"proto.event","payload":1,${EVIL}}]}`,
    );
    expect(batch.json.results[0].problem.code).toBe('validation_failed');

    const payload = `{${EVIL},"toString":1,"hasOwnProperty":null}`;
    const published = await send(
      'POST',
      `${tenant.path}/events`,
      `{"type":"proto.event","payload":${payload}}`,
    );
    expect(published.status, published.text).toBe(202);
    const [request] = await receiver.waitForRequests(1, { path: '/data' });
    expect(request!.text).toContain(`"data":${payload}`);

    const fresh = await tenant.endpoint({ url: receiver.url('/fresh'), event_types: ['never'] });
    expect(fresh).toMatchObject({ enabled: true });
    for (const shown of [
      fresh,
      (await tenant.get('')).json,
      (await stack.client.get('/livez')).json,
      published.json,
    ])
      expect(JSON.stringify(shown)).not.toMatch(/polluted|isAdmin/);
    const problem = await stack.client.withKey(appKey).get('/v1/apps');
    expect([problem.status, 'polluted' in problem.json]).toEqual([403, false]);
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'])(
    '%s is a name like any other in paths and queries',
    async (name) => {
      for (const path of [
        `/v1/apps/${name}`,
        `${tenant.path}/endpoints/${name}`,
        `${tenant.path}/events/${name}`,
        `${tenant.path}/deliveries/${name}`,
        `${tenant.path}/keys/${name}`,
        `${tenant.path}/replays/${name}`,
        `${tenant.path}/correlations/${name}`,
        `${tenant.path}/${name}`,
        `/${name}`,
        `/admin/${name}`,
      ])
        expect((await stack.client.get(path)).status, path).toBe(404);
      expect((await stack.client.get(`${tenant.path}/deliveries?${name}=1`)).status).toBe(400);
      expect((await stack.client.get(`${tenant.path}/deliveries?${name}[x]=1`)).status).toBe(400);
    },
  );

  it('are ids of events that can be published and found', async () => {
    for (const id of ['__proto__', 'constructor']) {
      const correlation = { correlation_id: id };
      expect((await tenant.publish({ type: 'nobody.wants', payload: 1, id, ...correlation })).id).toBe(id);
      expect((await tenant.get(`/events/${id}`)).status).toBe(200);
      expect((await tenant.get(`/correlations/${id}`)).json.events).toBe(1);
    }
  });
});

describe('a path that is not what it seems leads nowhere', () => {
  const tricks = (mine: string, theirs: string) => [
    `${mine}/../${theirs.split('/').at(-1)}`,
    `${mine}/..%2f${theirs.split('/').at(-1)}`,
    `${mine}/%2e%2e/${theirs.split('/').at(-1)}/endpoints`,
    `${mine}/%252e%252e/${theirs.split('/').at(-1)}/endpoints`,
    `${mine}%2f..%2f${theirs.split('/').at(-1)}/endpoints`,
    `${mine};/../${theirs.split('/').at(-1)}`,
    `${mine}%00/endpoints`,
    `${theirs}%00`,
    `${theirs}%20`,
    `${theirs}/`,
    `${theirs}//endpoints`,
    `/${theirs}`,
    `//v1/apps`,
    `/./v1/apps`,
    `/v1/./apps`,
    `/v1/apps/`,
    `/v1/apps/.`,
    `/v1/apps/..`,
    `/v1/apps;x=y`,
    theirs.toUpperCase(),
    theirs.replace('v1', 'V1'),
    `/admin/../v1/apps`,
    `/admin/queues/../../v1/apps`,
    `/docs/../admin/queues/api/queues`,
    `/docs/%2e%2e/admin/queues/api/queues`,
    `/docs/style.css/../../admin/queues/api/queues`,
    `/livez/../v1/apps`,
    `/ADMIN/queues/api/queues`,
    `/admin//queues/api/queues`,
    `\\v1\\apps`,
    `/v1/apps/${'a'.repeat(8000)}`,
    `/${'../'.repeat(1000)}etc/passwd`,
    `/v1/apps/${'%2e'.repeat(2000)}`,
  ];

  it('for who has an app’s key', async () => {
    const headers = { authorization: `Bearer ${appKey}` };
    for (const path of tricks(tenant.path, other.path)) {
      const answer = await rawRequest(stack.client.url, { path, headers });
      expect([400, 401, 403, 404, 431], `${path}: ${answer.text}`).toContain(answer.status);
      expect(answer.text).not.toContain('the other');
    }
  });

  it('for who has none', async () => {
    for (const path of tricks(tenant.path, other.path)) {
      const { status, text } = await rawRequest(stack.client.url, { path });
      expect([400, 401, 404, 431], `${path}: ${text}`).toContain(status);
    }
  });

  it('in the files of Bull Board', async () => {
    const headers = { authorization: `Bearer ${stack.apiKey}` };
    const up = ['..%2f', '%2e%2e/', '../', '..%5c', '%252e%252e%252f', '....//', '.%00./'];
    for (const step of up) {
      for (const file of ['package.json', 'etc/passwd', '.env']) {
        const path = `/admin/queues/static/${step.repeat(8)}${file}`;
        const { text, status } = await rawRequest(stack.client.url, { path, headers });
        expect(text, path).not.toMatch(/"version":|root:x:|SEALPOST_/);
        expect(status, path).toBeLessThan(500);
      }
    }
  });

  it('nor does an absolute URL or another host name', async () => {
    const absolute = await rawRequest(stack.client.url, { path: 'http://evil.example/v1/apps' });
    expect([400, 401, 404]).toContain(absolute.status);
    const headers = { authorization: `Bearer ${stack.apiKey}`, host: 'evil.example' };
    const made = await rawRequest(stack.client.url, {
      method: 'POST',
      path: `${tenant.path}/endpoints`,
      headers,
      body: JSON.stringify({ url: receiver.url('/host'), event_types: ['never'] }),
    });
    expect(made.status).toBe(201);
    expect(JSON.stringify([made.headers, made.json])).not.toContain('evil.example');
  });
});

describe('JSON that is large, deep or strange is answered at once', () => {
  const MIB = 1024 * 1024;
  async function quickly(method: string, path: string, body: string): Promise<Loose> {
    const since = performance.now();
    const answer = await send(method, tenant.path + path, body);
    expect(performance.now() - since, `${body.slice(0, 60)} … ms`).toBeLessThan(20_000); // what is quadratic takes minutes
    expect(answer.status, answer.text.slice(0, 300)).toBeLessThan(500);
    expect(answer.text.length).toBeLessThan(MIB);
    return answer;
  }
  const event = (payload: string) => `{"type":"nobody.wants","payload":${payload}}`;

  it('1 MiB of opened lists and objects', async () => {
    for (const open of ['[', '{"a":', '{"a":[', '"\\u0000', '"\\\\', '-', '1']) {
      const body = open.repeat(Math.floor((MIB - 50) / open.length));
      expect((await quickly('POST', '/events', body)).status, open).toBeGreaterThanOrEqual(400);
      expect((await quickly('POST', '/endpoints', body)).status, open).toBeGreaterThanOrEqual(400);
    }
  });

  it('500,000 lists in each other, as payload and where they must not be', async () => {
    const deep = '['.repeat(500_000) + ']'.repeat(500_000);
    expect((await quickly('POST', '/events', event(deep))).status).toBe(202);
    const objects = `${'{"a":'.repeat(150_000)}1${'}'.repeat(150_000)}`;
    expect((await quickly('POST', '/events', event(objects))).status).toBe(202);
    for (const field of ['metadata', 'headers', 'retry', 'event_types', 'url', 'rate_limit', 'description'])
      expect(
        (await quickly('POST', '/endpoints', `{"url":"https://a.example","${field}":${objects}}`)).status,
        field,
      ).toBe(422);
    expect(
      (await quickly('POST', '/events', `{"type":"a","payload":1,"attributes":${objects}}`)).status,
    ).toBe(422);
    expect((await quickly('POST', '/events/batch', `{"events":${deep}}`)).status).toBe(202);
  });

  it('100,000 keys: at most 50 of them are told about', async () => {
    const keys = `{${Array.from({ length: 90_000 }, (_, i) => `"k${i}":1`).join(',')}}`;
    expect((await quickly('POST', '/events', event(keys))).status).toBe(202);
    for (const [path, body] of [
      ['/endpoints', keys],
      ['/endpoints', `{"url":"https://a.example","metadata":${keys}}`],
      ['/endpoints', `{"url":"https://a.example","headers":${keys}}`],
      ['/endpoints', `{"url":"https://a.example","retry":${keys}}`],
      ['/events', `{"type":"a","payload":1,"attributes":${keys}}`],
    ] as const) {
      const { status, json } = await quickly('POST', path, body);
      expect([status, json.errors.length <= 50], path).toEqual([422, true]);
    }
    const types = JSON.stringify(Array.from({ length: 90_000 }, () => 'a.b'));
    expect(
      (await quickly('POST', '/endpoints', `{"url":"https://a.example","event_types":${types}}`)).status,
    ).toBe(422);
    const bad = JSON.stringify(Array.from({ length: 1000 }, () => ({ '': 1 })));
    expect((await quickly('POST', '/events/batch', `{"events":${bad}}`)).status).toBe(202);
  });

  it('numbers beyond all bounds arrive digit for digit, and set nothing', async () => {
    await tenant.endpoint({ url: receiver.url('/digits'), event_types: ['digits.event'] });
    const payload = `[1e9999,-1e9999,1${'0'.repeat(400)},0.${'3'.repeat(400)},-0,1E+2]`;
    const answer = await send(
      'POST',
      `${tenant.path}/events`,
      `{"type":"digits.event","payload":${payload}}`,
    );
    expect(answer.status, answer.text).toBe(202);
    const [request] = await receiver.waitForRequests(1, { path: '/digits' });
    expect(request!.text).toContain(`"data":${payload}`);
    for (const number of ['1e9999', '-1e9999', '1e308', `1${'0'.repeat(400)}`, '-0.5'])
      for (const field of [
        '"timeout_seconds":N',
        '"max_concurrency":N',
        '"rate_limit":{"limit":N,"period_seconds":1}',
        '"metadata":{"a":1},"quiet_hours":{"start_hour":N,"end_hour":1}',
      ])
        expect(
          (
            await send(
              'POST',
              `${tenant.path}/endpoints`,
              `{"url":"https://a.example",${field.replace('N', number)}}`,
            )
          ).status,
          `${field} ${number}`,
        ).toBe(422);
    expect(
      (await send('POST', `${tenant.path}/endpoints`, '{"url":"https://a.example","metadata":{"a":1e9999}}'))
        .status,
    ).toBe(422);
  });

  it('a key given twice, or written with escapes, means one thing to all who read it', async () => {
    await tenant.endpoint({ url: receiver.url('/twice'), event_types: ['twice.event'] });
    const bodies = [
      '{"type":"nobody.wants","type":"twice.event","payload":"first","payload":"last"}',
      '{"payload":"first","type":"twice.event","p\\u0061yload":"last"}',
      '{"type":"twice.event","\\u0070\\u0061\\u0079load":"first","payload":"last"}',
      '{"payload":{"payload":"first"},"type":"twice.event","payload" \n:\t"last"}',
    ];
    for (const body of bodies) {
      const answer = await send('POST', `${tenant.path}/events`, body);
      expect(answer.status, `${body}: ${answer.text}`).toBe(202);
    }
    const batch = `{"events":[{"type":"twice.event","payload":"first"},{"type":"a"}],"ev\\u0065nts":[{"type":"twice.event","payload":"first","payload":"last"}]}`;
    const answered = await send('POST', `${tenant.path}/events/batch`, batch);
    expect(
      answered.json.results.map(({ status }: Loose) => status),
      answered.text,
    ).toEqual([202]);
    const requests = await receiver.waitForRequests(bodies.length + 1, { path: '/twice' });
    expect(requests.map(({ text }) => JSON.parse(text).data)).toEqual(Array(bodies.length + 1).fill('last'));
  });

  it('lines of NDJSON: each fails alone', async () => {
    const lines = [
      '{"type":"a.b","payload":1}',
      '['.repeat(200_000),
      '{"type":"a.b","payload":1e9999}',
      '\0',
      '"x"',
      'null',
      '{"__proto__":1}',
      'x'.repeat(MIB + 10),
      '{"type":"a.b","payload":2}',
    ];
    const answer = await rawRequest(stack.client.url, {
      method: 'POST',
      path: `${tenant.path}/events/batch`,
      headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    });
    const results = answer.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).status);
    expect(results).toEqual([202, 400, 202, 400, 422, 422, 422, 413, 202]);
  });
});

it('nothing of all this was a fault, and everything goes on', async () => {
  for (const { logs } of [stack.api, ...stack.workers])
    expect(logs.filter(({ level }) => level >= 50)).toEqual([]);
  await tenant.endpoint({ url: receiver.url('/after'), event_types: ['after.event'] });
  await tenant.publish({ type: 'after.event', payload: 1 });
  await receiver.waitForRequests(1, { path: '/after' });
});
