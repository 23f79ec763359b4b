/** What Redis ran for each operation; a script's time holds that of its commands. */
export type CommandCost = { name: string; calls: number; us: number };

/** @param commandstats of INFO @returns dearest first */
export function commandsOf(commandstats: string, operations: number): CommandCost[] {
  return [...commandstats.matchAll(/^cmdstat_(\S+):calls=(\d+),usec=(\d+)/gm)]
    .map(([, name, calls, us]) => ({
      name: name!,
      calls: Number(calls) / operations,
      us: Number(us) / operations,
    }))
    .toSorted((a, b) => b.us - a.us);
}
