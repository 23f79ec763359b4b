/** What the sandbox costs: node packages/sandbox/measure/sandbox.ts. Prints µs a call, ms to start and to end a hostile one. */
import { Sandbox } from '../src/index.ts';

const DISCORD = `{"content": "New artifact: " + type, "embeds": [{"title": type, "fields": payload.map(k,
  {"name": k, "value": type(payload[k]) == string ? payload[k] : json(payload[k]), "inline": true})}]}`;
const ENDLESS =
  'payload.bugs.map(a, payload.bugs.map(b, payload.bugs.map(c, payload.bugs.map(d, payload.bugs.map(e, e)))))';
/** Lasts long, but less than 50 ms. */
const SLOW =
  '[1, 2].map(z, payload.bugs.map(a, payload.bugs.map(b, payload.bugs.map(c, payload.bugs.map(d, a == b))))).size()';
const CALLS = 5000;

const payload = JSON.stringify({
  severity: 'High',
  bugs: Array(20).fill('Memory leak in cache handler'),
  confidence: 0.92,
});
const facts = { type: 'BugAnalysis', payload, id: 'evt_1', acceptedAt: 0 };
const sandbox = new Sandbox();
const run = (source: string, owner = 'app') => sandbox.run({ kind: 'transform', source, owner, facts });
const row = (name: string, value: number, unit: string) =>
  console.log(name.padEnd(34), value.toFixed(value < 10 ? 2 : 0).padStart(6), unit);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

console.log(`an event of ${payload.length} bytes`);
row('the first call, with the start', await timed(() => run(DISCORD)), 'ms');
for (let i = 0; i < CALLS; i++) await run(DISCORD);
const one = await timed(async () => {
  for (let i = 0; i < CALLS; i++) await run(DISCORD);
});
row('Discord message, one by one', (one / CALLS) * 1000, 'µs');
const host = process.cpuUsage();
const many = await timed(async () => {
  for (let i = 0; i < CALLS; i += 100) await Promise.all(Array.from({ length: 100 }, () => run(DISCORD)));
});
row('Discord message, 100 at once', (many / CALLS) * 1000, 'µs');
const { user, system } = process.cpuUsage(host);
row('of it CPU in this process', (user + system) / CALLS, 'µs');
for (let i = 0; i < 10; i++) await run(SLOW, 'slow');
row('a slow one', await timed(() => run(SLOW, 'slow')), 'ms');
const slow = Promise.allSettled(Array.from({ length: 190 }, () => run(SLOW, 'slow')));
row("another app's behind 190 slow ones", await timed(() => run(DISCORD)), 'ms');
await slow;
row('an endless one, ended twice', await timed(() => run(ENDLESS)), 'ms');
sandbox.close();
