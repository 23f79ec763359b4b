import { expect, it } from 'vitest';
import { PublishError } from './errors.ts';
import { Retry } from './retry.ts';

const HOUR_MS = 3_600_000;
const away = new PublishError('unreachable', 'There was no answer.');

it('what went well for long, and was idle, is tried again for as long as anything else', async () => {
  let now = 0;
  const retry = new Retry({ retryForMs: 1000 }, new AbortController().signal, () => now);
  now += HOUR_MS;
  expect(await retry.after(away, 1)).toBeUndefined();
  retry.progress();
  now += HOUR_MS;
  expect(await retry.after(away, 1)).toBeUndefined();
  now += 1000;
  expect(await retry.after(away, 1)).toBe(away);
});
