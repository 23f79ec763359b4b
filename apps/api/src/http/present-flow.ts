import { z } from 'zod';

/** How fast and when a lane may send, as it is shown: all that may be left out is there. */

export const rateLimitAnswer = z
  .object({ limit: z.int(), period_seconds: z.number(), over: z.enum(['hold', 'skip']) })
  .meta({ id: 'RateLimit' });

export const quietHoursAnswer = z
  .object({
    start_hour: z.int(),
    end_hour: z.int(),
    timezone: z.string(),
    during: z.enum(['hold', 'skip']),
  })
  .meta({ id: 'QuietHours' });
