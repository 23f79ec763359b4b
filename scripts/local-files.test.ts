import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makePrivateFolder, masterKeyIn } from './local-files.ts';

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sealpost-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

it('a master key is made once, and not anew where there are data that were written with another', async () => {
  const dir = await folder();
  const key = await masterKeyIn(dir);
  expect(await masterKeyIn(dir)).toBe(key);
  await makePrivateFolder(join(dir, 'redis', 'appendonlydir'));
  await rm(join(dir, 'master.key'));
  await expect(masterKeyIn(dir)).rejects.toThrow(/master.key is gone.*put it back/);
  await writeFile(join(dir, 'master.key'), key);
  expect(await masterKeyIn(dir)).toBe(key);
});

it('a folder that cannot hold data is told by its name, with what to do', async () => {
  const file = join(await folder(), 'file');
  await writeFile(file, '');
  for (const path of [file, join(file, 'below')])
    await expect(makePrivateFolder(path)).rejects.toThrow(`${path} cannot hold data`);
});
