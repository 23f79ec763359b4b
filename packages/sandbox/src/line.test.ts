import { describe, expect, it, vi } from 'vitest';
import type { SandboxChild } from './child-process.ts';
import { Line, SandboxBusy } from './line.ts';

/** Works that end when they are told to; what has begun, in order. */
function works(line: Line) {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const run = (owner: string, name: string, ms = 0) =>
    line.run(owner, async (child) => {
      begun.push(name);
      await new Promise<void>((resolve) => {
        ends.push(resolve);
      });
      takes(child, ms);
      return name;
    });
  const endNext = async () => {
    await vi.waitUntil(() => ends.length > 0, 60_000);
    ends.shift()!();
  };
  return { begun, run, endNext };
}

/** As if an evaluation had taken so long. */
function takes(child: SandboxChild, ms: number): void {
  const before = child.spentMs;
  Object.defineProperty(child, 'spentMs', { value: before + ms, configurable: true });
}

describe('a line', () => {
  it('gives each owner its turn, in order', async () => {
    const { begun, run, endNext } = works(new Line(100));
    const all = ['a1', 'a2', 'a3', 'b1', 'b2', 'c1'].map((name) => run(name[0]!, name));
    for (let i = 0; i < 6; i++) await endNext();
    expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'c1']);
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2']);
  });

  it('lets no owner wait for more than half a second of its own', async () => {
    const line = new Line(1000);
    const { run, endNext } = works(line);
    const slow = run('slow', 'first', 50);
    await endNext();
    await slow;
    const waiting = Array.from({ length: 12 }, (_, i) => run('slow', `${i}`)); // one of them has its turn
    await expect(run('slow', 'one more')).rejects.toThrow(SandboxBusy);
    const other = run('other', 'other');
    for (let i = 0; i < 13; i++) await endNext();
    await Promise.all([...waiting, other]);
  });

  it('takes no more than so many of all', async () => {
    const { run, endNext } = works(new Line(2));
    const taken = [run('a', 'a'), run('b', 'b')];
    await expect(run('c', 'c')).rejects.toThrow(SandboxBusy);
    for (let i = 0; i < 2; i++) await endNext();
    await Promise.all(taken);
    const next = run('c', 'c');
    await endNext();
    expect(await next).toBe('c');
  });
});
