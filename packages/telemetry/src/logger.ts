import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/** Fields that must never be written, wherever they stand in a logged object. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'secret',
  'webhook_secret',
  'signing_secret',
  'key',
  'signature',
];

/**
 * The logger of one process: JSON lines, or readable lines in a terminal. Secrets are left out by their names as the
 * last line of defence; nothing that holds one should be logged at all.
 */
export function createLogger(options: {
  name: string;
  level: string;
  destination?: DestinationStream;
}): Logger {
  const readable = options.destination === undefined && process.stdout.isTTY === true;
  const stream = readable
    ? pretty({ ignore: 'pid,hostname,name', translateTime: 'HH:MM:ss.l' })
    : options.destination;
  const settings = {
    name: options.name,
    level: options.level,
    serializers: { err: withoutCommand },
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
      censor: '[redacted]',
    },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return stream ? pino(settings, stream) : pino(settings);
}

/** A Redis error carries the whole command, a script's text and arguments among it: payloads and answers. */
function withoutCommand(error: Error): object {
  const { command, previousErrors, ...rest } = pino.stdSerializers.err(error) as unknown as Record<
    string,
    unknown
  >;
  return rest;
}
