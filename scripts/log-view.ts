/** pino's numbers for levels. */
export const WARN = 40;
export const ERROR = 50;
const NAMES: Record<number, string> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
/** The same message again within this time is only counted. */
const QUIET_MS = 10_000;
/** What every line has, or what is shown in another way. */
const NOT_DETAILS = ['level', 'time', 'pid', 'hostname', 'name', 'msg', 'err'];

type LogRecord = Record<string, unknown> & {
  level: number;
  msg?: unknown;
  err?: { message?: unknown; stack?: unknown };
};

/**
 * Shows the children's output calmly: of their JSON log lines those of a level (warnings and errors), each message
 * once in ten seconds with a count of its repetitions. Everything else stays in the log files, and a child that ends
 * unasked has its last lines shown.
 */
export class LogView {
  readonly #write: (line: string) => void;
  readonly #fromLevel: number;
  readonly #now: () => number;
  readonly #seen = new Map<string, { since: number; hidden: number }>();

  constructor(write: (line: string) => void, fromLevel = WARN, now: () => number = Date.now) {
    this.#write = write;
    this.#fromLevel = fromLevel;
    this.#now = now;
  }

  /** Takes one line that the named process has printed. */
  line(name: string, text: string): void {
    const record = parseRecord(text);
    if (!record || record.level < this.#fromLevel) return;
    const now = this.#now();
    const message = `${name} ${record.level} ${record.msg}`;
    const seen = this.#seen.get(message);
    if (seen && now - seen.since < QUIET_MS) {
      seen.hidden += 1;
      return;
    }
    const line = `${name.padEnd(6)}  ${printable(describe(record, record.err?.message))}`;
    this.#write(seen?.hidden ? `${line} (and ${seen.hidden} like it before)` : line);
    this.#forgetOld(now);
    this.#seen.set(message, { since: now, hidden: 0 });
  }

  #forgetOld(now: number): void {
    for (const [message, { since }] of this.#seen) {
      if (now - since > 6 * QUIET_MS) this.#seen.delete(message);
    }
  }
}

/** A line of output for people: a JSON log line as its level, message and stack trace, any other as it is. */
export function readable(text: string): string {
  const record = parseRecord(text);
  return record ? describe(record, record.err?.stack ?? record.err?.message) : text;
}

function describe(record: LogRecord, cause: unknown): string {
  const { level, msg } = record;
  const why = cause && cause !== msg ? `: ${cause}` : '';
  const details = Object.entries(record)
    .filter(([key, value]) => !NOT_DETAILS.includes(key) && value !== null && typeof value !== 'object')
    .map(([key, value]) => `  ${key}=${value}`);
  return `${NAMES[level] ?? level}  ${msg ?? ''}${why}${details.join('')}`;
}

function parseRecord(text: string): LogRecord | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const record = JSON.parse(text) as LogRecord;
    return typeof record.level === 'number' ? record : undefined;
  } catch {
    return undefined; // something else that begins with a brace
  }
}

/** Text without the control characters by which something from outside could drive the terminal. */
export function printable(text: string, maxLength = 500): string {
  const clean = text.replace(/\p{Cc}/gu, ' ');
  return clean.length > maxLength ? `${clean.slice(0, maxLength)} …` : clean;
}
