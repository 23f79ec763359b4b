const FIRST_MS = 500;
const MOST_MS = 30_000;
/** What ran this long has worked: its end is a new trouble, not the last one again. */
const SETTLED_MS = 60_000;

/** How many times in a row a process has died soon after it was started, the present death included. */
export function deathsInARow(before: number, ranMs: number): number {
  return ranMs >= SETTLED_MS ? 1 : before + 1;
}

/** How long to wait, ms, before one that has died is started anew. */
export function restartDelayMs(deaths: number): number {
  return Math.min(MOST_MS, FIRST_MS * 2 ** (deaths - 1));
}
