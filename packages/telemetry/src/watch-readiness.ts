import type { Role } from './metrics.ts';
import { afterPatience } from './patience.ts';
import type { Metrics } from './registry.ts';

/**
 * Sets `sealpost_up_ready` when metrics are read. Who cannot say within a second whether it is ready is not: a Redis that
 * hangs must not keep the other metrics from being read.
 * @param notReady undefined: ready; else why not
 */
export function watchReadiness(
  { beforeRead, instruments }: Pick<Metrics<Role>, 'instruments' | 'beforeRead'>,
  notReady: () => Promise<string | undefined>,
): void {
  beforeRead(async () => {
    const reason = await Promise.race([notReady().catch(String), afterPatience()]);
    instruments.ready.set(reason === undefined ? 1 : 0);
  });
}
