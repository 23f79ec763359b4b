import { createHmac } from 'node:crypto';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { type Env, type Stack, startStack, Tenant, waitFor } from './harness/index.ts';
import { needing } from './seeds/needing.ts';
import { deliverTo, post, proveReceiver, type Sender } from './seeds/prove-receiver.ts';
import { buildGo, folderWith, runServer } from './seeds/run-receiver.ts';

const RECEIVERS = join(import.meta.dirname, '..', 'examples', 'receivers');

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});

type Run = (env: Env, lines?: string[]) => Promise<string>;

const runNode: Run = (env, lines) =>
  runServer(process.execPath, [join(RECEIVERS, 'node', 'server.mjs')], { PORT: '0', ...env }, lines);
const runPython: Run = (env, lines) =>
  runServer('python3', [join(RECEIVERS, 'python', 'server.py')], { PORT: '0', ...env }, lines);

let built: Promise<string> | undefined;
const runGo: Run = async (env, lines) => {
  built ??= (async () => {
    const folder = await folderWith({});
    await cp(join(RECEIVERS, 'go'), folder, { recursive: true });
    return buildGo(folder);
  })();
  return runServer(await built, [], { PORT: '0', ...env }, lines);
};

const LANGUAGES = [
  { name: 'Node', it: needing(), run: runNode },
  { name: 'Python', it: needing('python'), run: runPython },
  { name: 'Go', it: needing('go'), run: runGo },
];

const EVENT = { type: 'order.created', payload: { text: 'héllo \u{1F600}', n: 1 } };
const NOW = () => Math.floor(Date.now() / 1000);

/** The headers of Standard Webhooks for a body, by the specification alone. */
function standardHeaders(
  secret: string,
  body: Buffer,
  timestamp: number,
  id = 'evt_1',
): Record<string, string> {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret;
  const hmac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': `v1,${hmac.digest('base64')}`,
  };
}

const WHSEC = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

describe.each(LANGUAGES)('the receiver in $name', ({ it, run }) => {
  it('takes genuine deliveries, and refuses all others with 401', async () => {
    for (const [secret, other] of [
      [WHSEC, `whsec_${Buffer.alloc(32, 8).toString('base64')}`],
      ['a secret that is a text, ü', 'another'],
    ] as [string, string][]) {
      const url = await run({ SECRET: secret });
      const { delivery, request } = await deliverTo(url, stack, { ...STANDARD, secret });
      expect(delivery).toMatchObject({ status: 'delivered', last_status_code: 204 });
      const { headers, body } = request;
      const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers;
      const signed = (at: number, by = secret, of = body) => standardHeaders(by, of, at, id);
      expect(signed(Number(timestamp)), 'as Sealpost signs').toMatchObject({
        'webhook-signature': signature,
      });

      const changed = Buffer.from(request.text.replace('{', '{ '));
      expect(await post(url, headers, changed), 'changed body').toBe(401);
      expect(await post(url, headers, body.subarray(0, -1)), 'cut body').toBe(401);
      const refused: Record<string, Record<string, string>> = {
        'wrong secret': signed(NOW(), other),
        'stale timestamp': signed(NOW() - 400),
        'early timestamp': signed(NOW() + 400),
        'another time': { 'webhook-timestamp': String(Number(timestamp) - 1) },
        'another id': { 'webhook-id': 'evt_other' },
        'empty signature': { 'webhook-signature': '' },
        'short signature': { 'webhook-signature': 'v1,' },
        'no version': { 'webhook-signature': signature!.slice(3) },
        'another version': { 'webhook-signature': signature!.replace('v1,', 'v1a,') },
        'no ASCII': { 'webhook-signature': `v1,\u00e9${signature!.slice(4)}` },
        'long signature': { 'webhook-signature': `v1,${'A'.repeat(4000)}` },
        'timestamp that is no number': { 'webhook-timestamp': `${timestamp}x` },
        'timestamp in another notation': { 'webhook-timestamp': `0x${Number(timestamp).toString(16)}` },
        'huge timestamp': { 'webhook-timestamp': '9'.repeat(400) },
        'negative timestamp': { 'webhook-timestamp': `-${timestamp}` },
      };
      for (const [what, wrong] of Object.entries(refused)) {
        expect(await post(url, { ...headers, ...wrong }, body), what).toBe(401);
      }
      for (const missing of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
        const { [missing]: _, ...rest } = headers;
        expect(await post(url, rest, body), `no ${missing}`).toBe(401);
      }
      expect(await post(url, { ...headers, ...signed(NOW() - 200) }, body), 'still fresh').toBe(204);
    }
  });

  it('does the work of a delivery once', async () => {
    const lines: string[] = [];
    const url = await run({ SECRET: WHSEC }, lines);
    const work = () => lines.filter((line) => line.startsWith('handled'));
    const body = Buffer.from('{}');
    for (const id of ['evt_a', 'evt_a', 'evt_b', 'evt_a', 'evt_c']) {
      expect(await post(url, standardHeaders(WHSEC, body, NOW(), id), body)).toBe(204);
    }
    await waitFor(() => work().some((line) => line.includes('evt_c')), {
      describe: 'the work to be printed',
    });
    expect(work()).toEqual(['evt_a', 'evt_b', 'evt_c'].map((id) => `handled ${id} 2 bytes`));
  });

  it('takes the deliveries of a secret under rotation, whether it knows the old or the new one', async () => {
    const url = await run({ SECRET: WHSEC });
    const tenant = await Tenant.create(stack.client);
    const { id } = await tenant.endpoint({ url, secret: WHSEC });
    const rotated = await stack.client.post(`${tenant.path}/endpoints/${id}/secret/rotate`, {});
    const byOld = await tenant.ended(await tenant.send(EVENT));
    expect(byOld).toMatchObject({ status: 'delivered' });
    const other = await run({ SECRET: rotated.json.secret });
    await stack.client.patch(`${tenant.path}/endpoints/${id}`, { url: other });
    expect(await tenant.ended(await tenant.send(EVENT))).toMatchObject({ status: 'delivered' });
  });

  it("verifies a profile's own sha256= header", async () => {
    const url = await run({ SECRET: WHSEC, SIGNATURE_HEADER: 'X-Flagship-Signature' });
    expect(await proveReceiver(url, stack, FLAGSHIP)).toEqual({
      changedBody: 401,
      wrongSecret: 401,
      missingHeader: 401,
      emptySignature: 401,
    });
    const body = Buffer.from('{}');
    for (const odd of ['sha256', 'sha256=', `sha256=\u00e9${'0'.repeat(63)}`, 'sha256='.repeat(500)]) {
      expect(await post(url, { 'x-flagship-signature': odd }, body), odd).toBe(401);
    }
  });

  it('refuses a body that is too large, and another method, and stays up', async () => {
    const url = await run({ SECRET: WHSEC });
    const large = Buffer.alloc(3 * 1024 * 1024);
    const answer = await post(url, {}, large).catch(() => 'cut off');
    expect([413, 'cut off']).toContain(answer);
    expect((await fetch(url)).status).toBeGreaterThanOrEqual(400);
    const body = Buffer.from('{}');
    expect(await post(url, standardHeaders(WHSEC, body, NOW()), body)).toBe(204);
  });
});

const STANDARD: Sender = { profile: 'standard', header: 'webhook-signature', secret: WHSEC, event: EVENT };
const FLAGSHIP: Sender = {
  profile: 'flagship',
  header: 'x-flagship-signature',
  secret: WHSEC,
  event: { ...EVENT, payload: { data: EVENT.payload } },
};
