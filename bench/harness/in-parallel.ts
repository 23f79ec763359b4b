/** Runs `task` for 0 … count − 1, so many at a time. */
export async function inParallel(
  count: number,
  atOnce: number,
  task: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const i = next;
      next += 1;
      await task(i);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
