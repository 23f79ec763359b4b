import { SealpostError } from '@sealpost/core';
import type { Configs } from '@sealpost/store';
import type { Destination } from './load-endpoint.ts';

/** A receiver that answers 410 wants no more: its endpoint is disabled, and its backlog held. */
export async function disableGoneEndpoint(
  configs: Configs,
  app: string,
  destination: Destination,
  now: number,
): Promise<void> {
  const id = destination.endpoint?.record.id;
  if (id === undefined) return;
  try {
    await configs.change(app, (config) => {
      const endpoint = config.endpoints.get(id);
      if (!endpoint?.enabled) return undefined;
      const disabled = { ...endpoint, enabled: false, disabledReason: 'gone', updatedAt: now };
      return { endpoints: { [id]: disabled }, hold: [endpoint.number] };
    });
  } catch (error) {
    // Deleted meanwhile: there is nothing left to disable.
    if (!(error instanceof SealpostError && error.code === 'app_not_found')) throw error;
  }
}
