import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { type Env, type Stack, startStack, withoutSettings } from './harness/index.ts';

const ROOT = join(import.meta.dirname, '..');
const run = promisify(execFile);

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ workers: 0 });
});

async function examplesOf(file: string): Promise<string[]> {
  const text = await readFile(join(ROOT, file), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!);
}

/** What an example prints. */
async function outputOf(code: string): Promise<string> {
  const env: Env = {
    ...withoutSettings(process.env),
    SEALPOST_URL: stack.api.url,
    SEALPOST_KEY: stack.apiKey,
    REDIS_URL: stack.redis.url,
    SEALPOST_MASTER_KEY: stack.masterKey,
  };
  const args = ['--input-type=module', '--eval', code];
  const { stdout } = await run(process.execPath, args, { cwd: import.meta.dirname, env, timeout: 60_000 });
  return stdout;
}

it('the examples in the README of the client do what they say', async () => {
  const examples = await examplesOf('packages/client/README.md');
  const expected = [
    /^c-\S+ goes to 0 endpoints\n$/,
    /^0 failed\n$/,
    /^3000 published\n$/,
    /^validation_failed 422 \[[^\]]*path: 'type'/,
  ];
  expect(examples).toHaveLength(expected.length);
  for (const [i, code] of examples.entries()) expect(await outputOf(code)).toMatch(expected[i]!);
});

it('the examples in docs/producers.md do what they say', async () => {
  const examples = await examplesOf('docs/producers.md');
  expect(examples).toHaveLength(1);
  expect(await outputOf(examples[0]!)).toMatch(/^order-42 validation_failed\n$/);
  const { status } = await stack.client.get('/v1/apps/default/events/order-42');
  expect(status).toBe(200);
});

it('npm run bench:producers measures every way', async () => {
  const args = ['bench/producers.ts', '--events', '400'];
  const { stdout } = await run(process.execPath, args, { cwd: ROOT, timeout: 120_000 });
  const rows = stdout.split('\n').filter((line) => /^ {2}\S.*(\s+[\d,]+){5}$/.test(line));
  expect(rows, stdout).toHaveLength(6);
});
