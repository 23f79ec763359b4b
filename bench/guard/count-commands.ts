import { eventually } from '../harness/clock.ts';
import type { System } from '../main/system.ts';

/** What counting itself sends; the product uses none of them in its main path. */
const OURS = new Set(['type', 'info', 'config|resetstat']);

/** How often Redis ran each command for one operation: `times` operations, one after the other. */
export async function countCommands(
  system: System,
  times: number,
  operation: (n: number) => Promise<unknown>,
): Promise<Record<string, number>> {
  await system.redis.call('CONFIG', 'RESETSTAT');
  for (let n = 0; n < times; n += 1) await operation(n);
  const stats = await system.redis.info('commandstats');
  const counts: Record<string, number> = {};
  for (const [, command, calls] of stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)) {
    if (!OURS.has(command!)) counts[command!] = Number(calls) / times;
  }
  return counts;
}

/** The fewest of several rounds: what runs by the clock is not in all of them. */
export function fewest(rounds: Record<string, number>[]): Record<string, number> {
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
  if (!(await eventually(none, { timeoutMs: 30_000, everyMs: 2 }))) throw new Error('jobs are left');
}
