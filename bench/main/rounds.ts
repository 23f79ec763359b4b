import { percentile } from '../harness/statistics.ts';

/** What an operation took in one round, by process, and operations a second. */
export type Sample = {
  /** µs. */
  cpu: Record<string, number>;
  /** In user mode. */
  instructions?: Record<string, number>;
  perSecond: number;
};

/** One thing that is measured, a round at a time. */
export type Case = { name: string; run: () => Promise<Sample> };

/** All rounds of one thing. */
export type Measured = {
  cpu: Record<string, Figure>;
  instructions: Record<string, Figure>;
  perSecond: Figure;
};
/** What is told, and the rounds that it comes from. */
export type Figure = { value: number; median: number; rounds: number[] };

export type Rounds = {
  rounds: number;
  /** Rounds before, which do not count: until the code is compiled. */
  warmUp: number;
  /** No more after this, s, though one counts; warming up may take a third of it. */
  budget: number;
  /** After each; those that warm up have no number above 0. */
  onRound: (round: number) => void;
};

/** The second best of all rounds: the least may be luck. Of one round, that one. */
const second = (best: number[]) => best[Math.min(1, best.length - 1)]!;

/** Measures all in turns, so that what else the machine does meets all alike; each round begins with another one. */
export async function inTurns(
  cases: Case[],
  { rounds, warmUp, budget, onRound }: Rounds,
): Promise<Record<string, Measured>> {
  const samples = new Map<string, Sample[]>(cases.map(({ name }) => [name, []]));
  const start = performance.now();
  const spent = () => (performance.now() - start) / 1000 / budget;
  for (let [round, turn] = [1 - warmUp, 0]; round <= rounds; round += 1, turn += 1) {
    const first = turn % cases.length;
    for (const { name, run } of [...cases.slice(first), ...cases.slice(0, first)]) {
      const sample = await run();
      if (round > 0) samples.get(name)!.push(sample);
    }
    onRound(round);
    if (round < 0 && spent() > 1 / 3) round = 0;
    if (round > 0 && spent() > 1) break;
  }
  return Object.fromEntries([...samples].map(([name, all]) => [name, summarize(all)]));
}

function summarize(samples: Sample[]): Measured {
  const perSecond = samples.map((sample) => sample.perSecond);
  return {
    cpu: byProcess(samples.map(({ cpu }) => cpu)),
    instructions: byProcess(samples.map(({ instructions = {} }) => instructions)),
    perSecond: figure(perSecond, (most) => second(most.toReversed())),
  };
}

function byProcess(rounds: Record<string, number>[]): Record<string, Figure> {
  const names = Object.keys(rounds[0] ?? {});
  const of = (name: string) => rounds.map((round) => round[name]!);
  return Object.fromEntries(names.map((name) => [name, figure(of(name), second)]));
}

/** A busy machine only ever adds (caches, cores that share a unit). */
function figure(rounds: number[], choose: (sorted: number[]) => number): Figure {
  const sorted = rounds.toSorted((a, b) => a - b);
  return { value: choose(sorted), median: percentile(sorted, 0.5), rounds };
}
