import { nextDelaySeconds, type RetryPolicy } from '@sealpost/core';

/** The seconds before each retry of a policy, as the worker reckons them. */
export function delaysOf(retry: RetryPolicy): number[] {
  return Array.from({ length: retry.max_retries }, (_, i) =>
    nextDelaySeconds({ retry, retryNumber: i + 1, random: () => 0 }),
  );
}
