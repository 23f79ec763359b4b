/**
 * Prints what each script of the main path costs of Redis' CPU, µs a delivery, on a Redis of its own: fan-out 1, every
 * delivery in an idle lane, without BullMQ.
 * Run: `node packages/queue/measure/lane-cost.ts`
 */
import { Numbers } from '../src/numbers.ts';
import { TestShard } from '../test-shard.ts';

const ROUNDS = 40;
const LANES = 500;
const FIRST_ENDPOINT = 10;

const test = await TestShard.start();
const { client } = test.redis;
const spent = new Map<string, number>();

/** Adds what `work` costs Redis to the account of `name`. */
async function account(name: string, work: () => Promise<unknown>): Promise<void> {
  await client.call('CONFIG', 'RESETSTAT');
  await work();
  const stats = await client.info('commandstats');
  const usec = Number(/cmdstat_evalsha:calls=\d+,usec=(\d+)/.exec(stats)?.[1]);
  spent.set(name, (spent.get(name) ?? 0) + usec);
}

try {
  const endpoints = Array.from({ length: LANES }, (_, i) => FIRST_ENDPOINT + i);
  await test.reset({ endpoints, slots: LANES });
  const numbers = new Numbers(test.shard);
  const configVersion = await test.version();
  const each = (work: (number: number, endpoint: number) => Promise<unknown>, from: number) =>
    Promise.all(endpoints.map((endpoint, i) => work(from + i, endpoint)));
  const attemptRecord = JSON.stringify({ t: Date.now(), d: 12, p: [0, 1, 2, 9], s: 200 });
  for (let round = 0; round <= ROUNDS; round++) {
    const first = await numbers.take(LANES);
    await account('accept', () =>
      each(
        (number, endpoint) => test.publish(1, { number, configVersion }, { endpoint, event: number }),
        first,
      ),
    );
    await account('claim', () => each((number) => test.claim(number), first));
    await account('settle', () => each((number) => test.succeed(number, { attemptRecord }), first));
    if (round === 0) spent.clear(); // the scripts were compiled
  }
  for (const [name, usec] of spent) console.log(`${name} ${(usec / ROUNDS / LANES).toFixed(1)} µs`);
  const total = [...spent.values()].reduce((sum, usec) => sum + usec, 0);
  console.log(`together ${(total / ROUNDS / LANES).toFixed(1)} µs a delivery`);
} finally {
  await test.stop();
}
