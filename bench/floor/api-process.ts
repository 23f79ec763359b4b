import { Queue } from 'bullmq';
import express from 'express';
import { Redis } from 'ioredis';
import { z } from 'zod';

/*
 * The API of the naive webhook sender: what one writes in an afternoon. The receiver's URL comes from the environment; a real
 * one would look it up.
 */

const Event = z.strictObject({
  type: z
    .string()
    .max(128)
    .regex(/^[\w-]+(\.[\w-]+)*$/),
  payload: z.unknown(),
});

const connection = new Redis(process.env.REDIS_URL!, { maxRetriesPerRequest: null });
const queue = new Queue('webhooks', { connection });

const app = express();
app.use(express.json({ limit: '1mb' }));
app.post('/events', async (request, response) => {
  const parsed = Event.safeParse(request.body);
  if (!parsed.success) {
    response.status(400).json({ error: z.prettifyError(parsed.error) });
    return;
  }
  const job = await queue.add('deliver', parsed.data, {
    attempts: 4,
    backoff: { type: 'exponential', delay: 1000 },
    removeOnComplete: 1000,
    removeOnFail: 10_000,
  });
  response.status(202).json({ id: job.id });
});
app.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'));
