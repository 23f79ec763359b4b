import type { EndpointName, ReceivedAttempt } from './demo-receiver.ts';

export type Row = {
  endpoint: EndpointName;
  attempts: number;
  verified: number;
  delivered: number;
  retrying: number;
  dead: number;
  /** Its lane has closed, after it only failed. */
  closed: boolean;
};

const BEHAVIOUR: Record<EndpointName, string> = {
  good: 'answers 200',
  flaky: 'fails 2 of 3',
  dead: 'always fails',
};
const COLUMNS = ['attempts', 'verified', 'delivered', 'on its way', 'dead'];
const RECENT = 8;

/** The demo in the terminal: a table that is redrawn in place, or plain lines where there is no terminal. */
export class DemoView {
  readonly #out: NodeJS.WriteStream;
  readonly #recent: string[] = [];
  #drawnLines = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Something that happened: a line by itself, or among the last ones under the table. */
  happened(seconds: number, text: string): void {
    const line = `${seconds.toFixed(1).padStart(6)} s  ${text}`;
    if (!this.#out.isTTY) return void this.#out.write(`${line}\n`);
    this.#recent.push(line);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  /** Draws the table anew in a terminal; does nothing elsewhere. */
  draw(title: string, rows: Row[]): void {
    if (!this.#out.isTTY) return;
    const room = this.#out.columns || 80;
    const lines = ['', title, '', ...table(rows), '', ...this.#recent, ''].map((line) =>
      line.slice(0, room - 1),
    );
    // Up to where the last drawing began, each line cleared as it is written, the rest below cleared too.
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A\r` : '';
    this.#out.write(`${up}${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
    this.#drawnLines = lines.length;
  }

  /** Leaves what is drawn where it is, and goes on below it. */
  finish(text: string): void {
    this.#drawnLines = 0;
    this.#out.write(`${text}\n`);
  }

  /** A line from elsewhere (a warning of the worker) goes above the table, which is drawn below it anew. */
  say(line: string): void {
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A\r\x1b[J` : '';
    this.#drawnLines = 0;
    this.#out.write(`${up}${line}\n`);
  }
}

/** `flaky  evt_…  attempt 2 → 500`. */
export function describeAttempt({ endpoint, eventId, attempt, status, verified }: ReceivedAttempt): string {
  const note = verified ? '' : '  signature not valid!';
  return `${endpoint.padEnd(5)}  ${eventId}  attempt ${attempt} → ${status}${note}`;
}

/** The rows as an aligned table with a heading. */
export function table(rows: Row[]): string[] {
  const heading = `  ${'endpoint'.padEnd(24)}${COLUMNS.map((name) => name.padStart(12)).join('')}`;
  const lines = rows.map((row) => {
    const counts = [row.attempts, row.verified, row.delivered, row.retrying, row.dead];
    const name = `${row.endpoint.padEnd(7)}(${BEHAVIOUR[row.endpoint]})`;
    return `  ${name.padEnd(24)}${counts.map((count) => String(count).padStart(12)).join('')}`;
  });
  return [heading, ...lines];
}
