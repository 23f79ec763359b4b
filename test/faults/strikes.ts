/** What a fault did, and when; all times are ms of the harness' own clock. */
export type Strike = {
  fault: string;
  /** Whom it hit. */
  target: string;
  startedAt: number;
  /** When all was as before, but for what the system itself has to mend. */
  endedAt: number;
  /** Which requests it may have had repeated, or left out of the records; undefined: none. */
  repeats: Repeats | undefined;
  /** May lose what Redis had taken shortly before `startedAt`. */
  losesRedis: boolean;
  /** Workers that it hit, which bounds how much is repeated. */
  workers: number;
};

/**
 * Requests that began from `beforeMs` before the start, or the timeout of their receiver and three seconds before if that is
 * earlier, to `afterMs` after the end.
 */
export type Repeats = {
  beforeMs: number;
  afterMs: number;
  /** A repeat may come within a second of what it repeats: of a process that goes on where it stood still. */
  atOnce?: true;
};

/** Whoever puts right what was lost with a process or a connection waits for a lock to run out first, ms. */
export const SOONEST_REPEAT_MS = 1000;

/** Between the answer and its SETTLE, at most, on a starved machine, ms. */
const SETTLED_WITHIN_MS = 3000;
/** What AOF `everysec` can lose, and the time between a 202 and when we noted it, ms. */
const LOSES_MS = 4000;

export function mayRepeat(strike: Strike, requestAt: number, timeoutMs: number): boolean {
  const { repeats, startedAt, endedAt } = strike;
  if (!repeats) return false;
  const before = Math.max(repeats.beforeMs, timeoutMs + SETTLED_WITHIN_MS);
  return requestAt >= startedAt - before && requestAt <= endedAt + repeats.afterMs;
}

export function mayLose(strike: Strike, acceptedAt: number): boolean {
  return strike.losesRedis && acceptedAt >= strike.startedAt - LOSES_MS && acceptedAt <= strike.endedAt;
}

export function describeStrike({ fault, target, startedAt, endedAt }: Strike, since: number): string {
  const seconds = (at: number) => ((at - since) / 1000).toFixed(1);
  return `${seconds(startedAt)}–${seconds(endedAt)} s ${fault}${target ? ` (${target})` : ''}`;
}
