import type { DeliverOptions } from './deliver-job.ts';
import type { Destination } from './load-endpoint.ts';

/**
 * A receiver that answers 410 wants no more: its endpoint is disabled, and its backlog held. Never fails: what has been
 * settled stays settled.
 */
export async function disableGoneEndpoint(
  { configs, logger, now }: Pick<DeliverOptions, 'configs' | 'logger' | 'now'>,
  app: string,
  destination: Destination,
): Promise<void> {
  const id = destination.endpoint?.record.id;
  if (id === undefined) return;
  try {
    await configs.change(app, (config) => {
      const endpoint = config.endpoints.get(id);
      if (!endpoint?.enabled) return undefined;
      const disabled = { ...endpoint, enabled: false, disabledReason: 'gone', updatedAt: now() };
      return { endpoints: { [id]: disabled }, hold: [endpoint.number] };
    });
    logger.warn({ app, endpoint: id }, 'disabled: its receiver answered 410');
  } catch (error) {
    logger.warn({ err: error, app, endpoint: id }, 'its receiver answered 410, but it could not be disabled');
  }
}
