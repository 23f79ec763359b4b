import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const BIN = join(ROOT, 'node_modules', '.bin');
const run = promisify(execFile);

it('the client that npm run build-client makes is used by a project of another, in JavaScript and in TypeScript', async () => {
  const project = await mkdtemp(join(tmpdir(), 'sealpost-producer-'));
  onTestFinished(() => rm(project, { recursive: true, force: true }));
  const modules = join(project, 'node_modules');
  await mkdir(modules);
  await run(process.execPath, [join(ROOT, 'scripts/build-client.ts'), join(modules, '@sealpost', 'client')]);
  for (const name of ['got', '@types']) await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  const code = `
    import { PublishError, SealpostClient } from '@sealpost/client';
    const client = new SealpostClient({ url: 'http://127.0.0.1:1', key: 'k', retryForMs: 0 });
    await client.publish({ type: 'a', payload: 1 }).catch((error) => {
      console.log(error instanceof PublishError, error.code);
    });
  `;
  await writeFile(join(project, 'package.json'), '{"type":"module"}');
  await writeFile(join(project, 'good.js'), code);
  const { stdout } = await run(process.execPath, ['good.js'], { cwd: project });
  expect(stdout).toBe('true unreachable\n');

  const check = (file: string) =>
    run(
      join(BIN, 'tsc'),
      ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node', file],
      {
        cwd: project,
      },
    );
  await writeFile(
    join(project, 'good.ts'),
    code.replace('(error)', '(error: unknown)').replace('error.code', '0'),
  );
  await check('good.ts');
  await writeFile(join(project, 'bad.ts'), code.replace("type: 'a'", 'typ: 1'));
  await expect(check('bad.ts')).rejects.toMatchObject({ stdout: expect.stringContaining('typ') });
});
