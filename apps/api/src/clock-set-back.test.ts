import { setTimeout as delay } from 'node:timers/promises';
import type { RedisClient, Shard, Shards } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ShedLoad } from './ingest/shed-load.ts';
import { Readiness } from './readiness.ts';

/** From now on the machine's clock is an hour behind. */
function setClockBack(): void {
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
  onTestFinished(() => clock.mockRestore());
}

async function within(ms: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; await delay(50)) {
    if (await condition()) return true;
  }
  return false;
}

describe('an API whose clock is set back', () => {
  it('does not stay unready for as long', async () => {
    const set = vi.fn().mockRejectedValueOnce(new Error('Connection is closed.')).mockResolvedValue('OK');
    const client = { status: 'ready', set } as unknown as RedisClient;
    const readiness = new Readiness(client, { isConnected: true });
    expect(await readiness.notReady()).toMatch(/cannot be reached/);
    setClockBack();
    expect(await within(5000, async () => (await readiness.notReady()) === undefined)).toBe(true);
  });

  it('does not refuse events for as long since Redis was nearly full', async () => {
    const full = 'used_memory:99\r\nmaxmemory:100\r\n';
    const info = vi.fn().mockResolvedValueOnce(full).mockResolvedValue('used_memory:1\r\nmaxmemory:100\r\n');
    const shards = { client: { info } } as unknown as Shards;
    const logger = { warn: () => {}, info: () => {} } as unknown as Logger;
    const shed = new ShedLoad({ shards, memoryShare: 0.85, depth: undefined, logger });
    const refuses = () => {
      try {
        shed.checkMemory({} as Shard);
        return false;
      } catch {
        return true;
      }
    };
    expect(await within(5000, refuses)).toBe(true);
    setClockBack();
    expect(await within(5000, () => !refuses())).toBe(true);
  });
});
