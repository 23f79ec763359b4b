import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { EventFacts } from '@sealpost/core/expressions';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CHILD_ARGS } from './child-process.ts';
import { Expressions } from './expressions.ts';
import { SandboxBusy } from './line.ts';
import { Sandbox } from './sandbox.ts';

const facts: EventFacts = {
  type: 'a.b',
  payload: JSON.stringify({ list: Array.from({ length: 200 }, (_, i) => i), text: 'x'.repeat(30_000) }),
  id: 'evt_1',
  acceptedAt: 0,
};
const QUICK = 'payload.list.map(x, x + 1).size()';
const ENDLESS =
  'payload.list.map(a, payload.list.map(b, payload.list.map(c, payload.list.map(d, payload.list.map(e, e)))))';
const MEMORY =
  'payload.list.map(a, payload.list.map(b, payload.list.map(c, [a, b, c, payload.text + string(a)])))';

let sandbox: Sandbox;
let expressions: Expressions;

beforeEach(() => {
  sandbox = new Sandbox();
  expressions = new Expressions(sandbox);
});
afterEach(() => expressions.close());

const transform = (source: string, owner = 'app') => expressions.transform({ source, owner }, facts);
const quick = { body: '200', json: true };
/** Of several at once all but the first may be refused, where a busy machine makes each of them wait long. */
const killedOrBusy = async () =>
  transform(ENDLESS).catch((error: unknown) => {
    if (!(error instanceof SandboxBusy)) throw error;
    return 'busy' as const;
  });

describe('the sandbox', () => {
  it('starts nothing before it is asked, and one child for many', async () => {
    expect(await transform('size(payload.list)')).toEqual(quick);
    expect(sandbox.pids).toEqual([undefined, undefined]);
    expect(await Promise.all(Array.from({ length: 50 }, () => transform(QUICK)))).toEqual(
      Array(50).fill(quick),
    );
    const [pid, none] = sandbox.pids;
    expect([typeof pid, none]).toEqual(['number', undefined]);
    expect(await transform(QUICK)).toEqual(quick);
    expect(sandbox.pids).toEqual([pid, undefined]);
  });

  it.each([
    ['an endless expression', ENDLESS],
    ['one that eats memory', MEMORY],
  ])('ends %s, and goes on', async (_, source) => {
    expect(await transform(source)).toEqual({ killed: true });
    expect(await transform(QUICK)).toEqual(quick);
  });

  it('keeps suspects apart: others are evaluated by a child that was never killed for them', async () => {
    expect(await transform(ENDLESS)).toEqual({ killed: true });
    expect(await transform(QUICK)).toEqual(quick);
    const [trusted] = sandbox.pids;
    const order: string[] = [];
    const hostile = Array.from({ length: 4 }, () =>
      killedOrBusy().then((result) => result === 'busy' || order.push('hostile')),
    );
    await transform(QUICK).then(() => order.push('other'));
    await Promise.all(hostile);
    expect(order.slice(0, 2)).toEqual(['other', 'hostile']);
    expect(sandbox.pids[0]).toBe(trusted);
  });

  it('suspects all of an owner who comes with one after the other', async () => {
    for (let i = 0; i < 5; i++)
      expect(await transform(`${ENDLESS} == ${i}`, 'bad')).toEqual({ killed: true });
    expect(await transform(QUICK)).toEqual(quick);
    const [trusted] = sandbox.pids;
    expect(await transform(`${ENDLESS} == 6`, 'bad')).toEqual({ killed: true });
    expect(sandbox.pids[0]).toBe(trusted);
  });

  it('suspects what waits behind the like of it', async () => {
    await transform(QUICK, 'good');
    const hostile = Array.from({ length: 4 }, killedOrBusy);
    // These take turns with them.
    const others = Array.from({ length: 4 }, () => transform(QUICK, 'good').then(() => sandbox.pids[0]));
    expect(new Set(await Promise.all(others)).size).toBe(1);
    const [first, ...rest] = await Promise.all(hostile);
    expect(first).toEqual({ killed: true });
    for (const result of rest) expect([{ killed: true }, 'busy']).toContainEqual(result);
  });

  it('suspects an expression of the one alone for whose events it was killed', async () => {
    const { list } = JSON.parse(facts.payload);
    const source = 'payload.list.map(a, payload.list.map(b, payload.list.map(c, a + b + c))).size()';
    expect(await transform(source)).toEqual({ killed: true });
    expect(sandbox.pids).toEqual([undefined, undefined]);
    const few = { ...facts, payload: JSON.stringify({ list: list.slice(0, 3) }) };
    const other = await expressions.transform({ source, owner: 'other' }, few);
    expect(other).toEqual({ body: '3', json: true });
    expect(sandbox.pids).toEqual([expect.any(Number), undefined]);
  });

  it('is not brought down by many different expressions', async () => {
    const parts = Array(230).fill('x').join(', ');
    await transform('payload.list.map(x, x)[0]');
    const [trusted] = sandbox.pids;
    for (let i = 0; i < 1500; i++) {
      await expressions.transform({ source: `[1].map(x, [${parts}, ${i}]).size()`, owner: `${i}` }, facts);
    }
    expect(sandbox.pids).toEqual([trusted, undefined]);
  });

  it('takes no more suspects than it can get through soon; they are to be tried again', async () => {
    await transform(ENDLESS);
    const all = await Promise.allSettled(Array.from({ length: 12 }, () => transform(ENDLESS)));
    const busy = all.filter(({ status }) => status === 'rejected');
    expect(busy.length).toBeGreaterThan(0);
    for (const result of busy) expect(result).toMatchObject({ reason: expect.any(SandboxBusy) });
    expect(await transform(QUICK)).toEqual(quick);
  });

  it('says what fails in it', async () => {
    expect(await transform('payload.list.map(x, x.y)')).toEqual({ failure: 'a double has no field "y"' });
    expect(await transform('payload.list.map(x, payload.text).join()')).toEqual({
      failure: 'join() makes a text of more than 262144 characters',
    });
  });

  it('comes back when its child was killed by somebody else', async () => {
    await transform(QUICK);
    process.kill(sandbox.pids[0]!, 'SIGKILL');
    const result = await transform(QUICK).catch((error: unknown) => error);
    // Written to the dead one, it is to be tried again; else it has a new one.
    if (result instanceof SandboxBusy) expect(await transform(QUICK)).toEqual(quick);
    else expect(result).toEqual(quick);
  });

  it('is closed: what comes then is to be tried elsewhere', async () => {
    await transform(QUICK);
    expressions.close();
    await expect(transform(QUICK)).rejects.toThrow(SandboxBusy);
    expect(sandbox.pids).toEqual([undefined, undefined]);
  });

  it.skipIf(process.platform !== 'linux')('has no environment of its parent', async () => {
    process.env.SEALPOST_TEST_SECRET = 'very secret';
    await transform(QUICK);
    // On a busy machine it may have taken the second try, by the other child.
    const pid = sandbox.pids.find((pid) => pid !== undefined);
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
    delete process.env.SEALPOST_TEST_SECRET;
    expect(environment).toBe('');
  });
});

describe('a hostile expression', () => {
  /** `x` in place of `in`, doubled by `step` so many times. */
  const doubled = (start: string, step: string, times: number) =>
    `${'['.repeat(times)}${start}${`].map(x, ${step})[0]`.repeat(times)}`;

  it.each<[string, string, 'killed' | 'failure']>([
    ['nested macros', ENDLESS, 'killed'],
    [
      'nested macros that all compare',
      `payload.list.map(a, payload.list.map(b, payload.list.map(c, payload.list == payload.list.map(d, d))))`,
      'killed',
    ],
    ['texts doubled by +', doubled('payload.text', 'x + x', 8), 'failure'],
    ['texts doubled by join', doubled('payload.text', '[x, x].join()', 8), 'failure'],
    ['texts doubled by json', doubled('payload.text', 'json([x, x])', 8), 'failure'],
    ['lists doubled by +', doubled('payload.list', 'x + x', 12), 'failure'],
    ['lists of lists doubled', doubled('payload.list', '[x, x]', 12), 'failure'],
    ['maps doubled', doubled('payload.list', '{"a": x, "b": x}', 12), 'failure'],
    ['a separator of half an event', 'payload.list.map(x, "a").join(payload.text)', 'failure'],
    [
      'a search that nearly fits, again and again',
      'payload.list.map(x, (payload.text + "b" + payload.text).lastIndexOf(payload.text + "b"))',
      'failure',
    ],
  ])('%s', async (_, source, expected) => {
    const result = await transform(source);
    // A busy machine may be too slow for what fails otherwise; the other way round, nothing ends.
    if (expected === 'killed' || 'killed' in result) expect(result).toEqual({ killed: true });
    else
      expect(result).toEqual({ failure: expect.stringMatching(/ more than | longer than |too much work/) });
    expect(await transform(QUICK)).toEqual(quick);
  });
});

it.each([
  ['read a file that is not its code', "fs.readFileSync('/etc/hosts')"],
  ['write', "fs.writeFileSync('/tmp/sandbox-was-here', '')"],
  ['start a process', "child_process.spawnSync('true')"],
  ['start a thread', "new worker_threads.Worker('', { eval: true })"],
  ['open a connection', "net.connect(1, '127.0.0.1')"],
  ['make code of text', "new Function('return 1')()"],
])('its process may not %s', (_, code) => {
  const { status, stderr } = spawnSync(process.execPath, [...CHILD_ARGS, '-e', code], { env: {} });
  expect(status).not.toBe(0);
  expect(String(stderr)).toMatch(/ERR_ACCESS_DENIED|Code generation from strings disallowed/);
});

it('ends with its parent, though it be busy', async () => {
  const script = `
    import { Sandbox } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const sandbox = new Sandbox();
    const run = (source) => sandbox.run({ kind: 'transform', source, owner: 'a', facts: ${JSON.stringify(facts)} });
    await run('payload.list.map(x, x)');
    run(${JSON.stringify(ENDLESS)});
    setTimeout(() => { console.log(sandbox.pids[0]); process.kill(process.pid, 'SIGKILL'); }, 10);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script]);
  let printed = '';
  parent.stdout.on('data', (data) => {
    printed += data;
  });
  await once(parent, 'exit');
  const pid = Number(printed);
  expect(pid).toBeGreaterThan(0);
  const lives = () => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  await vi.waitUntil(() => !lives(), { timeout: 60_000 });
});

describe('what needs much work', () => {
  const heavy = `[${Array(40).fill('payload.text.lowerAscii()').join(', ')}]`;

  it('is done in the sandbox, a filter as well, and there from then on', async () => {
    expect(await transform(`size(${heavy})`)).toMatchObject({ body: '40' });
    const [pid] = sandbox.pids;
    expect(pid).toBeTypeOf('number');
    const filter = `size(${heavy}) > 1`;
    expect(await expressions.filter({ source: filter, owner: 'app' }, facts)).toEqual({ passes: true });
  });

  it('counts as slow by the clock too, if it is so twice in a row', async () => {
    let now = 0;
    let took = 6;
    expressions = new Expressions(sandbox, () => (now += took));
    for (took of [6, 1, 6, 6]) expect(await transform('payload.list.size()')).toEqual(quick);
    expect(sandbox.pids[0]).toBeUndefined();
    expect(await transform('payload.list.size()')).toEqual(quick);
    expect(sandbox.pids[0]).toBeTypeOf('number');
  });
});

describe('a filter before the event has its numbers', () => {
  const event = {
    type: 'a',
    payload: { n: 1 },
    environment: null,
    correlation_id: null,
    attributes: {},
    sequence: null,
    id: '',
    timestamp: new Date(0),
  };

  it.each([
    ['payload.n == 1', { passes: true }],
    ['payload.n == 2', { passes: false }],
    ['payload.x', { failure: 'no such field: "x"' }],
    ['sequence == 1', { work: true }],
    ['id == ""', { work: true }],
    ['an expression that is none any more', { failure: expect.stringContaining('is no valid CEL') }],
  ])('%s', (source, expected) => expect(expressions.filterEarly(source, event)).toEqual(expected));
});
