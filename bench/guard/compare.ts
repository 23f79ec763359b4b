/** What the main path takes, as far as it does not depend on the machine. */
export type Costs = {
  /** Redis commands, those of scripts included, for each operation, by operation and command. */
  commands: Record<string, Record<string, number>>;
  /** What a delivery takes each process, as a share of what it takes the whole naive sender, by unit and process. */
  ratios: Partial<Record<Unit, Record<string, number>>>;
};
/** Instructions are steadier; where nobody may count them, CPU time has to do. */
export type Unit = 'instructions' | 'cpu';

/** So much more than the baseline is still no complaint: a busy machine, another processor, another Redis. */
export const MARGIN = 1.4;
/** Counts are exact but for what runs by the clock: what an idle system does is taken off, more or less. */
const COUNT_MARGIN = 0.5;

/** What has become worse than the baseline; nothing when all is well. What has become better is not told. */
export function complaints(baseline: Costs, now: Costs): string[] {
  return [...unmeasured(baseline, now), ...moreCommands(baseline, now), ...moreWork(baseline, now)];
}

/** What is not measured any more would never be worse. */
function unmeasured(baseline: Costs, now: Costs): string[] {
  const operations = Object.keys(baseline.commands).filter(
    (operation) => Object.keys(now.commands[operation] ?? {}).length === 0,
  );
  const unit = unitOf(baseline, now);
  const processes = Object.keys(baseline.ratios[unit] ?? {}).filter(
    (name) => now.ratios[unit]?.[name] === undefined,
  );
  return [...operations, ...processes].map((name) => `${name}: was not measured`);
}

/** Of one unit only: the other says the same, less reliably. */
function unitOf(baseline: Costs, now: Costs): Unit {
  return now.ratios.instructions && baseline.ratios.instructions ? 'instructions' : 'cpu';
}

function moreCommands(baseline: Costs, now: Costs): string[] {
  return Object.entries(now.commands).flatMap(([operation, commands]) =>
    Object.entries(commands).flatMap(([command, count]) => {
      const before = baseline.commands[operation]?.[command] ?? 0;
      if (count <= before + COUNT_MARGIN) return [];
      return [`${operation}: ${count} × ${command} in Redis, where it was ${before}`];
    }),
  );
}

function moreWork(baseline: Costs, now: Costs): string[] {
  const unit = unitOf(baseline, now);
  return Object.entries(now.ratios[unit] ?? {}).flatMap(([name, ratio]) => {
    const before = baseline.ratios[unit]?.[name] ?? 0;
    if (ratio <= before * MARGIN) return [];
    const [is, was] = [ratio, before].map((value) => value.toFixed(2));
    return [`${name}: ${is} of what the naive sender takes (${unit}), where it was ${was}`];
  });
}
