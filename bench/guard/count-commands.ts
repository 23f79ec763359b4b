import { delay, eventually, now } from '../harness/clock.ts';
import type { System } from '../main/system.ts';

/** Long enough for what is done each second, or every two. */
const IDLE_MS = 4000;
/** What counting itself sends; the product uses none of them in its main path. */
const OURS = new Set(['type', 'info', 'config|resetstat']);

/** How many times Redis ran each command. */
export type Commands = Record<string, number>;

/**
 * How often Redis ran each command for one operation: `times` operations, one after the other. What the system does by the
 * clock is taken off, or a slow machine would count more.
 * @param idle what it does in a second while nothing is asked of it, as `countIdle` tells it
 */
export async function countCommands(
  system: System,
  times: number,
  idle: Commands,
  operation: (n: number) => Promise<unknown>,
): Promise<Commands> {
  const { counts, seconds } = await countDuring(system, async () => {
    for (let n = 0; n < times; n += 1) await operation(n);
  });
  const each = Object.entries(counts).map(([command, count]) => {
    const asked = Math.max(0, count - seconds * (idle[command] ?? 0));
    return [command, asked / times] as const;
  });
  return Object.fromEntries(each);
}

/** How often a second Redis runs each command while nothing is asked of the system. */
export async function countIdle(system: System): Promise<Commands> {
  const { counts, seconds } = await countDuring(system, () => delay(IDLE_MS));
  return Object.fromEntries(Object.entries(counts).map(([command, count]) => [command, count / seconds]));
}

async function countDuring(
  { redis }: System,
  work: () => Promise<unknown>,
): Promise<{ counts: Commands; seconds: number }> {
  await redis.call('CONFIG', 'RESETSTAT');
  const start = now();
  await work();
  const stats = await redis.info('commandstats');
  const seconds = (now() - start) / 1000;
  const calls = [...stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)];
  const counts = calls.map(([, command, count]) => [command!, Number(count)] as const);
  return { counts: Object.fromEntries(counts.filter(([command]) => !OURS.has(command))), seconds };
}

/** The fewest of several rounds: what runs by the clock is not in all of them. */
export function fewest(rounds: Commands[]): Commands {
  const commands = new Set(rounds.flatMap((round) => Object.keys(round)));
  const least = [...commands].sort().map((command) => {
    return [command, Math.min(...rounds.map((round) => round[command] ?? 0))] as const;
  });
  return Object.fromEntries(least.filter(([, count]) => count > 0));
}

/** Resolves when no job waits or runs, which is asked by a command that nothing else uses. */
export async function noJobs({ redis, queue }: System): Promise<void> {
  const none = async () => {
    const types = await Promise.all(['wait', 'active'].map((list) => redis.type(`${queue}:${list}`)));
    return types.every((type) => type === 'none');
  };
  if (!(await eventually(none, { timeoutMs: 60_000, everyMs: 2 }))) throw new Error('jobs are left');
}
