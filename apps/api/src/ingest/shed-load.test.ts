import { SealpostError } from '@sealpost/core';
import type { Shard, Shards } from '@sealpost/queue';
import { expect, it, onTestFinished, vi } from 'vitest';
import { memoryShare, ShedLoad } from './shed-load.ts';

it.each([
  ['of its limit', 'used_memory:30\r\nmaxmemory:100\r\ntotal_system_memory:1000\r\n', 0.3],
  [
    "of its machine's memory, where it has no limit",
    'used_memory:30\r\nmaxmemory:0\r\ntotal_system_memory:1000\r\n',
    0.03,
  ],
  ['of nothing that is known', 'used_memory:30\r\n', 0],
])('how full Redis is: %s', (_, info, share) => {
  expect(memoryShare(info)).toBe(share);
});

function shedding(depth: number | undefined) {
  const open = { pe: '0', re: '0' };
  const hmget = vi.fn(async () => [open.pe, open.re]);
  const client = {
    info: async () => 'used_memory:1\r\nmaxmemory:100\r\n',
    hmget,
  };
  const shard = { number: 0, client, key: (name: string) => name } as unknown as Shard;
  const said: string[] = [];
  const logger = { warn: () => said.push('refused'), info: () => said.push('taken') };
  const shed = new ShedLoad({
    shards: { client, get: () => shard } as unknown as Shards,
    memoryShare: 0.85,
    depth,
    logger: logger as unknown as ConstructorParameters<typeof ShedLoad>[0]['logger'],
  });
  const refused = () => {
    try {
      shed.checkDepth(shard);
      return undefined;
    } catch (error) {
      return error as SealpostError;
    }
  };
  return { shed, shard, open, hmget, said, refused };
}

it('refuses with Retry-After as soon as this process alone has added as much as may be open', () => {
  const { shed, shard, refused } = shedding(10);
  expect(refused()).toBeUndefined();
  shed.added(shard, 9);
  expect(refused()).toBeUndefined();
  shed.added(shard, 1);
  expect(refused()).toMatchObject({ code: 'overloaded', retryAfterSeconds: 10 });
  expect(shed.reason).toBe('too many deliveries wait');
});

it('counts what others have added, and takes events again when it has gone, saying each once', async () => {
  const { open, refused, shed, said } = shedding(10);
  Object.assign(open, { pe: '4', re: '6' });
  await vi.waitFor(() => expect(refused()).toBeInstanceOf(SealpostError), 60_000);
  refused();
  Object.assign(open, { pe: '4', re: '5' });
  await vi.waitFor(() => expect(shed.reason).toBeUndefined(), 60_000);
  expect(refused()).toBeUndefined();
  expect(said).toEqual(['refused', 'taken']);
});

it('counts what was added behind a slow answer, and asks no second time meanwhile', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const { hmget, shed, shard, open, refused } = shedding(1000);
  const answer = Promise.withResolvers<string[]>();
  hmget.mockImplementationOnce(() => answer.promise);
  expect(refused()).toBeUndefined();
  shed.added(shard, 600);
  vi.advanceTimersByTime(1500);
  expect(refused()).toBeUndefined();
  shed.added(shard, 300);
  expect(hmget).toHaveBeenCalledTimes(1);
  answer.resolve(['0', '0']);
  await vi.waitUntil(() => shed.reason === undefined && hmget.mock.calls.length === 2, 60_000);
  open.pe = '900';
  shed.added(shard, 500);
  expect(refused()).toMatchObject({ code: 'overloaded' });
});

it('neither counts nor refuses where no depth is set', async () => {
  const { hmget, refused, shed, shard } = shedding(undefined);
  shed.added(shard, 1_000_000);
  expect(refused()).toBeUndefined();
  expect(hmget).not.toHaveBeenCalled();
});
