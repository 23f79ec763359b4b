import type { AppProcess } from './processes.ts';
import { waitFor } from './wait-for.ts';

/** The processes that a parent says it has started, in the order in which it did. */
export function childrenOf(app: AppProcess): number[] {
  return app.logs.filter(({ msg }) => msg === 'process started').map(({ child }) => child as number);
}

/** Resolves once a parent has said `what`: `all workers ready`. */
export async function untilAllReady(app: AppProcess, what: string): Promise<void> {
  await waitFor(() => app.output.includes(what), { describe: what });
}
