import { createHmac } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Loose, Receiver, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';

let stack: Stack;
let receiver: Receiver;
let tenant: Tenant;

beforeAll(async () => {
  stack = await startStack();
});

beforeEach(async () => {
  receiver = await Receiver.listen();
  tenant = await Tenant.create(stack.client);
});

/** Flock's document: "Filtering Webhooks", "Slack Integration", "Discord Integration", written in CEL. */
const SEVERITY = 'type == "BugAnalysis" && payload.severity in ["Critical", "High"]';
const SLACK = `{
  "text": "New " + type + " from " + attributes.produced_by,
  "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*" + type + "*\\n" + json(payload, 2)}}]
}`;
const DISCORD = `{
  "content": "New artifact: " + type,
  "embeds": [{
    "title": type,
    "description": "Produced by: " + attributes.produced_by,
    "fields": payload.map(k, {
      "name": k, "value": type(payload[k]) == string ? payload[k] : json(payload[k]), "inline": true
    })
  }]
}`;
/** The artifact of "Webhook Payload". */
const ARTIFACT = {
  type: 'BugAnalysis',
  payload: { severity: 'High', bugs_found: ['Memory leak in cache handler'], confidence: 0.92 },
  attributes: { produced_by: 'bug_detector' },
};
/** What Python's `json.dumps(artifact.payload, indent=2)` writes. */
const DUMPED = `{
  "severity": "High",
  "bugs_found": [
    "Memory leak in cache handler"
  ],
  "confidence": 0.92
}`;

/** Never ends in time, whatever the machine. */
const ENDLESS =
  'payload.list.map(a, payload.list.map(b, payload.list.map(c, payload.list.map(d, payload.list.map(e, e)))))';
const LIST = Array.from({ length: 100 }, (_, i) => i);

const patch = (id: string, change: object) => stack.client.patch(`${tenant.path}/endpoints/${id}`, change);
const dryRun = (id: string, event: object) =>
  stack.client.post(`${tenant.path}/endpoints/${id}/test`, { dry_run: true, ...event });

describe("Flock's examples", () => {
  it('the severity filter lets only high-severity analyses through', async () => {
    const endpoint = await tenant.endpoint({ url: receiver.url(), filter: SEVERITY });
    expect(endpoint).toMatchObject({ filter: SEVERITY, transform: null });
    const targets = async (type: string, payload: object) =>
      (await tenant.publish({ type, payload })).deliveries.length;
    expect(await targets('BugAnalysis', { severity: 'High' })).toBe(1);
    expect(await targets('BugAnalysis', { severity: 'Critical' })).toBe(1);
    expect(await targets('BugAnalysis', { severity: 'Low' })).toBe(0);
    expect(await targets('CodeReview', {})).toBe(0);
    const requests = await receiver.waitForRequests(2);
    expect(requests.map(({ text }) => JSON.parse(text).data.severity).sort()).toEqual(['Critical', 'High']);
  });

  it('the Slack message is the documented one, signed as it is sent', async () => {
    const secret = 'slack-secret';
    await tenant.endpoint({ url: receiver.url(), transform: SLACK, wire_profile: 'flock', secret });
    await tenant.publish(ARTIFACT);
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toEqual({
      text: 'New BugAnalysis from bug_detector',
      blocks: [{ type: 'section', text: { type: 'mrkdwn', text: `*BugAnalysis*\n${DUMPED}` } }],
    });
    expect(request!.headers['content-type']).toBe('application/json');
    const signature = createHmac('sha256', secret).update(request!.body).digest('hex');
    expect(request!.headers['x-flock-signature']).toBe(`sha256=${signature}`);
  });

  it('the Discord message has a field for each of the payload', async () => {
    await tenant.endpoint({ url: receiver.url(), transform: DISCORD });
    await tenant.publish(ARTIFACT);
    const [request] = await receiver.waitForRequests(1);
    expect(JSON.parse(request!.text)).toEqual({
      content: 'New artifact: BugAnalysis',
      embeds: [
        {
          title: 'BugAnalysis',
          description: 'Produced by: bug_detector',
          fields: [
            { name: 'severity', value: 'High', inline: true },
            { name: 'bugs_found', value: '["Memory leak in cache handler"]', inline: true },
            { name: 'confidence', value: '0.92', inline: true },
          ],
        },
      ],
    });
  });
});

describe('a filter', () => {
  it('counts in batches and streams as well', async () => {
    await tenant.endpoint({ url: receiver.url(), filter: 'payload.n > 1 || environment == "eu"' });
    const events = [
      { type: 'a', payload: { n: 1 } },
      { type: 'a', payload: { n: 2 } },
      { type: 'a', payload: { n: 0 }, environment: 'eu' },
    ];
    const batch = await stack.client.post(`${tenant.path}/events/batch`, { events });
    expect(batch.json.results.map((result: Loose) => result.event.deliveries.length)).toEqual([0, 1, 1]);
    const lines = events.map((event) => JSON.stringify(event)).join('\n');
    const headers = { 'content-type': 'application/x-ndjson' };
    const stream = await stack.client.post(`${tenant.path}/events/batch`, lines, headers);
    const answers = stream.text.trim().split('\n');
    expect(answers.map((line) => JSON.parse(line).event.deliveries.length)).toEqual([0, 1, 1]);
  });

  it('on what is known only later is decided before the attempt', async () => {
    await tenant.endpoint({ url: receiver.url(), filter: 'sequence == 2 && id.startsWith("evt_")' });
    const statuses = [];
    for (let i = 0; i < 3; i++) {
      const delivery = await tenant.ended(await tenant.send({ correlation_id: 'flow' }));
      statuses.push([delivery.status, delivery.reason, delivery.attempt_count, delivery.attempts.length]);
    }
    const filtered = ['skipped', 'filtered', 0, 0];
    expect(statuses).toEqual([filtered, ['delivered', null, 1, 1], filtered]);
    expect(receiver.requests).toHaveLength(1);
  });

  it('that errs skips the delivery, which says why', async () => {
    await tenant.endpoint({ url: receiver.url(), filter: 'payload.missing > 1' });
    const delivery = await tenant.ended(await tenant.send());
    expect(delivery).toMatchObject({
      status: 'skipped',
      reason: 'filter_failed',
      attempt_count: 1,
      attempts: [
        {
          error: 'filter_failed',
          error_message: 'The filter failed: no such field: "missing".',
          request: { headers: {} },
          response: null,
        },
      ],
    });
    expect(receiver.requests).toHaveLength(0);
  });

  it('over a payload that is too large errs', async () => {
    await tenant.endpoint({ url: receiver.url(), filter: 'has(payload.text)' });
    const delivery = await tenant.ended(await tenant.send({ payload: { text: 'x'.repeat(70_000) } }));
    expect(delivery).toMatchObject({ status: 'skipped', reason: 'filter_failed' });
    expect(delivery.attempts[0].error_message).toContain('more than 65536 bytes');
  });

  it('is not asked when a delivery was accepted before it was changed', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url(), filter: 'payload.n == 1' });
    await stack.client.post(`${tenant.path}/endpoints/${id}/pause`, {});
    const delivery = await tenant.send();
    await patch(id, { filter: 'payload.n == 2' });
    await stack.client.post(`${tenant.path}/endpoints/${id}/resume`, {});
    expect(await tenant.ended(delivery)).toMatchObject({ status: 'delivered' });
  });

  it('is not asked for a test, and null removes it', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url(), filter: 'payload.n == 7' });
    const event = { event_type: 'a.b', payload: { n: 1 }, environment: 'eu', attributes: { a: ['b'] } };
    const test = await stack.client.post(`${tenant.path}/endpoints/${id}/test`, event);
    expect(test.status, test.text).toBe(202);
    expect(await tenant.ended(test.json.id)).toMatchObject({ status: 'delivered' });
    expect((await tenant.publish({ type: 'a', payload: { n: 1 } })).deliveries).toEqual([]);
    expect((await patch(id, { description: 'kept' })).json).toMatchObject({ filter: 'payload.n == 7' });
    expect((await patch(id, { filter: null })).json).toMatchObject({ filter: null });
    expect((await tenant.publish({ type: 'a', payload: { n: 1 } })).deliveries).toHaveLength(1);
    const put = await stack.client.put(`${tenant.path}/endpoints/${id}`, {
      url: receiver.url(),
      filter: 'false',
      transform: 'payload',
    });
    expect(put.json).toMatchObject({ filter: 'false', transform: 'payload' });
  });
});

describe('a transform', () => {
  it.each([
    ['payload.n + 1', 2, 'application/json'],
    ['[type, environment, correlation_id, sequence]', ['a.b', null, 'c', 1], 'application/json'],
    ['null', null, 'application/json'],
    ['{"at": timestamp, "bytes": bytes("hi"), "big": 9007199254740993}', undefined, 'application/json'],
  ])('%s is sent as JSON', async (transform, expected, type) => {
    await tenant.endpoint({ url: receiver.url(), transform });
    const event = await tenant.publish({ type: 'a.b', payload: { n: 1 }, correlation_id: 'c' });
    const [request] = await receiver.waitForRequests(1);
    expect(request!.headers['content-type']).toBe(type);
    if (expected !== undefined) expect(JSON.parse(request!.text)).toEqual(expected);
    else {
      const at = event.created_at.replace('.000Z', 'Z');
      expect(request!.text).toBe(`{"at":"${at}","bytes":"aGk=","big":9007199254740993}`);
    }
  });

  it('that makes a text sends the text', async () => {
    await tenant.endpoint({ url: receiver.url('/text'), transform: '"héllo " + id' });
    const event = await tenant.publish({ type: 'a', payload: 1 });
    const [request] = await receiver.waitForRequests(1);
    expect(request!.text).toBe(`héllo ${event.id}`);
    expect(request!.headers['content-type']).toBe('text/plain; charset=utf-8');
    await tenant.publish({ type: 'a', payload: '<a/>', content_type: 'text/xml' });
    const [, xml] = await receiver.waitForRequests(2);
    expect(xml!.headers['content-type']).toBe('text/xml');
  });

  it('that errs ends the delivery, which says why; mended, a retry delivers it', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url(), transform: 'payload.missing' });
    const delivery = await tenant.ended(await tenant.send());
    expect(delivery).toMatchObject({
      status: 'dead',
      reason: 'transform_failed',
      attempts: [
        { error: 'transform_failed', error_message: 'The transform failed: no such field: "missing".' },
      ],
    });
    await patch(id, { transform: 'payload.n' });
    const retried = await stack.client.post(`${tenant.path}/deliveries/${delivery.id}/retry`, {});
    expect(retried.status, retried.text).toBeLessThan(300);
    expect(await tenant.hasStatus(delivery.id, 'delivered')).toMatchObject({ attempt_count: 2 });
    expect(receiver.requests[0]!.text).toBe('1');
  });
});

describe('a dry run', () => {
  it('answers with what would be posted, and publishes nothing', async () => {
    const { id } = await tenant.endpoint({
      url: receiver.url(),
      filter: SEVERITY,
      transform: SLACK,
      headers: { Authorization: 'Bearer x' },
    });
    const event = { event_type: 'BugAnalysis', payload: ARTIFACT.payload, attributes: ARTIFACT.attributes };
    const answer = await dryRun(id, event);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.json).toMatchObject({
      dry_run: true,
      delivers: true,
      content_type: 'application/json',
      headers: { 'webhook-signature': '[redacted]', Authorization: '[redacted]' },
    });
    expect(JSON.parse(answer.json.body).blocks[0].text.text).toBe(`*BugAnalysis*\n${DUMPED}`);
    const low = await dryRun(id, { ...event, payload: { severity: 'Low' }, attributes: {} });
    expect(low.json).toMatchObject({ dry_run: true, delivers: false, body: null });
    expect((await tenant.get('/deliveries')).json.data).toEqual([]);
  });

  it('without expressions shows the body of the wire profile', async () => {
    const { id } = await tenant.endpoint({ url: receiver.url(), wire_profile: 'raw' });
    const answer = await dryRun(id, { event_type: 'a', sample_data: { n: 1 } });
    expect(answer.json).toMatchObject({ delivers: true, body: '{"n":1}', content_type: 'application/json' });
  });

  it.each([
    [{ filter: 'payload.missing' }, 'filter', 'no such field: "missing"'],
    [{ transform: '1 / 0' }, 'transform', 'division by zero'],
    [{ transform: ENDLESS }, 'transform', 'it took longer than 50 ms, or more memory than it may'],
  ])('of %j says why it fails', async (expressions, path, message) => {
    const { id } = await tenant.endpoint({ url: receiver.url(), ...expressions });
    const answer = await dryRun(id, { event_type: 'a', payload: { list: LIST } });
    expect(answer.status).toBe(422);
    expect(answer.json).toMatchObject({ code: 'expression_failed', errors: [{ path, message }] });
  });
});

describe('a hostile transform', () => {
  it('is ended, and shown so; its endpoint is disabled, and all others go on', async () => {
    const hostile = await tenant.endpoint({ url: receiver.url('/hostile'), transform: ENDLESS });
    const other = await Tenant.create(stack.client);
    await other.endpoint({ url: receiver.url('/other'), transform: 'payload.list.map(x, x + 1)' });
    const deliveries = [];
    for (let i = 0; i < 6; i++) {
      deliveries.push(await tenant.send({ payload: { list: LIST } }));
      await other.send({ payload: { list: [1, i] } });
    }
    const first = await tenant.ended(deliveries[0]!);
    expect(first).toMatchObject({ status: 'dead', reason: 'transform_failed' });
    expect(first.attempts[0].error_message).toBe(
      'The transform took longer than 50 ms, or more memory than it may.',
    );
    const others = await receiver.waitForRequests(6, { path: '/other' });
    expect(others.map(({ text }) => text).sort()).toEqual([
      '[2,1]',
      '[2,2]',
      '[2,3]',
      '[2,4]',
      '[2,5]',
      '[2,6]',
    ]);
    const disabled = await waitFor(
      async () => {
        const { json } = await tenant.get(`/endpoints/${hostile.id}`);
        return json.enabled ? undefined : json;
      },
      { describe: 'the endpoint to be disabled' },
    );
    expect(disabled).toMatchObject({ enabled: false, disabled_reason: 'expression_killed' });
    expect(receiver.to('/hostile')).toHaveLength(0);
    await other.send({ payload: { list: [] } });
    await receiver.waitForRequests(7, { path: '/other' });
  });
});
