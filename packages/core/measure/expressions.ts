/**
 * What expressions cost in process: node packages/core/measure/expressions.ts
 * Prints µs an evaluation of ordinary ones over an event of 1 KB, and ms of the worst that were found over 64 KB.
 */
import {
  compileExpression,
  type EventVariables,
  evaluateFilter,
  evaluateTransform,
  eventVariables,
  MAX_EVENT_BYTES,
  MAX_NODES,
  WORK_IN_PROCESS,
} from '../src/expressions/index.ts';

const SLACK = `{"text": "New " + type + " from " + attributes.produced_by, "blocks": [{"type": "section", "text":
  {"type": "mrkdwn", "text": "*" + type + "*\\n" + json(payload, 2)}}]}`;
const SEVERITY = 'type == "BugAnalysis" && payload.severity in ["Critical", "High"]';

function event(payload: unknown): EventVariables {
  const facts = { type: 'BugAnalysis', id: 'evt_1', acceptedAt: 0, attributes: { produced_by: 'detector' } };
  return eventVariables({ ...facts, payload: JSON.stringify(payload) });
}

function perCall(work: () => unknown): number {
  for (let i = 0; i < 20_000; i++) work();
  const start = performance.now();
  for (let i = 0; i < 100_000; i++) work();
  return (performance.now() - start) / 100;
}

const small = event({
  severity: 'High',
  bugs: Array(20).fill('Memory leak in cache handler'),
  confidence: 0.92,
});
const filter = compileExpression(SEVERITY, 'filter');
const slack = compileExpression(SLACK, 'transform');
const row = (name: string, value: number, unit: string) =>
  console.log(name.padEnd(34), value.toFixed(value < 10 ? 2 : 1).padStart(8), unit);

console.log(`an event of ${JSON.stringify(small.payload).length} bytes`);
row(
  'severity filter',
  perCall(() => evaluateFilter(filter, small, WORK_IN_PROCESS)),
  'µs',
);
row(
  'Slack message',
  perCall(() => evaluateTransform(slack, small, WORK_IN_PROCESS)),
  'µs',
);
row(
  'compile the severity filter',
  perCall(() => compileExpression(SEVERITY, 'filter')),
  'µs',
);
row(
  'compile the Slack message',
  perCall(() => compileExpression(SLACK, 'transform')),
  'µs',
);

/** As many of a part as there may be, each over all of the event. */
function many(part: string, nodes: number, glue = ', '): string {
  return Array(Math.max(1, Math.floor((MAX_NODES - 2) / nodes)))
    .fill(part)
    .join(glue);
}

const FULL = MAX_EVENT_BYTES - 100;
const text = (make: (size: number) => object) => event(make(FULL));
const texts = text((size) => ({
  a: 'a'.repeat((size * 2) / 3),
  b: `${'a'.repeat(size / 6)}b${'a'.repeat(size / 6)}`,
}));
const twins = text((size) => ({ a: Array(size / 4).fill(1), b: Array(size / 4).fill(1) }));
const words = text((size) => ({ a: 'aB'.repeat(size / 2), b: 'aB' }));
const emoji = text((size) => ({ a: '😀'.repeat(size / 5), b: [] }));
const control = text((size) => ({ a: '\u0001'.repeat(size / 6) }));
const empties = text((size) => Array(size / 3).fill([]) as object);
const keys = text((size) => Object.fromEntries(Array.from({ length: size / 12 }, (_, i) => [`k${i}`, {}])));
const copies = text((size) => {
  const part = Object.fromEntries(Array.from({ length: size / 24 }, (_, i) => [`k${i}`, {}]));
  return { a: part, b: part };
});
const strings = text((size) => ({ a: Array(size / 4).fill('a') as string[] }));
const deep = event(JSON.parse(`${'['.repeat(120)}${']'.repeat(120)}`));

const WORST: [name: string, source: string, over: EventVariables][] = [
  ['contains, a part that nearly fits', `[${many('payload.a.contains(payload.b)', 5)}]`, texts],
  ['lastIndexOf of it', `[${many('payload.a.lastIndexOf(payload.b)', 5)}]`, texts],
  ['indexOf of it', `[${many('payload.a.indexOf(payload.b)', 5)}]`, texts],
  ['contains, one letter', `[${many('payload.a.contains("x")', 4)}]`, texts],
  ['equal lists compared', `[${many('payload.a == payload.b', 5)}]`, twins],
  ['equal maps compared', `[${many('payload.a == payload.b', 5)}]`, copies],
  ['lists of them compared', `[${many('payload.a', 4)}] == [${many('payload.b', 4)}]`, twins],
  ['in a list', `[${many('7 in payload.a', 4)}]`, twins],
  ['a list in a list of lists', `[${many('payload in payload', 3)}]`, empties],
  ['lowerAscii', `[${many('size(payload.a.lowerAscii())', 4)}]`, words],
  [
    'trim of spaces',
    `[${many('size(payload.a.trim())', 4)}]`,
    text((size) => ({ a: `a${' '.repeat(size)}` })),
  ],
  ['size of emoji', `[${many('size(payload.a)', 3)}]`, emoji],
  ['size of a map', `[${many('size(payload)', 2)}]`, keys],
  ['json of empty lists', `[${many('size(json(payload))', 3)}]`, empties],
  ['json of empty maps', `[${many('size(json(payload, 8))', 4)}]`, keys],
  ['json of control characters', `[${many('size(json(payload))', 3)}]`, control],
  ['json of deep lists, indented', `[${many('size(json(payload, 8))', 4)}]`, deep],
  ['the event as its own result', `[${many('payload', 1)}]`, keys],
  ['texts added', `[${Array(16).fill('size(payload.a + payload.a + payload.a)').join(', ')}]`, words],
  ['lists added', `[${Array(32).fill('size(payload.a + payload.a)').join(', ')}]`, twins],
  ['join', `[${many('size(payload.a.join(","))', 5)}]`, strings],
  ['bytes and base64', `[${many('size(bytes(payload.a).base64())', 5)}]`, words],
  ['bytes to text', `[${many('size(string(bytes(payload.a)))', 5)}]`, emoji],
  ['double of digits', `[${many('double(payload.a)', 3)}]`, text(() => ({ a: '1'.repeat(400) }))],
  ['errors in "||"', many('payload.x', 3, ' || '), small],
];

console.log(`\nthe worst, over ${MAX_EVENT_BYTES} bytes`);
let worst = 0;
for (const [name, source, over] of WORST) {
  const expression = compileExpression(source, 'transform');
  let ms = 0;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    const result = evaluateTransform(expression, over, WORK_IN_PROCESS);
    ms = Math.max(ms, performance.now() - start);
    if (i === 4)
      row(
        name,
        ms,
        `ms  ${'work' in result ? 'handed to the sandbox' : 'failure' in result ? result.failure : 'done'}`,
      );
  }
  worst = Math.max(worst, ms);
}
row('the worst of all', worst, 'ms');
