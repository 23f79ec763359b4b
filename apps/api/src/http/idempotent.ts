import { SealpostError } from '@sealpost/core';
import type { Services } from '../services.ts';
import type { Answer } from './route.ts';

const KEY = /^[\x21-\x7e]{1,255}$/;

/** The `Idempotency-Key` of a request. @throws SealpostError invalid_idempotency_key */
export function idempotencyKeyOf(header: string | undefined): string | undefined {
  if (header === undefined || KEY.test(header)) return header;
  throw new SealpostError(
    'invalid_idempotency_key',
    'An Idempotency-Key has 1 to 255 visible ASCII characters.',
  );
}

/**
 * Runs a request once for its key: another one with the same key and body gets the first one's answer, for 24 h. A
 * request that failed may be sent again, since it has changed nothing.
 */
export async function runOnce(
  services: Pick<Services, 'configs' | 'shards' | 'idempotency'>,
  request: { app: string; route: string; key: string; body: string },
  run: () => Promise<Answer>,
): Promise<Answer> {
  const { idempotency } = services;
  const { shard, asked, begun } = await begin(services, request);
  if (begun.state === 'replay') {
    const { status, headers, json } = begun.answer;
    return { status, headers: { ...headers, 'idempotent-replayed': 'true' }, json };
  }
  let answer: Answer;
  try {
    answer = await run();
  } catch (error) {
    // Should this fail as well, the key is free again when the running request would have timed out.
    await idempotency.forget(shard, asked).catch(() => {});
    throw error;
  }
  const json = answer.json ?? JSON.stringify(answer.body ?? null);
  // The work is done: an answer that cannot be kept is no reason to deny it.
  await idempotency
    .finish(shard, asked, { status: answer.status, headers: answer.headers ?? {}, json })
    .catch(() => {});
  return answer;
}

/** How often an app may move to another shard while a request for it begins. */
const TRIES = 10;

/** Where the app is at home, unless a shard that it has left knows the key. @throws as Idempotency.begin */
async function begin(
  { configs, shards, idempotency }: Pick<Services, 'configs' | 'shards' | 'idempotency'>,
  request: { app: string; route: string; key: string; body: string },
) {
  for (let i = 0; i < TRIES; i++) {
    const [home, ...former] = (await configs.newest(request.app)).parts;
    for (const { shard: at, number } of former) {
      const asked = { ...request, owner: number };
      const begun = await idempotency.look(shards.get(at), asked);
      if (begun) return { shard: shards.get(at), asked, begun };
    }
    const shard = shards.get(home!.shard);
    const asked = { ...request, owner: home!.number };
    // Only what was begun before the app left is found by who comes after that.
    const [begun, isLeft] = await Promise.all([
      idempotency.begin(shard, asked),
      shard.client.hexists(shard.key(`cfg:${home!.number}`), 'to'),
    ]);
    if (begun.state === 'replay' || !isLeft) return { shard, asked, begun };
    await idempotency.forget(shard, asked);
  }
  throw new SealpostError('config_conflict', `App ${request.app} is on its way; try again.`);
}
