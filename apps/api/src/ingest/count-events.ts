import type { Instruments } from '@sealpost/telemetry';
import type { Prepared } from './prepare-event.ts';

/** An event was stored, with its deliveries; those that are skipped have ended with that. */
export function countAccepted(instruments: Instruments<'api'>, { targets }: Prepared): void {
  instruments.eventsAccepted.inc();
  instruments.deliveriesCreated.inc(targets.length);
  for (const { skip } of targets) {
    if (skip) instruments.deliveriesEnded.inc({ status: 'skipped', reason: skip });
  }
}
