import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Shards } from '@sealpost/queue';
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';

/** How old the list of shards may be, ms. */
const FRESH_MS = 5000;

/**
 * Bull Board over the queues of all shards. Its jobs hold ids alone, so there is no secret that it could show.
 * @param path where it is mounted
 */
export function queuesBoard(shards: Shards, path: string, writable: boolean): RequestHandler[] {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(path);
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: { uiConfig: { boardTitle: 'Sealpost' } },
  });
  const options = { readOnlyMode: !writable, allowRetries: writable };
  let readAt = Number.NEGATIVE_INFINITY; // monotonic: the machine's clock may be set back
  const refresh = async (_request: Request, _response: Response, next: NextFunction) => {
    if (performance.now() - readAt > FRESH_MS) {
      const known = await shards.known();
      board.replaceQueues(known.map((number) => new BullMQAdapter(shards.get(number).queue, options)));
      readAt = performance.now();
    }
    next();
  };
  // An Express of its own, which would tell so in every answer.
  const app = serverAdapter.getRouter() as Express;
  app.disable('x-powered-by');
  return [refresh, app];
}
