import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { SandboxChild } from './child-process.ts';

const IDLE = fileURLToPath(new URL('./fixtures/idle.ts', import.meta.url));
/** So that how busy this machine is does not matter. */
const PATIENT = { mostMs: 20_000 };

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

describe('an evaluation', () => {
  const idle = new SandboxChild(IDLE);
  afterAll(() => idle.close());
  const hasCpuTimes = existsSync('/proc/self/schedstat');

  it.skipIf(!hasCpuTimes)('that got no CPU, as on a machine that others use, is waited for', async () => {
    const patient = new SandboxChild(IDLE, PATIENT);
    onTestFinished(() => patient.close());
    for (let i = 0; i < 3; i++) expect(await patient.run('{"waits":150}')).toEqual({ passes: true });
  });

  it.skipIf(!hasCpuTimes)(
    'counts as long as others had to wait for it, however little CPU it got',
    async () => {
      const patient = new SandboxChild(IDLE, PATIENT);
      onTestFinished(() => patient.close());
      await patient.run('{"waits":1000}');
      expect(patient.spentMs).toBeGreaterThan(50);
    },
  );

  it('that has used its CPU time is ended, also when it had to wait for that', async () => {
    expect(await idle.run('{"waits":0,"works":60000}')).toEqual({ killed: 'time' });
    expect(await idle.run('{"waits":100,"works":60000}')).toEqual({ killed: 'time' });
  });

  it('that does nothing for ever is ended', async () => {
    expect(await idle.run('{"waits":60000}')).toEqual({ killed: 'time' });
  });

  it('that says again that it begins has broken out, and gets no more time', async () => {
    expect(await idle.run('{"waits":60000,"begins":2}')).toEqual({ killed: 'died' });
  });
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
