import { SealpostError } from '@sealpost/core';
import { z } from 'zod';
import { defineRoute, type Route } from '../http/route.ts';

const health = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });
const readiness = z
  .object({
    status: z.literal('ok'),
    sheds: z.string().optional().meta({
      description: 'Why new events are answered with 503 `overloaded` for a while, to some apps at least.',
    }),
  })
  .meta({ id: 'Readiness' });
const OPEN = { open: 'An orchestrator has no key, and nothing but the state of this process is told.' };

/**
 * Whether this process lives, and whether it can do its work now.
 * @param sheds why new events are refused, if they are. That is no reason to be unready: all APIs refuse them alike, and
 * without an API nobody could read, pause or cancel, nor be told by Retry-After to come back
 */
export function healthRoutes(
  notReady: () => Promise<string | undefined>,
  sheds: () => string | undefined,
): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/livez',
      tag: 'Health',
      summary: 'Is the process alive?',
      access: OPEN,
      answers: { 200: { description: 'It is.', schema: health } },
      handle: async () => ({ status: 200, body: { status: 'ok' } }),
    }),
    defineRoute({
      method: 'get',
      path: '/readyz',
      tag: 'Health',
      summary: 'Can this process do its work?',
      description:
        'Redis answers and takes writes, and the process is not draining. An API that sheds load is ready, and says so: ' +
        'new events are refused, all else is answered.',
      access: OPEN,
      answers: { 200: { description: 'It can.', schema: readiness } },
      handle: async () => {
        const reason = await notReady();
        if (reason === undefined) return { status: 200, body: { status: 'ok', sheds: sheds() } };
        throw new SealpostError(reason === 'draining' ? 'shutting_down' : 'queue_unavailable', reason, {
          retryAfterSeconds: 5,
        });
      },
    }),
  ];
}
