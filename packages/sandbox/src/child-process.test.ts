import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { SandboxChild } from './child-process.ts';

const child = new SandboxChild(fileURLToPath(new URL('./fixtures/echo.ts', import.meta.url)));
afterEach(() => child.close());

it('is ended when it writes what is no answer', async () => {
  expect(await child.run('{"passes":true}')).toEqual({ passes: true });
  for (const line of ['{passes}', 'null', '5']) {
    expect(await child.run(line)).toEqual({ killed: 'died' });
    expect(child.pid).toBeUndefined();
  }
  expect(await child.run('{"passes":false}')).toEqual({ passes: false });
});

it('that cannot be started for want of files is started when there are some', () => {
  const script = `
    import { closeSync, openSync } from 'node:fs';
    import { SandboxChild } from ${JSON.stringify(new URL('./child-process.ts', import.meta.url).href)};
    const child = new SandboxChild(${JSON.stringify(fileURLToPath(new URL('./fixtures/echo.ts', import.meta.url)))});
    const files = [];
    try { for (;;) files.push(openSync('/dev/null')); } catch {}
    const without = await child.run('{}');
    for (const file of files) closeSync(file);
    console.log(JSON.stringify([without, await child.run('{"passes":true}')]));
    child.close();`;
  const limited = 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"';
  const { stdout, stderr } = spawnSync('sh', ['-c', limited, process.execPath, script]);
  expect(String(stdout), String(stderr)).toBe('[{"killed":"unbegun"},{"passes":true}]\n');
});
