import { SealpostError, STATUSES } from '@sealpost/core';
import { z } from 'zod';
import { defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const correlationAnswer = z
  .object({
    correlation_id: z.string(),
    events: z.int().describe('Events published with it.'),
    deliveries: z.record(z.enum(STATUSES), z.int()).describe('Deliveries by status.'),
  })
  .meta({ id: 'Correlation' });

/** How the deliveries of one workflow stand. */
export function correlationRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/correlations/:correlation',
      tag: 'Deliveries',
      summary: 'Count the deliveries of a correlation id by status',
      access: 'app',
      answers: { 200: { description: 'The counts.', schema: correlationAnswer } },
      handle: async ({ params }) => {
        const config = await services.configs.newest(params.app!);
        const found = await services.records.correlation(config, params.correlation!);
        if (!found) {
          throw new SealpostError(
            'correlation_not_found',
            'No event that is still kept has this correlation id.',
          );
        }
        return {
          status: 200,
          body: { correlation_id: params.correlation, events: found.events, deliveries: found.counts },
        };
      },
    }),
  ];
}
