import { findRedisServer } from './find-redis.ts';
import { runMain } from './launcher-error.ts';

/*
 * Before `npm test`: finds or installs the Redis that the suites run, once and before they start side by side.
 * REDIS_URL is not looked at, since tests fill, freeze and kill their servers.
 */
await runMain(async () => {
  await findRedisServer({ say: (line) => console.log(line) });
});
