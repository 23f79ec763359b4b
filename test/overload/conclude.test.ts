import { expect, it } from 'vitest';
import { failuresOf } from './conclude.ts';
import { FAN_OUT, type OverloadReport, type Row } from './run-overload.ts';

const DEPTH = 1000;
const IN_FLIGHT = 100;
const MEMORY = { api: 2e8, worker: 2e8, redis: 1e7, redisData: 5e6 };

const row = (more: Partial<Row> = {}): Row => ({
  name: 'idle again',
  seconds: 1,
  open: 0,
  arrived: 0,
  memory: MEMORY,
  ready: ['200', '200'],
  latencies: { publish: [1], list: [1], listBusy: [1], ready: [1] },
  statuses: new Map([
    ['publish 202', 1],
    ['list 200', 1],
  ]),
  ...more,
});
const refusing = (more: Partial<Row> = {}) =>
  row({ name: 'refusing', ready: ['200 (too many deliveries wait)', '200'], ...more });

const good: OverloadReport = {
  rows: [refusing(), row()],
  before: MEMORY,
  after: { ...MEMORY, redisData: MEMORY.redisData + 200 * FAN_OUT * 400 },
  acceptedEvents: 200,
  refusedCalls: 3,
  errors: [],
  mostOpen: DEPTH,
  arrived: { requests: 200 * FAN_OUT, distinct: 200 * FAN_OUT, repeated: 0 },
  missing: 0,
  leftOpen: 0,
};

it('a good run has no failures', () => {
  expect(failuresOf(good, DEPTH, IN_FLIGHT)).toEqual([]);
});

it.each<[string, Partial<OverloadReport>, RegExp]>([
  ['a delivery is left open', { leftOpen: 1 }, /still open/],
  ['one has not arrived', { missing: 1 }, /have not arrived/],
  ['one arrived twice', { arrived: { ...good.arrived, repeated: 1 } }, /more than once/],
  ['nothing was refused', { refusedCalls: 0 }, /nothing was refused/],
  ['events were refused too soon', { mostOpen: DEPTH * 0.9 }, /although only/],
  ['more were open than may be', { mostOpen: DEPTH + IN_FLIGHT + 1 }, /were open/],
  ['the producer got another answer', { errors: ['500'] }, /other answers/],
  ['a process grew', { rows: [refusing(), row({ memory: { ...MEMORY, worker: 1e9 } })] }, /the worker held/],
  ['a read failed', { rows: [refusing(), row({ statuses: new Map([['list 503', 1]]) })] }, /list 503/],
  ['a delivery took too much', { after: { ...MEMORY, redisData: 1e9 } }, /bytes in Redis/],
  ['an API that shed was unready', { rows: [refusing({ ready: ['503', '200'] }), row()] }, /that sheds/],
  ['a worker was unready at the end', { rows: [refusing(), row({ ready: ['200', '503'] })] }, /at the end/],
])('it is seen when %s', (_, spoilt, failure) => {
  const failures = failuresOf({ ...good, ...spoilt }, DEPTH, IN_FLIGHT);
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatch(failure);
});
