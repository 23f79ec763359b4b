/** As `node --cpu-prof` writes it, as far as it is needed. */
export type CpuProfile = {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[];
  /** µs, by the clock of all processes. */
  startTime: number;
  samples: number[];
  timeDeltas: number[];
};

/** Where time was spent, most first, as a share of the time that was not idle. */
export type SelfTime = { place: string; share: number };

/**
 * By package, and by file within Sealpost and Node: functions are too many to tell anything.
 * @param from what was before, such as starting, does not count, µs
 */
export function selfTimes({ nodes, startTime, samples, timeDeltas }: CpuProfile, from: number): SelfTime[] {
  const places = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const spent = new Map<string, number>();
  let [at, all] = [startTime, 0];
  for (const [i, id] of samples.entries()) {
    const [place, us] = [places.get(id), timeDeltas[i]!];
    at += us;
    if (place === undefined || at < from) continue;
    spent.set(place, (spent.get(place) ?? 0) + us);
    all += us;
  }
  return [...spent].map(([place, us]) => ({ place, share: us / all })).toSorted((a, b) => b.share - a.share);
}

/** Undefined while nothing ran. */
function placeOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): string | undefined {
  if (functionName === '(idle)') return undefined;
  if (url === '') return functionName.startsWith('(') ? functionName : `native ${functionName}`;
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url);
  if (library) return library[1];
  return url.replace(/^.*\/((?:apps|packages)\/)/, '$1');
}
