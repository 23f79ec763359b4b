import { afterAll } from 'vitest';

type Stop = () => Promise<unknown>;
const stops: Stop[] = [];

/**
 * Has something stopped after the last test of the file, whatever became of the tests; the last one started is
 * stopped first. What is stopped earlier by the test itself must bear to be stopped again.
 */
export function stopAfterAll(stop: Stop): void {
  stops.push(stop);
}

// Importing the harness is enough: nothing that it starts can be forgotten.
afterAll(async () => {
  const errors: unknown[] = [];
  for (const stop of stops.splice(0).reverse()) await stop().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n\n'));
}, 90_000);
