import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { createLogger } from './logger.ts';
import { readableLine } from './readable-lines.ts';

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

it('leaves out secrets, signatures and bodies in lists, in errors and far below, and nothing else', () => {
  const { lines, logger } = collect();
  const planted = 'planted-1234';
  const names = [
    'apiKey',
    'x-api-key',
    'Set-Cookie',
    'password',
    'access_token',
    'webhook-signature',
    'X-Hub-Signature',
  ];
  const all = Object.fromEntries(
    [...names, 'body', 'payload', 'raw_body', 'signing_secret'].map((n) => [n, planted]),
  );
  const deep = { a: { b: { c: { d: { e: { f: { g: planted } } } } } } };
  const input = { list: [{ id: 1, ...(all as { body?: string }) }], deep };
  logger.info({ ...input, err: Object.assign(new Error('no'), { response: all }) }, 'all');
  logger.info(
    { monkey: 'shown', tokens: 3, endpoint: 'ep_1', keys: 2, status: null, key: undefined },
    'none',
  );
  expect(lines.join('')).not.toContain(planted);
  expect(input.list[0]!.body).toBe(planted); // what was given is left as it is
  expect(JSON.parse(lines[0]!).list).toMatchObject([{ id: 1, body: '[redacted]' }]);
  expect(JSON.parse(lines[1]!)).toMatchObject({
    monkey: 'shown',
    tokens: 3,
    endpoint: 'ep_1',
    keys: 2,
    status: null,
  });
});

it('writes for people what stands in a line, and nothing that drives their terminal', () => {
  const time = '2026-11-22T10:11:12.345Z';
  const line = {
    level: 40,
    time,
    pid: 1,
    hostname: 'h',
    name: 'api',
    msg: 'to\x1b[2Jo',
    app: 'a\nb',
    n: 1,
    x: { y: 2 },
  };
  expect(readableLine(JSON.stringify(line))).toBe(
    '10:11:12.345 \x1b[33mWARN \x1b[0m to [2Jo  app=a b n=1 x={"y":2}',
  );
  expect(readableLine(JSON.stringify({ ...line, err: { stack: 'Error: no\n    at x' } }))).toMatch(
    /\nError: no\n {4}at x$/,
  );
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
  const failed = () =>
    Object.assign(new Error('ERR no'), { command: { name: 'evalsha', args: ['payload-g7h8'] } });
  const ofCluster = Object.assign(new Error('all failed'), { lastNodeError: failed() });
  const errors = [
    failed(),
    ofCluster,
    new AggregateError([ofCluster]),
    new Error('why', { cause: failed() }),
  ];
  for (const err of errors) logger.error({ err }, 'failed');
  expect(lines).toHaveLength(errors.length);
  expect(lines.join('')).not.toContain('payload-g7h8');
  expect(JSON.parse(lines[0]!)).toMatchObject({ err: { message: 'ERR no', stack: expect.any(String) } });
});

it('a process exits although nobody reads its log any more', async () => {
  const program = `
    import { createLogger } from ${JSON.stringify(new URL('logger.ts', import.meta.url).href)};
    const logger = createLogger({ name: 'test', level: 'info', process: 7 });
    logger.info('read');
    process.stdin.once('end', () => { logger.info('unread'); logger.info('unread'); process.exit(3); }).resume();
  `;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const [first] = await once(child.stdout, 'data');
  expect(JSON.parse(first)).toMatchObject({ msg: 'read', process: 7 });
  child.stdout.destroy();
  await once(child.stdout, 'close');
  child.stdin.end();
  expect(await once(child, 'exit')).toEqual([3, null]);
});

it('a process exits although nobody empties the full pipe of its log', async () => {
  const program = `
    import { createLogger } from ${JSON.stringify(new URL('logger.ts', import.meta.url).href)};
    const logger = createLogger({ name: 'test', level: 'info' });
    for (let i = 0; i < 1000; i++) logger.info('x'.repeat(1000));
    process.exit(3);
  `;
  // The reader waits for a line of this process', and so holds the pipe without reading it.
  const script =
    'exec 3<&0; { "$0" --input-type=module-typescript --eval "$1" 3<&-; echo $? >&2; } | { read line <&3; }';
  const shell = spawn('sh', ['-c', script, process.execPath, program], { stdio: ['pipe', 'ignore', 'pipe'] });
  onTestFinished(() => void shell.stdin.end());
  const [told] = await once(shell.stderr, 'data');
  expect(String(told)).toBe('3\n');
});

it('an error that nothing caught ends the process, and is logged without the command that it holds', async () => {
  const at = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);
  const program = `
    import { endOnUncaught } from ${at('end-on-uncaught.ts')};
    import { createLogger } from ${at('logger.ts')};
    endOnUncaught(createLogger({ name: 'test', level: 'info' }));
    const command = { name: 'evalsha', args: ['payload-g7h8'] };
    void Promise.reject(Object.assign(new Error('ERR no'), { command }));
  `;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const [output, errors, exit] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  expect(exit).toEqual([1, null]);
  expect(JSON.parse(output)).toMatchObject({ level: 60, err: { message: 'ERR no' } });
  expect(output + errors).not.toContain('payload-g7h8');
});

/** A process that logs to this, as TypeScript in which there is `logger`. */
function logging(program: string, stdout: 'pipe' | number) {
  const begin = `
    import { createLogger } from ${JSON.stringify(new URL('logger.ts', import.meta.url).href)};
    const logger = createLogger({ name: 'test', level: 'info' });`;
  const args = ['--expose-gc', '--input-type=module-typescript', '--eval', begin + program];
  const child = spawn(process.execPath, args, { stdio: ['ignore', stdout, 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

it.runIf(existsSync('/dev/full'))('a process lives on while the disk that has its log is full', async () => {
  const full = openSync('/dev/full', 'w');
  onTestFinished(() => closeSync(full));
  const child = logging(
    `for (let i = 0; i < 3; i++) {
      logger.info('lost');
      await new Promise((resolve) => setTimeout(resolve, 50)); // for it to be refused
    }
    process.exit(3);`,
    full,
  );
  expect(await once(child, 'exit')).toEqual([3, null]);
});

it('a process whose log is not read keeps no more than some of it in memory', async () => {
  const child = logging(
    `for (let i = 0; i < 4000; i++) logger.info('x'.repeat(10_000) + i);
    gc();
    process.stderr.write(String(process.memoryUsage().heapUsed));`,
    'pipe',
  );
  const [told] = await once(child.stderr!, 'data');
  expect(Number(told)).toBeLessThan(25e6);
});
