import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient, Receiver, type Stack, startStack, waitFor } from './harness/index.ts';

const CHROMIUM = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
  .filter((path) => path !== undefined)
  .find((path) => existsSync(path));
if (!CHROMIUM) {
  console.log(
    'Skipped: the tests of Bull Board in a browser, as there is no Chromium (apt-get install chromium, or CHROMIUM_PATH).',
  );
}

let stack: Stack;
let receiver: Receiver;
let secret: string;

beforeAll(async () => {
  stack = await startStack({ apiEnv: { SEALPOST_BOARD_WRITABLE: 'true' } });
  receiver = await Receiver.listen();
  receiver.respond(503);
  const made = await stack.client.post('/v1/apps/default/endpoints', {
    url: receiver.url('/hook'),
    headers: { 'x-token': 'header-secret-1234' },
    retry: { max_retries: 0 },
  });
  secret = made.json.secret;
});

/** A delivery that is dead, and whose job BullMQ has failed. */
async function dead(): Promise<{ delivery: string; job: string }> {
  const published = await stack.client.post('/v1/apps/default/events', { type: 'board.test', payload: 1 });
  const delivery: string = published.json.deliveries[0].id;
  const job = `${delivery}-1`;
  await waitFor(async () => (await stack.redis.client.zscore('{sp:0}:deliveries-0:failed', job)) !== null, {
    describe: `job ${job} to be failed`,
  });
  expect((await show(delivery)).status).toBe('dead');
  return { delivery, job };
}

async function show(delivery: string) {
  return (await stack.client.get(`/v1/apps/default/deliveries/${delivery}`)).json;
}

const sameOrigin = () => ({ origin: stack.client.url });
const form = (key: string) => `key=${encodeURIComponent(key)}`;
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

describe('Bull Board', () => {
  const board = '/admin/queues/api/queues';

  it('is shown to nobody without an operator’s key', async () => {
    const anyone = stack.client.withKey(undefined);
    expect((await anyone.get(board)).status).toBe(401);
    const page = await anyone.get('/admin/queues', { accept: 'text/html' });
    expect([page.status, page.headers.get('location')]).toEqual([303, '/admin/login']);
    const appKey = (await stack.client.post('/v1/apps/default/keys', {})).json.key;
    expect((await stack.client.withKey(appKey).get(board)).status).toBe(401);
    expect((await stack.client.get(board)).status).toBe(200);
    const forged = await anyone.get(board, { cookie: `sealpost_session=9999999999.${'A'.repeat(43)}` });
    expect(forged.status).toBe(401);
  });

  it('is read-only unless it was made writable', async () => {
    const api = await stack.addApi({ SEALPOST_BOARD_WRITABLE: 'false' });
    const client = new ApiClient(api.url, stack.apiKey);
    const { job, delivery } = await dead();
    const refused = await client.put(`${board}/deliveries-0/${job}/retry`, {});
    expect(refused.status).toBe(405);
    expect((await show(delivery)).attempt_count).toBe(1);
    await api.stop();
  });

  it('takes no write that another site made the browser send', async () => {
    const login = await stack.client
      .withKey(undefined)
      .post('/admin/login', form(stack.apiKey), { ...FORM, ...sameOrigin() });
    const cookie = login.headers.get('set-cookie')!.split(';')[0]!;
    const browser = stack.client.withKey(undefined);
    const { job, delivery } = await dead();
    const cross = await browser.put(
      `${board}/deliveries-0/${job}/retry`,
      {},
      { cookie, origin: 'http://evil.example' },
    );
    expect(cross.status).toBe(403);
    expect((await show(delivery)).attempt_count).toBe(1);
    expect(login.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Strict/);
  });

  it('retry makes one more attempt, whose outcome is recorded', async () => {
    const { job, delivery } = await dead();
    const retry = () => stack.client.put(`${board}/deliveries-0/${job}/retry`, {});
    expect((await retry()).status).toBe(204);
    await waitFor(async () => (await show(delivery)).attempt_count === 2, { describe: 'the second attempt' });
    await waitFor(async () => (await stack.redis.client.zscore('{sp:0}:deliveries-0:failed', job)) !== null, {
      describe: 'the job to be failed again',
    });
    expect(await show(delivery)).toMatchObject({ status: 'dead', attempts: [{ number: 1 }, { number: 2 }] });
    receiver.respond(204);
    expect((await retry()).status).toBe(204);
    await waitFor(async () => (await show(delivery)).status === 'delivered', {
      describe: 'it to be delivered',
    });
    expect(
      (await show(delivery)).attempts.map((attempt: { status_code: number }) => attempt.status_code),
    ).toEqual([503, 503, 204]);
    receiver.respond(503);
  });

  it('locks an address out that guesses keys, and says for how long', async () => {
    const api = await stack.addApi(); // the lock-out is a process's own: the other tests still want to log in
    const client = new ApiClient(api.url);
    const tryKey = (key: string) => client.post('/admin/login', form(key), { ...FORM, origin: api.url });
    for (let i = 0; i < 5; i++) expect((await tryKey(`wrong-${i}`)).status).toBe(401);
    const locked = await tryKey(stack.apiKey);
    expect(locked.status).toBe(429);
    expect(Number(locked.headers.get('retry-after'))).toBeGreaterThan(0);
    await api.stop();
  });
});

describe.skipIf(!CHROMIUM)('Bull Board in a browser', () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    const args = [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ];
    browser = await chromium.launch({ executablePath: CHROMIUM!, args });
    page = await browser.newPage();
  });
  afterAll(() => browser.close());

  it('an operator logs in, sees the dead delivery and retries it, and sees no secret', async () => {
    const { job, delivery } = await dead();
    const hosts = new Set<string>();
    page.on('response', (response) => hosts.add(new URL(response.url()).host));
    await page.goto(`${stack.client.url}/admin/queues`);
    await page.fill('#key', 'not-the-key');
    await page.click('button');
    await page.getByRole('alert').waitFor();
    await page.fill('#key', stack.apiKey);
    await page.click('button');
    await page.getByText('deliveries-0').first().waitFor();
    await page.goto(`${stack.client.url}/admin/queues/queue/deliveries-0?status=failed`);
    await page.getByText(job).first().waitFor();
    const shown = await page.content();
    for (const text of [secret, 'header-secret-1234', stack.apiKey, stack.masterKey])
      expect(shown).not.toContain(text);
    expect(shown).toContain('board.test');

    receiver.respond(200);
    await page.getByRole('button', { name: 'Retry all' }).click();
    await page.getByRole('button', { name: 'Confirm' }).click();
    await waitFor(async () => (await show(delivery)).status === 'delivered', {
      describe: 'the retried delivery to arrive',
    });
    expect((await show(delivery)).attempt_count).toBe(2);
    expect([...hosts]).toEqual([new URL(stack.client.url).host]);
  });

  it('the API reference is readable without any other host, on a phone as well', async () => {
    const phone = await browser.newPage({ viewport: { width: 390, height: 800 } });
    const failures: string[] = [];
    phone.on('requestfailed', (request) => failures.push(request.url()));
    await phone.goto(`${stack.client.url}/docs`);
    await phone.getByRole('heading', { name: 'Publish an event' }).waitFor();
    expect(await phone.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    expect(failures).toEqual([]);
  });
});
