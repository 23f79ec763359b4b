import type { Logger } from './logger.ts';

/**
 * An error that nothing caught ends this process with 1, as a line of its log. Node's own last words would show all that the
 * error holds, and one of Redis holds the whole command: payloads, stored secrets.
 */
export function endOnUncaught(logger: Logger): void {
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'the process ends: an error that nothing caught');
    process.exit(1);
  });
}
