import type { DeliverOptions } from './deliver-job.ts';
import type { Destination } from './load-endpoint.ts';

/**
 * `gone`: its receiver answered 410. `failing`: it has only failed for SEALPOST_DISABLE_AFTER_HOURS. `expression_killed`: its
 * filter or transform had to be ended, in several deliveries in a row.
 */
export type DisableReason = 'gone' | 'failing' | 'expression_killed';

/**
 * An endpoint to which nothing shall be sent any more is disabled, and its backlog held. Never fails: what has been
 * settled stays settled.
 */
export async function disableEndpoint(
  { configs, logger, now }: Pick<DeliverOptions, 'configs' | 'logger' | 'now'>,
  app: string,
  destination: Destination,
  reason: DisableReason,
): Promise<void> {
  const id = destination.endpoint?.record.id;
  if (id === undefined) return;
  try {
    await configs.change(app, (config) => {
      const endpoint = config.endpoints.get(id);
      if (!endpoint?.enabled) return undefined;
      const disabled = { ...endpoint, enabled: false, disabledReason: reason, updatedAt: now() };
      return { endpoints: { [id]: disabled } };
    });
    logger.warn({ app, endpoint: id, reason }, 'endpoint disabled');
  } catch (error) {
    // Its next failure disables it.
    logger.warn({ err: error, app, endpoint: id, reason }, 'an endpoint could not be disabled');
  }
}
