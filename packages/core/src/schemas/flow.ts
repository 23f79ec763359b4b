import { z } from 'zod';
import { isTimeZone } from '../quiet-hours.ts';
import * as fields from './fields.ts';

/** How fast and when a lane may send. */

export const DEFAULT_MAX_CONCURRENCY = 32;

const MAX_CONCURRENCY = 1000;
const MAX_LIMIT = 10_000;
const MAX_PERIOD_SECONDS = 31 * 86_400;

export const maxConcurrency = z
  .int()
  .min(1)
  .max(MAX_CONCURRENCY)
  .describe(`Requests that are under way at once at most. By default ${DEFAULT_MAX_CONCURRENCY}.`);

export const rateLimit = z
  .strictObject({
    limit: z.int().min(1).max(MAX_LIMIT),
    period_seconds: z.number().min(1).max(MAX_PERIOD_SECONDS).describe('Any stretch of time of this length.'),
    over: z
      .enum(['hold', 'skip'])
      .default('hold')
      .describe('What is over the limit waits (`hold`), or is `skipped`.'),
  })
  .meta({ id: 'RateLimitInput', description: 'At most `limit` attempts begin within a period.' });

const hour = z.int().min(0).max(23);

/** One of today's database; a process that knows an older one cannot tell when it is quiet there. */
const timezone = fields
  .text(64, /^[A-Za-z]/, 'a name of the IANA time zone database, such as Europe/Berlin')
  .refine(isTimeZone, { error: 'must be a name of the IANA time zone database, such as Europe/Berlin' });

export const quietHours = z
  .strictObject({
    start_hour: hour,
    end_hour: hour.describe('The first hour that is no longer quiet; before `start_hour`: of the next day.'),
    timezone: timezone.default('UTC').describe('A name of the IANA time zone database.'),
    during: z
      .enum(['hold', 'skip'])
      .default('hold')
      .describe('What comes meanwhile waits (`hold`), or is `skipped`.'),
  })
  .check(({ value, issues }) => {
    if (value.start_hour !== value.end_hour) return;
    const message = 'must not be start_hour';
    issues.push({ code: 'custom', path: ['end_hour'], input: value, message });
  })
  .meta({ id: 'QuietHoursInput', description: 'Hours of each day in which no attempt begins.' });
