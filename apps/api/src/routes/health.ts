import { SealpostError } from '@sealpost/core';
import { z } from 'zod';
import { defineRoute, type Route } from '../http/route.ts';

const health = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });
const OPEN = { open: 'An orchestrator has no key, and nothing but the state of this process is told.' };

/** Whether this process lives, and whether it can accept events now. */
export function healthRoutes(notReady: () => Promise<string | undefined>): Route[] {
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
      summary: 'Can events be published?',
      description: 'Redis answers and takes writes, and the process is not draining.',
      access: OPEN,
      answers: { 200: { description: 'They can.', schema: health } },
      handle: async () => {
        const reason = await notReady();
        if (reason === undefined) return { status: 200, body: { status: 'ok' } };
        throw new SealpostError(reason === 'draining' ? 'shutting_down' : 'queue_unavailable', reason, {
          retryAfterSeconds: 5,
        });
      },
    }),
  ];
}
