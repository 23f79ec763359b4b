/**
 * The sandbox's process: reads a request a line from standard input, says that it begins, evaluates, answers a line. It has no
 * environment, may read no file but its own code and may start nothing; who started it kills it when it takes too long. Ends
 * with its input, so with its parent.
 */
import { readSync, writeSync } from 'node:fs';
import {
  createExpressionCache,
  type EventFacts,
  ExpressionError,
  type ExpressionKind,
  evaluateFilter,
  evaluateTransform,
  eventVariables,
  type FilterResult,
  type TransformResult,
} from '@sealpost/core/expressions';

export type Request = { kind: ExpressionKind; source: string; facts: EventFacts };
export type Answer = FilterResult | TransformResult;

/** Begins the line that says that a request is being worked on; what follows is the CPU time that was used before, µs. */
export const BEGUN = '>';

export function begun(): string {
  const { user, system } = process.threadCpuUsage();
  return `${BEGUN}${user + system}\n`;
}

/** What a child does before its first request, so that not an innocent's time goes into compiling our own code. */
const REHEARSAL =
  'payload.map(k, {"a": [k, 1.5, true, payload[k].filter(x, x != k).map(x, json(x) + string(x == 1.0))], "b": size(k)})';
const REHEARSED = 300;

/** Units of work, some half a second of them: longer than it is let live, and an end should its parent be gone. */
const WORK = 50_000_000;
const INPUT_BYTES = 65_536;

/** At most 12 MB of its heap, or the many different ones of some would end in a death that is blamed on somebody's. */
const expressionOf = createExpressionCache(50_000);

function answer({ kind, source, facts }: Request): Answer {
  try {
    const expression = expressionOf(source, kind);
    const event = eventVariables(facts);
    return kind === 'filter'
      ? evaluateFilter(expression, event, WORK)
      : evaluateTransform(expression, event, WORK);
  } catch (error) {
    if (error instanceof ExpressionError) return { failure: error.message };
    throw error;
  }
}

function rehearse(): void {
  const payload = JSON.stringify(
    Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, [i, 'é"\n']])),
  );
  const facts = { type: 'a', payload, id: 'a', acceptedAt: 0 };
  for (let i = 0; i < REHEARSED; i++) answer({ kind: 'transform', source: REHEARSAL, facts });
}

function serve(): void {
  rehearse();
  const bytes = Buffer.alloc(INPUT_BYTES);
  let parts: Buffer[] = [];
  for (let size = readSync(0, bytes); size > 0; size = readSync(0, bytes)) {
    // One request at a time comes, so its line ends what was read.
    parts.push(Buffer.from(bytes.subarray(0, size)));
    if (bytes[size - 1] !== 0x0a) continue;
    const line = Buffer.concat(parts).toString();
    parts = [];
    writeAll(begun());
    writeAll(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
  }
}

function writeAll(text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

if (import.meta.main) serve();
