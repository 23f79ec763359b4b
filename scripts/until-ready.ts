import { setTimeout as delay } from 'node:timers/promises';
import { LauncherError } from './launcher-error.ts';
import { readable } from './log-view.ts';
import { describeExit, type ManagedProcess } from './managed-process.ts';

export type ReadyOptions = { timeoutMs: number; signal?: AbortSignal };

/**
 * Polls `{url}/readyz` until it answers 2xx. Throws a LauncherError when the process ends instead, with its last
 * lines, or when the time is up, with the last answer; throws the signal's reason when that fires.
 */
export async function untilReady(child: ManagedProcess, url: string, options: ReadyOptions): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  for (let answer = 'nothing'; ; await delay(50)) {
    options.signal?.throwIfAborted();
    if (child.exit) throw new LauncherError(describeDeath(child));
    try {
      const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2000) });
      const text = await response.text();
      if (response.ok) return;
      answer = `${response.status} ${text.trim()}`;
    } catch {
      // refused until it listens
    }
    if (Date.now() > deadline) {
      const lines = lastWords(child);
      throw new LauncherError(
        `${child.name} did not become ready; ${url}/readyz answers ${answer}. Its last lines:\n\n${lines}`,
      );
    }
  }
}

/** Which process ended, how, and its last words. */
export function describeDeath(child: ManagedProcess): string {
  const exit = describeExit(child.exit ?? { code: null, signal: null });
  return `${child.name} ${exit} unexpectedly. Its last lines:\n\n${lastWords(child)}`;
}

function lastWords(child: ManagedProcess): string {
  return child.lastLines().map(readable).join('\n');
}
