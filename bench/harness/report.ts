export type Verdict = { ok: boolean; text: string };
/** What a scenario found: `figures` and `series` go into the JSON as they are. */
export type Result = { figures: object; verdicts: Verdict[]; series?: object };

const start = performance.now();

/** A line with the time since the start. */
export function say(line: string): void {
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${seconds.padStart(7)} s  ${line}`);
}

export function heading(text: string): void {
  console.log(`\n== ${text}`);
}

/** Columns of text, the first to the left, the others to the right. */
export function table(head: string[], rows: (string | number)[][]): void {
  const lines = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  console.log();
  for (const line of lines) {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
    );
    console.log(`  ${cells.join('   ')}`);
  }
  console.log();
}

export function tell({ ok, text }: Verdict): void {
  console.log(`  ${ok ? 'PASS' : 'FAIL'}  ${text}`);
}

/** `12.3 ms`, `4.56 s`, or that it had not come when the run ended. */
export function ms(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return 'not in time';
  if (Number.isNaN(value)) return '–';
  return value < 1000 ? `${value.toFixed(1)} ms` : `${(value / 1000).toFixed(2)} s`;
}

/** For people: `20,000`. */
export function n(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Infinity is no JSON, and more than three digits after the point are noise. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, item) => {
    if (typeof item !== 'number') return item;
    return Number.isFinite(item) ? Math.round(item * 1000) / 1000 : null;
  });
}
