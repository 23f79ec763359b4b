import { expect, it } from 'vitest';
import { LogView, printable, readable, WARN } from './log-view.ts';

function view() {
  const lines: string[] = [];
  const clock = { now: 0 };
  return {
    lines,
    clock,
    log: new LogView(
      (line) => lines.push(line),
      WARN,
      () => clock.now,
    ),
  };
}

const warning = JSON.stringify({ level: 40, msg: 'trouble with Redis', err: { message: 'ECONNREFUSED' } });

it('shows warnings and errors, and nothing else', () => {
  const { lines, log } = view();
  log.line('API', JSON.stringify({ level: 30, msg: 'listening' }));
  log.line('API', 'not JSON');
  log.line('API', '{"neither": "a log line"}');
  log.line('API', warning);
  log.line('worker', JSON.stringify({ level: 50, time: 1, pid: 2, msg: 'lost', delivery: 'dlv_1' }));
  expect(lines).toEqual([
    'API     warn  trouble with Redis: ECONNREFUSED',
    'worker  error  lost  delivery=dlv_1',
  ]);
});

it('shows the same message once in ten seconds and then how often it came', () => {
  const { lines, clock, log } = view();
  const attempt = (delivery: number) => JSON.stringify({ level: 40, msg: 'attempt', delivery });
  for (let i = 0; i < 5; i += 1) log.line('worker', attempt(i));
  clock.now = 10_001;
  log.line('worker', attempt(5));
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain('(and 4 like it before)');
});

it('lets nothing through that drives the terminal', () => {
  expect(printable('a\x1b[2Jb\r\nc\x07')).toBe('a [2Jb  c ');
  expect(printable('x'.repeat(600)).length).toBeLessThan(510);
});

it('makes a log line readable, with its stack trace', () => {
  expect(
    readable(JSON.stringify({ level: 60, msg: 'cannot start', err: { stack: 'Error: no\n    at x' } })),
  ).toBe('fatal  cannot start: Error: no\n    at x');
  expect(readable('plain text')).toBe('plain text');
});
