import { describe, expect, it } from 'vitest';
import { type RedisPicture, watchRedis } from './redis-gauges.ts';
import { createMetrics } from './registry.ts';

const PICTURE: RedisPicture = {
  open: { pending: 1, retrying: 2 },
  oldestOpenMs: 3000,
  oldestReadyMs: undefined,
  lanesClosed: 0,
  outbox: 0,
  slots: 20,
  jobs: { waiting: 0, active: 0, delayed: 0 },
  memoryBytes: 1,
  memoryLimitBytes: 2,
  roundTripMs: 40,
};

/** Metrics of a process whose looks at Redis the test ends, and whose clock it moves. */
function watched() {
  const metrics = createMetrics('api');
  const looks: (PromiseWithResolvers<RedisPicture> & { onRoundTrip: (ms: number) => void })[] = [];
  let now = 0;
  const look = (onRoundTrip: (ms: number) => void) => {
    const looking = Promise.withResolvers<RedisPicture>();
    looks.push({ ...looking, onRoundTrip });
    return looking.promise;
  };
  watchRedis(metrics, look, () => now);
  const read = async () => {
    const text = await metrics.text();
    const value = (name: string) =>
      /^\S+ (\S+)$/.exec(text.match(new RegExp(`^${name}.*$`, 'm'))?.[0] ?? '')?.[1];
    return {
      roundTrip: value('sealpost_redis_round_trip_seconds'),
      open: value('sealpost_deliveries_open\\{status="pending"\\}'),
    };
  };
  return {
    looks,
    read,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('a look at Redis that takes longer than a reader waits', () => {
  it('tells for how long it has been waited for, and nothing else', async () => {
    const { looks, read, pass } = watched();
    const first = read();
    pass(1500);
    expect(await first).toEqual({ roundTrip: '1.5', open: undefined });
    pass(15_000);
    expect(await read()).toEqual({ roundTrip: '16.5', open: undefined });
    expect(looks).toHaveLength(1);
    looks[0]!.resolve(PICTURE);
    await looks[0]!.promise;
    expect(await read()).toEqual({ roundTrip: '0.04', open: '1' });
  });

  it('tells the round trip where only what follows it lasts', async () => {
    const { looks, read, pass } = watched();
    const first = read();
    looks[0]!.onRoundTrip(40);
    pass(1500);
    expect(await first).toEqual({ roundTrip: '0.04', open: undefined });
  });

  it('that fails is made again at the next reading', async () => {
    const { looks, read } = watched();
    const first = read();
    looks[0]!.reject(new Error('Command timed out'));
    expect(await first).toEqual({ roundTrip: undefined, open: undefined });
    const second = read();
    looks[1]!.resolve(PICTURE);
    expect(await second).toEqual({ roundTrip: '0.04', open: '1' });
  });
});
