import { describe, expect, it } from 'vitest';
import { isSampled, parseTraceContext, readTrace, storeTrace, traceHeaders } from './trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const VALID = `00-${TRACE}-${SPAN}-01`;

describe('a traceparent', () => {
  it.each([
    ['as in the specification', VALID, true],
    ['not sampled', `00-${TRACE}-${SPAN}-00`, false],
    ['of a version to come', `cc-${TRACE}-${SPAN}-01-what-the-future-brings`, true],
    ['with flags to come', `00-${TRACE}-${SPAN}-09`, true],
    ['with space around it', ` ${VALID}\t`, true],
  ])('%s is taken', (_, header, sampled) => {
    const context = parseTraceContext(header)!;
    expect(context).toMatchObject({ traceId: TRACE, spanId: SPAN, isRemote: true });
    expect(isSampled(context)).toBe(sampled);
  });

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['of version ff', `ff-${TRACE}-${SPAN}-01`],
    ['without a trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['without a span', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['in upper case', VALID.toUpperCase()],
    ['too long', `${VALID}-00`],
    ['too short', VALID.slice(0, -1)],
    ['sent twice', `${VALID}, ${VALID}`],
    ['no hex', VALID.replace('4bf', 'xyz')],
  ])('%s is ignored', (_, header) => {
    expect(parseTraceContext(header)).toBeUndefined();
  });
});

it('is passed on with its tracestate, by header and as it is stored', () => {
  const context = parseTraceContext(VALID, 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE')!;
  const headers = { traceparent: VALID, tracestate: 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE' };
  expect(traceHeaders(context)).toEqual(headers);
  const stored = storeTrace(context);
  expect(stored.tc).toHaveLength(34);
  expect(traceHeaders(readTrace(JSON.parse(JSON.stringify(stored)))!)).toEqual(headers);
});

it.each(['', 'no member', `a=${'x'.repeat(600)}`])('drops a tracestate that is none: %j', (tracestate) => {
  expect(traceHeaders(parseTraceContext(VALID, tracestate)!)).toEqual({ traceparent: VALID });
});

it.each([{}, { tc: 7 }, { tc: 'short' }, { tc: 'A'.repeat(34) }])('reads %j as nothing', (stored) => {
  expect(readTrace(stored)).toBeUndefined();
});
