import type { BatchResult } from './api-types.ts';
import type { Settle } from './batch-queue.ts';
import { fromProblem, PublishError } from './errors.ts';
import { type Http, parse, problemOf, unreachable } from './http.ts';
import type { Settings } from './options.ts';
import type { Pending } from './pending.ts';
import { Retry } from './retry.ts';

type Sending = { http: Http; settings: Settings; settle: Settle; signal: AbortSignal };

/**
 * Sends events as one batch, and again until there is an answer: each has an id, so none is published twice. Settles every
 * one of them. @throws the signal's reason when it is aborted
 */
export async function sendBatch(sending: Sending, batch: Pending[]): Promise<void> {
  const { settings, settle, signal } = sending;
  const retry = new Retry(settings, signal);
  for (;;) {
    // Some may have been given up by their publishers meanwhile.
    const left = batch.filter(({ state }) => state === 'sent');
    if (left.length === 0) return;
    const results = await post(sending, left);
    if (!(results instanceof PublishError)) {
      for (const [i, { event, problem }] of results.entries()) {
        settle(left[i]!, event ?? fromProblem(problem!).of(left[i]!.id));
      }
      return;
    }
    if (results.status === 413 && left.length > 1) {
      // This API, or a proxy before it, takes less than an API does by default.
      const half = Math.ceil(left.length / 2);
      await sendBatch(sending, left.slice(0, half));
      return sendBatch(sending, left.slice(half));
    }
    const failure = await retry.after(results, left.length);
    if (failure) {
      for (const pending of left) settle(pending, failure.of(pending.id));
      return;
    }
  }
}

async function post(
  { http, settings, signal }: Sending,
  batch: Pending[],
): Promise<BatchResult['results'] | PublishError> {
  try {
    const response = await http.got.post('events/batch', {
      body: `{"events":[${batch.map(({ text }) => text).join(',')}]}`,
      headers: { 'content-type': 'application/json' },
      signal,
      timeout: { request: settings.timeoutMs },
    });
    if (response.statusCode !== 202) return problemOf(response, response.body);
    const results = (parse(response.body) as BatchResult | undefined)?.results;
    if (Array.isArray(results) && results.length === batch.length) return results;
    return new PublishError('unexpected_answer', 'An answer that is not of this batch.', { status: 202 });
  } catch (error) {
    signal.throwIfAborted();
    return unreachable(error);
  }
}
