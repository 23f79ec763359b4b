import type { Arrivals } from './system.ts';

const STUCK_MS = 60_000;

export type Load = {
  /** Arrivals to bring about. */
  total: number;
  /** Arrivals that one call brings about. */
  each?: number;
  /** Most that may be under way, from the request to the arrival. */
  atOnce: number;
  send: (n: number) => Promise<unknown>;
};

/**
 * Keeps so many deliveries under way, and resolves with the seconds that it took until all had arrived. So nothing ever
 * waits in a backlog, whatever is fast and whatever slow.
 * @throws Error when a request fails, or nothing has arrived for a minute
 */
export async function keepUnderWay(
  arrivals: Arrivals,
  { total, each = 1, atOnce, send }: Load,
): Promise<number> {
  const [start, base] = [performance.now(), arrivals.count];
  let sent = 0;
  await new Promise<void>((resolve, reject) => {
    const stuck = setTimeout(
      () => reject(new Error(`${arrivals.count - base} of ${total} arrived`)),
      STUCK_MS,
    );
    const finish = (error?: Error) => {
      clearTimeout(stuck);
      arrivals.onChange = () => {};
      if (error) reject(error);
      else resolve();
    };
    const step = () => {
      const arrived = arrivals.count - base;
      if (arrived >= total) return finish();
      stuck.refresh();
      for (; sent < total && sent + each - arrived <= Math.max(atOnce, each); sent += each)
        send(sent / each).catch(finish);
    };
    arrivals.onChange = step;
    step();
  });
  return (performance.now() - start) / 1000;
}

/** Resolves with the seconds until what `send` publishes has arrived. */
export async function untilArrived(
  arrivals: Arrivals,
  total: number,
  send: () => Promise<unknown>,
): Promise<number> {
  return keepUnderWay(arrivals, { total, each: total, atOnce: total, send });
}
