import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE_MS } from './patience.ts';
import { tailOfProcesses } from './processes.ts';

export type WaitOptions = {
  /** Default PATIENCE_MS. */
  timeoutMs?: number;
  /** What is waited for, for the error: `the delivery to be dead`. */
  describe: string;
};

const POLL_MS = 20;

/**
 * Polls until the condition gives something truthy and returns it. For what has no event to wait for; a receiver's
 * requests do: `receiver.waitForRequests`. A condition that throws counts as not yet true. The error tells the last
 * value (or error) and the last log lines of every process that the harness started.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = PATIENCE_MS, describe }: WaitOptions,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value as NonNullable<Exclude<T, false>>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) break;
    await delay(POLL_MS);
  }
  throw new Error(`Waited ${timeoutMs} ms for ${describe}; last: ${String(last)}\n${tailOfProcesses()}`, {
    cause: last,
  });
}
