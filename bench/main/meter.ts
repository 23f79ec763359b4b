import { InstructionCounter } from '../harness/instructions.ts';
import { exactCpuSeconds } from '../harness/usage.ts';
import type { Sample } from './rounds.ts';
import { idle, type System } from './system.ts';

/**
 * What each process of a system used while `work` ran and until nothing was left to do, for each of `operations`.
 * @param work resolves with the seconds that count for the throughput
 * @param instructions counts these as well
 */
export async function meter(
  system: System,
  operations: number,
  work: () => Promise<number>,
  { instructions = false }: { instructions?: boolean } = {},
): Promise<Sample> {
  const names = Object.keys(system.pids) as (keyof typeof system.pids)[];
  const pids = names.map((name) => system.pids[name]);
  const counters = instructions ? await Promise.all(pids.map((pid) => InstructionCounter.start(pid))) : [];
  const look = () => Promise.all(pids.map(exactCpuSeconds));
  const before = await look();
  const seconds = await work();
  await idle(system);
  const after = await look();
  const counts = await Promise.all(counters.map((counter) => counter.stop()));
  const of = (figures: number[]) => Object.fromEntries(figures.map((figure, i) => [names[i], figure]));
  return {
    cpu: of(after.map((end, i) => ((end - before[i]!) * 1e6) / operations)),
    ...(instructions ? { instructions: of(counts.map((count) => count / operations)) } : {}),
    perSecond: operations / seconds,
  };
}
