/** Ctrl-C comes twice under npm: once from the terminal, once passed on. The second within this time is the first. */
const SAME_MS = 1000;
const PARENT_CHECK_MS = 500;

/**
 * Calls `first` when asked to stop: at the first SIGINT, SIGTERM or SIGHUP (the terminal was closed), or when the npm
 * that runs us has ended. Calls `again` at each later signal that a person must have meant.
 */
export function onStopSignal(first: () => void, again: () => void): void {
  let last: number | undefined;
  const handle = () => {
    const now = Date.now();
    if (last === undefined) first();
    else if (now - last > SAME_MS) again();
    last ??= now;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, handle);
  if (process.env.npm_lifecycle_event) onParentGone(() => last === undefined && handle());
  // A closed terminal must not turn the goodbye into a crash.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
}

/**
 * npm runs a script in a shell and passes SIGTERM on to that shell only, which ends without telling us. Without npm
 * a parent that goes away may be meant: `nohup node scripts/start.ts &`.
 */
function onParentGone(stop: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, PARENT_CHECK_MS);
  timer.unref();
}
