/** What went wrong in words for the person at the terminal: the message is all they see, no stack trace. */
export class LauncherError extends Error {
  override readonly name = 'LauncherError';
}

/** Runs a script's main function; a LauncherError is printed as its message, and the process exits with 1. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof LauncherError ? `\n${error.message}\n` : error);
    process.exitCode = 1;
  }
}
