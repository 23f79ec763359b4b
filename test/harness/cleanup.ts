type Stop = () => Promise<unknown>;

/**
 * When something is stopped: `first`, as receivers, so that no drain waits for what they hold; `process`: Sealpost's own, all at
 * once; `last`: what these need to drain, as Redis.
 */
type Turn = 'first' | 'process' | 'last';

const stops: Record<Turn, Stop[]> = { first: [], process: [], last: [] };

/**
 * Has something stopped at the end, whatever became of the tests; of what has the same turn, the last one started is stopped
 * first. What is stopped earlier by the test itself must bear to be stopped again.
 */
export function stopAfterAll(stop: Stop, turn: Turn = 'first'): void {
  stops[turn].push(stop);
}

/** Stops all that was started. Under vitest this happens by itself; a plain script calls it. */
export async function stopAll(): Promise<void> {
  const errors: unknown[] = [];
  const end = (stop: Stop) => stop().catch((error: unknown) => errors.push(error));
  for (const stop of stops.first.splice(0).reverse()) await end(stop);
  await Promise.all(stops.process.splice(0).map(end));
  for (const stop of stops.last.splice(0).reverse()) await end(stop);
  if (errors.length > 0) throw new AggregateError(errors, errors.map(String).join('\n\n'));
}

// Importing the harness is enough: nothing that it starts can be forgotten.
if (process.env.VITEST) {
  const { afterAll } = await import('vitest');
  afterAll(stopAll, 180_000);
}
