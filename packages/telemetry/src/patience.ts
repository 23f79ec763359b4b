/** Whoever reads metrics waits this long at most for what Redis says, ms. */
const PATIENCE_MS = 1000;

export function afterPatience(): Promise<'late'> {
  return new Promise((resolve) => {
    setTimeout(() => resolve('late'), PATIENCE_MS).unref();
  });
}
