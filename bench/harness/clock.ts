import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds of a clock that all processes of this machine share, and that nobody sets. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Waits until that time. */
export async function until(time: number): Promise<void> {
  const left = time - now();
  if (left > 0) await delay(left);
}

/** Asks every `everyMs` until the answer is yes; false when the time is up first. */
export async function eventually(
  condition: () => Promise<boolean>,
  { timeoutMs, everyMs = 100 }: { timeoutMs: number; everyMs?: number },
): Promise<boolean> {
  const deadline = now() + timeoutMs;
  while (!(await condition())) {
    if (now() > deadline) return false;
    await delay(everyMs);
  }
  return true;
}

export { delay };
