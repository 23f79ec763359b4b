/** Whoever reads metrics waits this long at most for what Redis says, ms: so that all of them come within a second. */
const PATIENCE_MS = 750;

export function afterPatience(ms = PATIENCE_MS): Promise<'late'> {
  return new Promise((resolve) => {
    setTimeout(() => resolve('late'), ms).unref();
  });
}
