import { type DestinationStream, type Logger, pino } from 'pino';
import { readableLines } from './readable-lines.ts';
import { redact } from './redact.ts';
import { standardOutput } from './standard-output.ts';

export type { Logger } from 'pino';

/** The logger of one process: JSON lines, or readable lines in a terminal. */
export function createLogger(options: {
  name: string;
  level: string;
  /** Which of several processes under one parent: stands in each line. */
  process?: number | undefined;
  /** Whether several processes write to the same standard output. */
  isShared?: boolean;
  destination?: DestinationStream;
}): Logger {
  const readable = options.destination === undefined && process.stdout.isTTY === true;
  const stream = readable
    ? readableLines((text) => process.stdout.write(text))
    : (options.destination ?? standardOutput(options.isShared ?? false));
  const settings = {
    name: options.name,
    level: options.level,
    // pino's own `redact` looks for names at given depths, and made a line five times as dear.
    formatters: { log: (line: Record<string, unknown>) => redact(line) },
    serializers: { err: withoutCommand },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const logger = pino(settings, stream);
  return options.process === undefined ? logger : logger.child({ process: options.process });
}

type Serialized = Record<string, unknown>;

/**
 * A Redis error carries the whole command, a script's text and arguments among it: payloads and answers. So do errors in it: of a
 * Cluster the last node's, or those of all that were asked.
 */
function withoutCommand(error: Error): object {
  return redact(stripped(pino.stdSerializers.err(error) as unknown as Serialized));
}

function stripped({ command, previousErrors, ...rest }: Serialized): Serialized {
  const each = (value: unknown) => (isSerializedError(value) ? stripped(value) : value);
  const entries = Object.entries(rest).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(each) : each(value),
  ]);
  return Object.fromEntries(entries);
}

function isSerializedError(value: unknown): value is Serialized {
  return typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;
}
