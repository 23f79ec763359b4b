import { z } from 'zod';
import { RETRY_ON, type RetryPolicy } from '../types.ts';

/** What counts where neither the event, nor the endpoint, nor its app, nor the wire profile says otherwise. */
export const DEFAULT_RETRY: RetryPolicy = {
  strategy: 'exponential',
  base_seconds: 1,
  factor: 2,
  max_delay_seconds: 3600,
  max_retries: 3,
  jitter: 0,
  retry_on: 'non_2xx',
};

export const DEFAULT_TIMEOUT_SECONDS = 30;

const MAX_RETRIES = 50;
const WEEK_SECONDS = 7 * 86_400;

const delaySeconds = z.number().min(0).max(WEEK_SECONDS);

const fields = z.strictObject({
  strategy: z
    .enum(['exponential', 'linear', 'schedule'])
    .exactOptional()
    .describe(
      'The delay before retry n: `exponential`: base_seconds · factor^(n−1); `linear`: base_seconds · n; ' +
        '`schedule`: the n-th entry of schedule_seconds, the last one repeating.',
    ),
  base_seconds: delaySeconds.exactOptional(),
  factor: z.number().min(1).max(100).exactOptional(),
  max_delay_seconds: delaySeconds
    .exactOptional()
    .describe('The longest delay of `exponential` and `linear`, in seconds.'),
  max_retries: z
    .int()
    .min(0)
    .max(MAX_RETRIES)
    .exactOptional()
    .describe('Retries after the first attempt. By default 3, or as many as schedule_seconds has entries.'),
  jitter: z
    .number()
    .min(0)
    .max(1)
    .exactOptional()
    .describe('The share of a delay that chance may take away.'),
  retry_on: z
    .enum(RETRY_ON)
    .exactOptional()
    .describe(
      'Network errors and timeouts, and of the answers: `non_2xx`: all but 2xx; `transient`: 408, 425, 429 and 5xx; ' +
        '`5xx_429`: 429 and 5xx. Never 410.',
    ),
  schedule_seconds: z.array(delaySeconds).min(1).max(MAX_RETRIES).exactOptional(),
});

/**
 * A retry policy as a client gives it: what is left out comes from the layer below (app, wire profile, then built-in). A
 * schedule comes with its strategy, so that each layer can be read by itself.
 */
export const retryPolicy = fields
  .check(({ value, issues }) => {
    const message = scheduleProblem(value);
    if (message) issues.push({ code: 'custom', path: ['schedule_seconds'], input: value, message });
  })
  .meta({
    id: 'RetryPolicyInput',
    description: 'How failed attempts are repeated. Seconds may be fractions. A longer Retry-After counts.',
  });

export type RetryPolicyInput = z.infer<typeof retryPolicy>;

/**
 * Merges policies, the later ones winning, over the built-in one; undefined layers are skipped. A schedule brings
 * its own number of retries, unless its layer or a later one gives `max_retries`.
 */
export function effectiveRetry(...layers: readonly (Partial<RetryPolicy> | undefined)[]): RetryPolicy {
  const merged: RetryPolicy = { ...DEFAULT_RETRY };
  let maxRetries: number | undefined;
  for (const layer of layers) {
    if (layer === undefined) continue;
    Object.assign(merged, layer);
    if (layer.max_retries !== undefined) maxRetries = layer.max_retries;
    else if (layer.schedule_seconds !== undefined) maxRetries = undefined;
  }
  if (merged.strategy !== 'schedule') delete merged.schedule_seconds;
  merged.max_retries = maxRetries ?? merged.schedule_seconds?.length ?? DEFAULT_RETRY.max_retries;
  return merged;
}

/** The last timeout given, in seconds, or the built-in one. */
export function effectiveTimeoutSeconds(...layers: readonly (number | undefined)[]): number {
  return layers.findLast((seconds) => seconds !== undefined) ?? DEFAULT_TIMEOUT_SECONDS;
}

/** What is wrong with a merged policy, or undefined. */
export function retryProblem(policy: RetryPolicy): string | undefined {
  const problem = scheduleProblem(policy);
  return problem && `retry.schedule_seconds ${problem}`;
}

function scheduleProblem({ strategy, schedule_seconds: schedule }: Partial<RetryPolicy>): string | undefined {
  if (strategy === 'schedule' && !schedule?.length) return 'is required with the strategy schedule';
  if (strategy !== 'schedule' && schedule) return 'needs the strategy schedule';
  return undefined;
}
