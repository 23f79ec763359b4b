type Stop = () => Promise<unknown>;
const stops: Stop[] = [];

/**
 * Has something stopped at the end, whatever became of the tests; the last one started is stopped first. What is
 * stopped earlier by the test itself must bear to be stopped again.
 */
export function stopAfterAll(stop: Stop): void {
  stops.push(stop);
}

/** Stops all that was started. Under vitest this happens by itself; a plain script calls it. */
export async function stopAll(): Promise<void> {
  const errors: unknown[] = [];
  for (const stop of stops.splice(0).reverse()) await stop().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n\n'));
}

// Importing the harness is enough: nothing that it starts can be forgotten.
if (process.env.VITEST) {
  const { afterAll } = await import('vitest');
  afterAll(stopAll, 90_000);
}
