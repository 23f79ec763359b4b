import { describe, expect, it } from 'vitest';
import { networkOf, WrongKeys } from './wrong-keys.ts';

const GUESSER = '192.0.2.1';
const wrong = async () => undefined;
const right = async () => 'app';

/** A clock that stands still until it is moved. */
class HandClock {
  #time = 1;
  #pauses: { until: number; end: () => void }[] = [];

  now(): number {
    return this.#time;
  }

  pause(ms: number): Promise<void> {
    return new Promise((end) => this.#pauses.push({ until: this.#time + ms, end }));
  }

  async pass(ms: number): Promise<void> {
    // What waits for nothing but promises goes first.
    await new Promise(setImmediate);
    this.#time += ms;
    const [over, open] = [true, false].map((is) =>
      this.#pauses.filter(({ until }) => until <= this.#time === is),
    );
    this.#pauses = open!;
    for (const { end } of over!) end();
    await new Promise(setImmediate);
  }
}

let clock: HandClock;

async function slowed(): Promise<WrongKeys> {
  clock = new HandClock();
  const keys = new WrongKeys(clock);
  for (let i = 0; i < 20; i++) expect(await keys.check(GUESSER, `wrong-${i}`, wrong)).toBeUndefined();
  return keys;
}

const refusal = (check: Promise<unknown>) => check.catch((error: { code?: string }) => error.code);

describe('an address that has sent many wrong keys', () => {
  it('waits for the answer to each further one', async () => {
    const keys = await slowed();
    let answered = false;
    const answer = refusal(keys.check(GUESSER, 'next', wrong)).finally(() => {
      answered = true;
    });
    await clock.pass(990);
    expect(answered).toBe(false);
    await clock.pass(20);
    expect(await answer).toBe('too_many_wrong_keys');
  });

  it('has ten looked at at once, and no more', async () => {
    const keys = await slowed();
    let looks = 0;
    const look = async () => {
      looks += 1;
      return undefined;
    };
    const answers = Array.from({ length: 100 }, (_, i) => refusal(keys.check(GUESSER, `k${i}`, look)));
    await clock.pass(1100);
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['too_many_wrong_keys']));
    expect(looks).toBe(10);
  });

  it('is let in at once with a right one', async () => {
    expect(await (await slowed()).check(GUESSER, 'right', right)).toBe('app');
  });

  it('does not hold up a key that was right before, however many wrong ones it sends', async () => {
    const keys = await slowed();
    await keys.check('198.51.100.7', 'right', right);
    const flood = Array.from({ length: 50 }, (_, i) => refusal(keys.check(GUESSER, `k${i}`, wrong)));
    expect(await keys.check(GUESSER, 'right', right)).toBe('app');
    await clock.pass(1100);
    await Promise.all(flood);
  });

  it('slows down no other, and itself no longer than a minute', async () => {
    const keys = await slowed();
    expect(await keys.check('192.0.2.2', 'x', wrong)).toBeUndefined();
    await clock.pass(60_100);
    expect(await keys.check(GUESSER, 'x', wrong)).toBeUndefined();
  });
});

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::6', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['2001:db8:1:2::', '2001:db8:1:2'],
  ['', ''],
])('%s counts as %s', (address, network) => expect(networkOf(address)).toBe(network));
