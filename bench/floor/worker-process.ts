import { createHmac } from 'node:crypto';
import { type Processor, Worker } from 'bullmq';
import got from 'got';
import { Redis } from 'ioredis';
import { request } from 'undici';

/*
 * The worker of the naive webhook sender (`got`, `undici`), or one that does nothing (`noop`). Failed attempts are BullMQ's to
 * repeat; nothing is recorded.
 */

const url = process.env.RECEIVER_URL!;
const secret = 'a-secret-of-the-receiver';
const TIMEOUT_MS = 30_000;
/** A line for each job would cost as much as the job. */
const TELL_EVERY_MS = 2;

function signed(body: string): Record<string, string> {
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  return { 'content-type': 'application/json', 'x-signature': `sha256=${signature}` };
}

let done = 0;
let telling = false;

/** Nobody else would know. */
function tellSoon(): void {
  done += 1;
  if (telling) return;
  telling = true;
  setTimeout(() => {
    telling = false;
    console.log(`done ${done}`);
  }, TELL_EVERY_MS);
}

const PROCESSORS: Record<string, Processor> = {
  noop: async () => tellSoon(),
  got: async ({ data }) => {
    const body = JSON.stringify(data);
    await got.post(url, {
      body,
      headers: signed(body),
      timeout: { request: TIMEOUT_MS },
      retry: { limit: 0 },
    });
  },
  undici: async ({ data }) => {
    const body = JSON.stringify(data);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await request(url, { method: 'POST', body, headers: signed(body), signal });
    await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`answered with ${answer.statusCode}`);
  },
};

const connection = new Redis(process.env.REDIS_URL!, { maxRetriesPerRequest: null });
const concurrency = Number(process.env.WORKER_CONCURRENCY);
const worker = new Worker('webhooks', PROCESSORS[process.argv[2]!]!, { connection, concurrency });
worker.on('error', (error) => console.error(error));
await worker.waitUntilReady();
console.log('ready');
