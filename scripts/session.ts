import { LauncherError } from './launcher-error.ts';
import { LocalStack } from './local-stack.ts';
import { LogView } from './log-view.ts';
import { onStopSignal } from './stop-signals.ts';
import { describeDeath } from './until-ready.ts';

export type SessionOptions = {
  dataDir: string;
  say: (line: string) => void;
  /** The children's log lines from this level on are shown; default warnings. */
  logLevel?: number;
  /** Runs once the stack is ready; the stack is stopped when it ends. `stop` tells it to end. */
  run: (stack: LocalStack, stop: AbortSignal) => Promise<void>;
};

/**
 * Starts everything, runs the session, and stops everything, whatever happens: the session's end, Ctrl-C or
 * SIGTERM (also while starting), or the death of a child, which is told at once and makes the exit code 1.
 */
export async function runSession({ dataDir, say, logLevel, run }: SessionOptions): Promise<void> {
  const stop = new AbortController();
  const stack = new LocalStack({ env: process.env, dataDir, say, log: new LogView(say, logLevel) });
  let running = false;
  onStopSignal(
    () => {
      stop.abort();
      if (!running) void stack.stop();
    },
    () => {
      say('Stopping at once.');
      stack.kill();
    },
  );
  const session = async () => {
    await stack.start();
    running = true;
    await run(stack, stop.signal);
  };
  let cause: string | undefined;
  const death = stack.died.then((child) => {
    throw new LauncherError(describeDeath(child));
  });
  try {
    await Promise.race([session(), death]);
  } catch (error) {
    // After Ctrl-C whatever was under way ends with one error or another: that is no failure.
    if (!stop.signal.aborted) {
      const message = error instanceof LauncherError ? error.message : (error as Error).stack!;
      cause = message.split('\n')[0];
      say(`\n${message}\n`);
      process.exitCode = 1;
      stop.abort(); // the session may still run, when it was a child that ended
    }
  }
  if (stack.hasStarted)
    say('\nStopping: what is in flight is finished first, at most 25 s (Ctrl-C: at once).');
  await stack.stop();
  // What it was about may have scrolled away by now.
  if (stack.hasStarted) say(cause ? `Stopped: ${cause}` : 'Stopped.');
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
