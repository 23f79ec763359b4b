import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { createLogger } from './logger.ts';

function collect() {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { lines, logger: createLogger({ name: 'test', level: 'info', destination }) };
}

it('leaves out what is secret by its name, at every depth that is logged', () => {
  const { lines, logger } = collect();
  logger.info({
    secret: 'a1b2',
    endpoint: { secret: 'c3d4', id: 'ep_1' },
    request: { headers: { authorization: 'e5f6' } },
  });
  expect(lines.join('')).not.toMatch(/a1b2|c3d4|e5f6/);
  expect(JSON.parse(lines[0]!)).toMatchObject({ secret: '[redacted]', endpoint: { id: 'ep_1' } });
});

it('writes nothing below its level, and the time as RFC 3339', () => {
  const { lines, logger } = collect();
  logger.debug('not this');
  logger.warn('this');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({ msg: 'this', time: expect.stringMatching(/^\d{4}-.*Z$/) });
});

it('leaves the command out of a Redis error: a script and its arguments hold payloads', () => {
  const { lines, logger } = collect();
  // As ioredis makes them.
  const error = Object.assign(new Error('ERR no'), { command: { name: 'evalsha', args: ['payload-g7h8'] } });
  logger.error({ err: error }, 'failed');
  expect(lines.join('')).not.toContain('payload-g7h8');
  expect(JSON.parse(lines[0]!)).toMatchObject({ err: { message: 'ERR no', stack: expect.any(String) } });
});
