import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatQuietSpec, isTimeZone, parseQuietSpec, type QuietSpec, quietPeriod } from './quiet-hours.ts';

const MINUTE = 60_000;

function spec(text: string): QuietSpec {
  return parseQuietSpec(text)!;
}

/** The period as the clocks on the wall show it, each with its offset from UTC. */
function periodOf(text: string, now: string): string[] {
  const { from, until } = quietPeriod(spec(text), Date.parse(now));
  return [from, until].map((ms) =>
    Temporal.Instant.fromEpochMilliseconds(ms)
      .toZonedDateTimeISO(spec(text).timezone)
      .toString({ timeZoneName: 'never', smallestUnit: 'minute' }),
  );
}

describe('quietPeriod', () => {
  it.each([
    // What it is quiet for, now, from, until
    ['9-17 UTC', '2026-06-01T08:59:59.999Z', '2026-06-01T09:00+00:00', '2026-06-01T17:00+00:00'],
    ['9-17 UTC', '2026-06-01T09:00:00Z', '2026-06-01T09:00+00:00', '2026-06-01T17:00+00:00'],
    ['9-17 UTC', '2026-06-01T16:59:59.999Z', '2026-06-01T09:00+00:00', '2026-06-01T17:00+00:00'],
    ['9-17 UTC', '2026-06-01T17:00:00Z', '2026-06-02T09:00+00:00', '2026-06-02T17:00+00:00'],
    ['22-8 UTC', '2026-06-01T07:00:00Z', '2026-05-31T22:00+00:00', '2026-06-01T08:00+00:00'],
    ['22-8 UTC', '2026-06-01T23:00:00Z', '2026-06-01T22:00+00:00', '2026-06-02T08:00+00:00'],
    ['22-0 UTC', '2026-06-01T23:00:00Z', '2026-06-01T22:00+00:00', '2026-06-02T00:00+00:00'],
    ['0-23 UTC', '2026-06-01T23:30:00Z', '2026-06-02T00:00+00:00', '2026-06-02T23:00+00:00'],
    ['22-8 Asia/Kathmandu', '2026-06-01T17:00:00Z', '2026-06-01T22:00+05:45', '2026-06-02T08:00+05:45'],
    ['22-8 Asia/Kathmandu', '2026-06-01T03:00:00Z', '2026-06-01T22:00+05:45', '2026-06-02T08:00+05:45'],
  ])('%s at %s', (text, now, from, until) => expect(periodOf(text, now)).toEqual([from, until]));

  // Clocks go forward: Berlin 2 → 3 on March 29th, New York 2 → 3 on March 8th, Lord Howe 2 → 2:30 on October 4th 2026
  it.each([
    ['22-8 Europe/Berlin', '2026-03-29T00:30:00Z', '2026-03-28T22:00+01:00', '2026-03-29T08:00+02:00'],
    ['2-6 Europe/Berlin', '2026-03-28T20:00:00Z', '2026-03-29T03:00+02:00', '2026-03-29T06:00+02:00'],
    ['22-2 Europe/Berlin', '2026-03-28T23:00:00Z', '2026-03-28T22:00+01:00', '2026-03-29T03:00+02:00'],
    ['2-3 Europe/Berlin', '2026-03-28T20:00:00Z', '2026-03-30T02:00+02:00', '2026-03-30T03:00+02:00'],
    ['2-6 America/New_York', '2026-03-08T02:00:00Z', '2026-03-08T03:00-04:00', '2026-03-08T06:00-04:00'],
    ['2-6 Australia/Lord_Howe', '2026-10-03T10:00:00Z', '2026-10-04T02:30+11:00', '2026-10-04T06:00+11:00'],
    ['22-2 Australia/Lord_Howe', '2026-10-03T13:00:00Z', '2026-10-03T22:00+10:30', '2026-10-04T02:30+11:00'],
  ])('%s at %s, in the night in which an hour is skipped', (text, now, from, until) =>
    expect(periodOf(text, now)).toEqual([from, until]),
  );

  // Clocks go back: Berlin 3 → 2 on October 25th, New York 2 → 1 on November 1st, Lord Howe 2 → 1:30 on April 5th 2026
  it.each([
    ['22-8 Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-24T22:00+02:00', '2026-10-25T08:00+01:00'],
    ['2-6 Europe/Berlin', '2026-10-25T01:30:00Z', '2026-10-25T02:00+02:00', '2026-10-25T06:00+01:00'],
    ['22-2 Europe/Berlin', '2026-10-24T23:30:00Z', '2026-10-24T22:00+02:00', '2026-10-25T02:00+02:00'],
    ['22-2 Europe/Berlin', '2026-10-25T01:30:00Z', '2026-10-25T22:00+01:00', '2026-10-26T02:00+01:00'],
    ['22-3 Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-24T22:00+02:00', '2026-10-25T03:00+01:00'],
    ['1-2 America/New_York', '2026-11-01T06:30:00Z', '2026-11-01T01:00-04:00', '2026-11-01T02:00-05:00'],
    ['22-2 Australia/Lord_Howe', '2026-04-04T15:10:00Z', '2026-04-04T22:00+11:00', '2026-04-05T02:00+10:30'],
  ])('%s at %s, in the night in which an hour comes twice', (text, now, from, until) =>
    expect(periodOf(text, now)).toEqual([from, until]),
  );

  it('over the day that Samoa skipped: December 30th 2011', () => {
    const night = ['2011-12-29T22:00-10:00', '2011-12-31T08:00+14:00'];
    expect(periodOf('22-8 Pacific/Apia', '2011-12-30T09:00:00Z')).toEqual(night);
    expect(periodOf('22-8 Pacific/Apia', '2011-12-30T17:00:00Z')).toEqual(night);
    expect(periodOf('9-17 Pacific/Apia', '2011-12-30T08:00:00Z')).toEqual([
      '2011-12-31T09:00+14:00',
      '2011-12-31T17:00+14:00',
    ]);
  });

  it('is what the hour on the wall says at any minute', () => {
    const zones = [
      'America/New_York',
      'Antarctica/Troll',
      'Asia/Kathmandu',
      'Australia/Lord_Howe',
      'Europe/Berlin',
      'Pacific/Apia',
    ];
    const hour = fc.integer({ min: 0, max: 23 });
    const now = fc.integer({
      min: Date.parse('2011-01-01') / MINUTE,
      max: Date.parse('2030-01-01') / MINUTE,
    });
    fc.assert(
      fc.property(hour, hour, fc.constantFrom(...zones), now, (start_hour, end_hour, timezone, minute) => {
        fc.pre(start_hour !== end_hour);
        const quiet = { start_hour, end_hour, timezone };
        const isQuiet = (ms: number) => {
          const { hour } = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone);
          return start_hour < end_hour
            ? start_hour <= hour && hour < end_hour
            : start_hour <= hour || hour < end_hour;
        };
        const at = minute * MINUTE;
        const { from, until } = quietPeriod(quiet, at);
        expect(from <= at).toBe(isQuiet(at));
        expect(until).toBeGreaterThan(at);
        expect([from - 1, from, until - 1, until].map(isQuiet)).toEqual([false, true, true, false]);
        for (let ms = Math.min(at, from); ms < until; ms += 10 * MINUTE) expect(isQuiet(ms)).toBe(ms >= from);
      }),
      { numRuns: 300 },
    );
  });

  it('throws where the time zone is not known', () =>
    expect(() => quietPeriod({ start_hour: 1, end_hour: 2, timezone: 'Mars/Base' }, 0)).toThrow(RangeError));
});

it.each(['22-8 Europe/Berlin', '0-23 UTC'])('%s is read as it was written', (text) =>
  expect(formatQuietSpec(spec(text))).toBe(text),
);

it.each(['', '22-8', '22-8 Mars/Base', '24-8 UTC', '8-8 UTC', '-1-8 UTC', '22-8 UTC extra', '22-8 +01:00'])(
  '%j is no time of quiet',
  (text) => expect(parseQuietSpec(text)).toBeUndefined(),
);

it.each([
  ['Europe/Berlin', true],
  ['europe/berlin', true],
  ['UTC', true],
  ['Etc/GMT+5', true],
  ['Asia/Calcutta', true],
  ['+01:00', false],
  ['Z', false],
  ['', false],
  ['Mars/Base', false],
  ['Europe/Berlin ', false],
  ['2026-01-01T00:00[Europe/Berlin]', false],
])('%j is a time zone: %s', (text, expected) => expect(isTimeZone(text)).toBe(expected));
