import { afterEach, describe, expect, it } from 'vitest';
import { type Attempt, Attempts, MOST_DETACHED } from './attempts.ts';

let made: Attempts | undefined;
afterEach(() => made?.close());

/** Detaching as a process sees it: what was asked of it, and a promise of the n-th time. */
class Recorder {
  readonly detached: { attempt: Attempt; stuck: boolean }[] = [];
  readonly stuck: Attempt[] = [];
  answer: boolean | 'failed' = true;
  #waiting: { count: number; resolve: () => void }[] = [];

  async detach(attempt: Attempt, stuck: boolean): Promise<boolean | 'failed'> {
    this.detached.push({ attempt, stuck });
    this.#look();
    return this.answer;
  }

  tellStuck(attempt: Attempt): void {
    this.stuck.push(attempt);
    this.#look();
  }

  /** Resolves when so many have been detached or told to be stuck. */
  until(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ count, resolve });
    this.#look();
    return promise;
  }

  #look(): void {
    const count = this.detached.length + this.stuck.length;
    for (const waiting of this.#waiting) if (count >= waiting.count) waiting.resolve();
  }
}

function setUp(slots: number) {
  const recorder = new Recorder();
  const attempts = new Attempts(() => slots, recorder, { count: 0 });
  made = attempts;
  let number = 0;
  const start = (part: Partial<Attempt> = {}): Attempt => {
    const attempt = {
      number: number++,
      generation: 1,
      attempt: 1,
      lane: '1',
      startedAt: performance.now(),
      timeoutMs: 30_000,
      averageMs: 0,
      ...part,
    };
    attempts.takeSlot();
    attempts.start(attempt);
    return attempt;
  };
  return { recorder, attempts, start };
}

describe('an attempt that lasts', () => {
  it('keeps its slot for a second while slots are free, and is stuck then', async () => {
    const { recorder, start } = setUp(2);
    const attempt = start();
    await recorder.until(1);
    expect(performance.now() - attempt.startedAt).toBeGreaterThanOrEqual(999);
    expect(recorder.detached).toEqual([{ attempt, stuck: true }]);
  });

  it('gives it up sooner when all are taken, the oldest first', async () => {
    const { recorder, start } = setUp(2);
    const [first, second] = [start(), start()];
    await recorder.until(2);
    expect(recorder.detached.map(({ attempt }) => attempt)).toEqual([first, second]);
    expect(performance.now() - first.startedAt).toBeGreaterThanOrEqual(49);
  });

  it('is not stuck as long as its lane is usually so slow, and told to be when it takes four times as long', async () => {
    const { recorder, start } = setUp(1);
    const attempt = start({ averageMs: 40 });
    await recorder.until(1);
    expect(recorder.detached[0]!.stuck).toBe(false);
    await recorder.until(2);
    expect(recorder.stuck).toEqual([attempt]);
    expect(performance.now() - attempt.startedAt).toBeGreaterThanOrEqual(159);
  });

  it('is left alone when it has ended', async () => {
    const { recorder, attempts, start } = setUp(2);
    const ended = start();
    attempts.end(ended);
    attempts.freeSlot();
    const [other] = [start(), start()];
    await recorder.until(1);
    expect(recorder.detached[0]!.attempt).toBe(other);
  });
});

describe('the detached', () => {
  it('of one lane are an eighth of all at most', async () => {
    const { recorder, start } = setUp(1);
    const most = MOST_DETACHED / 8;
    for (let i = 0; i < most + 5; i++) start();
    start({ lane: '2' });
    await recorder.until(most + 1);
    expect(recorder.detached).toHaveLength(most + 1);
    expect(recorder.detached.at(-1)!.attempt.lane).toBe('2');
  });

  it('are bounded; when one has ended the next is detached, and stuck, whatever is usual', async () => {
    const { recorder, attempts, start } = setUp(1);
    for (let i = 0; i <= MOST_DETACHED; i++) start({ lane: String(i % 100), averageMs: 10_000 });
    await recorder.until(MOST_DETACHED);
    expect(attempts.detached).toBe(MOST_DETACHED);
    expect(recorder.detached[0]!.stuck).toBe(false);
    expect(recorder.detached.at(-1)!.stuck).toBe(true);
    attempts.end(recorder.detached[0]!.attempt);
    await recorder.until(MOST_DETACHED + 1);
    expect(recorder.detached.at(-1)).toMatchObject({ attempt: { number: MOST_DETACHED }, stuck: true });
    for (const { attempt } of recorder.detached) attempts.end(attempt);
    expect(attempts.detached).toBe(0);
  });

  it('do not count when they could not be detached', async () => {
    const { recorder, attempts, start } = setUp(1);
    recorder.answer = false;
    start();
    await recorder.until(1);
    await new Promise(setImmediate);
    expect(attempts.detached).toBe(0);
  });

  it('are tried again when detaching failed', async () => {
    const { recorder, attempts, start } = setUp(1);
    recorder.answer = 'failed';
    const attempt = start();
    await recorder.until(1);
    recorder.answer = true;
    await recorder.until(2);
    expect(recorder.detached.at(-1)).toMatchObject({ attempt });
    expect(attempts.detached).toBe(1);
  });

  it('of all shards of a process count together', async () => {
    const all = { count: MOST_DETACHED };
    const recorder = new Recorder();
    const attempts = new Attempts(() => 1, recorder, all);
    made = attempts;
    attempts.takeSlot();
    attempts.start({
      number: 1,
      generation: 1,
      attempt: 1,
      lane: '1',
      startedAt: performance.now() - 5000,
      timeoutMs: 30_000,
      averageMs: 0,
    });
    all.count -= 1; // another shard's has ended
    await recorder.until(1);
    expect(all.count).toBe(MOST_DETACHED);
  });
});
