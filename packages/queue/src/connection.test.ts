import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestRedis, type TestRedis } from '../testing.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const reads = async () => Number(/total_reads_processed:(\d+)/.exec(await redis.client.info('stats'))?.[1]);

it('what is asked for in one turn of the event loop goes out together, in order', async () => {
  const before = await reads();
  const ask = (n: number) => redis.client.rpush('list', n);
  const [first, second] = await Promise.all([
    Promise.all(Array.from({ length: 50 }, (_, n) => ask(n))),
    Promise.resolve().then(() => Promise.all(Array.from({ length: 50 }, (_, n) => ask(50 + n)))),
  ]);
  expect([...first, ...second]).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
  expect(await redis.client.lrange('list', 0, -1)).toEqual(Array.from({ length: 100 }, (_, n) => String(n)));
  // The first INFO's answer was waited for: one for the list, one for LRANGE, one for this INFO.
  expect((await reads()) - before).toBeLessThanOrEqual(3);
});

it('texts and bytes arrive as they are, whatever stands beside them', async () => {
  const texts = ['', 'plain', '€ and 😀', '\r\n$3\r\n', 'é'.repeat(3000), '\ud800'];
  const bytes = [Buffer.alloc(0), Buffer.from([0, 13, 10, 36, 255]), Buffer.alloc(70_000, 0xe9)];
  const args = [...texts, bytes[0]!, bytes[1]!, 7, ...texts, bytes[2]!, texts[2]!, bytes[1]!];
  const got = (await redis.client.callBuffer('EVAL', 'return ARGV', 0, ...args)) as Buffer[];
  expect(got.map((value) => value.toString('hex'))).toEqual(
    args.map((value) => (Buffer.isBuffer(value) ? value : Buffer.from(String(value))).toString('hex')),
  );
});
