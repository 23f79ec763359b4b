import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { inTurn, Receiver, startRedis, verifySignature, waitFor } from './index.ts';

describe('the test Redis', () => {
  it('is one of its own, which can be killed, started again and frozen', async () => {
    const redis = await startRedis();
    await redis.client.set('kept', 'yes');
    await redis.kill();
    await redis.restart();
    expect(await redis.client.get('kept')).toBe('yes');
    redis.freeze();
    const answer = redis.client.ping();
    redis.thaw();
    expect(await answer).toBe('PONG');
  });

  it('can be full', async () => {
    const redis = await startRedis({ maxmemory: '2mb', appendonly: false });
    const fill = redis.client.set('big', 'x'.repeat(4 * 1024 * 1024));
    await fill.catch(() => {});
    await expect(redis.client.set('more', '1')).rejects.toThrow(/OOM/);
  });
});

describe('the receiver', () => {
  it('records requests verbatim and answers in turn', async () => {
    const receiver = await Receiver.listen();
    receiver.respond('/hook', inTurn(500, { status: 201, headers: { 'x-more': 'yes' }, body: 'ok' }));
    const post = () => fetch(receiver.url('/hook?q=1'), { method: 'POST', body: '{"n": 1e400}' });
    expect((await post()).status).toBe(500);
    const second = await post();
    expect([second.status, second.headers.get('x-more'), await second.text()]).toEqual([201, 'yes', 'ok']);
    expect((await post()).status).toBe(201);
    const [first] = await receiver.waitForRequests(3, { path: '/hook' });
    expect(first).toMatchObject({ method: 'POST', path: '/hook?q=1', text: '{"n": 1e400}' });
  });

  it('can hang, drip, flood and cut the connection', async () => {
    const receiver = await Receiver.listen();
    receiver.respond('hang');
    await expect(fetch(receiver.url(), { signal: AbortSignal.timeout(100) })).rejects.toThrow(/timeout/);
    receiver.respond('reset');
    await expect(fetch(receiver.url())).rejects.toThrow();
    for (const endless of ['drip', 'flood'] as const) {
      receiver.respond(endless);
      const response = await fetch(receiver.url());
      const chunk = await response.body?.getReader().read();
      expect(chunk?.value?.length).toBeGreaterThan(0);
    }
  });

  it('says how many requests came when it waited in vain', async () => {
    const receiver = await Receiver.listen();
    await fetch(receiver.url());
    await expect(receiver.waitForRequests(2, { timeoutMs: 50 })).rejects.toThrow(
      '1 of 2 requests came in 50 ms',
    );
  });

  it('verifies as a receiver does', async () => {
    const receiver = await Receiver.listen();
    const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
    const now = new Date();
    const headers = {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign('evt_1', now, 'body'),
    };
    await fetch(receiver.url(), { method: 'POST', body: 'body', headers });
    const [request] = await receiver.waitForRequests(1);
    verifySignature(request!, secret);
    expect(() => verifySignature({ ...request!, text: 'other' }, secret)).toThrow();
  });
});

it('a wait in vain tells what it waited for, the last value and the last lines of the processes', async () => {
  await startRedis();
  const wait = waitFor(() => 0, { timeoutMs: 50, describe: 'the number to be more than 0' });
  await expect(wait).rejects.toThrow(/50 ms for the number to be more than 0; last: 0\n[\s\S]*Redis/);
});

it('leaves no process behind when a test fails', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealpost-failing-'));
  try {
    const source = `
      import { startRedis } from '${join(import.meta.dirname, 'index.ts')}';
      it('fails', async () => {
        const redis = await startRedis();
        throw new Error('pid=' + redis.pid);
      });`;
    await writeFile(join(folder, 'failing.test.ts'), source);
    const run = promisify(execFile)('npx', [
      'vitest',
      'run',
      '--globals',
      '--testTimeout',
      '60000',
      '--root',
      folder,
    ]);
    const output = await run.then(
      () => '',
      (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
    );
    const pid = Number(/pid=(\d+)/.exec(output)?.[1]);
    expect(pid, output).toBeGreaterThan(0);
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
