import { afterPatience } from './patience.ts';
import type { ParentMetrics } from './registry.ts';

/**
 * Sets `sealpost_up_ready` when metrics are read. Who cannot say within a second whether it is ready is not: a Redis that
 * hangs must not keep the other metrics from being read.
 * @param notReady undefined: ready; else why not
 * @param patienceMs instead of that second
 */
export function watchReadiness(
  { beforeRead, instruments }: Pick<ParentMetrics, 'instruments' | 'beforeRead'>,
  notReady: () => Promise<string | undefined>,
  patienceMs?: number,
): void {
  beforeRead(async () => {
    const reason = await Promise.race([notReady().catch(String), afterPatience(patienceMs)]);
    instruments.ready.set(reason === undefined ? 1 : 0);
  });
}
