import type { DestinationStream } from 'pino';

const LEVELS: Record<number, [name: string, color: number]> = {
  10: ['TRACE', 90],
  20: ['DEBUG', 34],
  30: ['INFO', 32],
  40: ['WARN', 33],
  50: ['ERROR', 31],
  60: ['FATAL', 35],
};
/** What is shown in another way, or not at all. */
const NOT_DETAILS = new Set(['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err']);

/** Log lines for people: `12:03:04.567 INFO  attempt  app=shop status=delivered`. Not for machines: JSON is. */
export function readableLines(write: (text: string) => void): DestinationStream {
  return { write: (line) => write(`${readableLine(line)}\n`) };
}

export function readableLine(line: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown> & {
    level: number;
    err?: { stack?: string; message?: string };
  };
  const [name, color] = LEVELS[level] ?? [String(level), 0];
  const details = Object.entries(rest).flatMap(([key, value]) =>
    NOT_DETAILS.has(key) || value === null ? [] : [` ${key}=${show(value)}`],
  );
  const head = `${String(time).slice(11, 23)} \x1b[${color}m${name.padEnd(5)}\x1b[0m ${clean(String(msg ?? ''))}`;
  const stack = err?.stack ?? err?.message;
  return `${head}${details.length > 0 ? ` ${details.join('')}` : ''}${stack ? `\n${stack.split('\n').map(clean).join('\n')}` : ''}`;
}

function show(value: unknown): string {
  return clean(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** Without the control characters by which something from outside could drive the terminal. */
function clean(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
