import type { QuietHours } from './types.ts';

/** When it is quiet: hours 0–23 of the clock on the wall in a time zone, the end not among them. 22–8 is a night. */
export type QuietSpec = Pick<QuietHours, 'start_hour' | 'end_hour' | 'timezone'>;

/** ms epoch; `until` is the first moment that is no longer quiet. */
export type QuietPeriod = { from: number; until: number };

/** Days around now in which a period and the next one lie, also where a country skipped a day. */
const FIRST_DAY = -2;
const LAST_DAY = 3;

/**
 * The quiet period that `now` (ms epoch) is in, from ≤ now < until; else the next one.
 *
 * A moment is quiet when the clock on the wall shows one of the quiet hours. So where clocks are changed:
 * - a start hour that is skipped: quiet from the first moment after the gap, if a quiet hour follows; a period whose
 *   hours are all skipped does not take place
 * - a start hour that comes twice: quiet from its first occurrence on, through all that is repeated
 * - an end hour that comes twice: quiet until its first occurrence
 * - an hour that comes twice within the period makes it longer, a skipped one shorter
 *
 * @throws RangeError when this process does not know the time zone
 */
export function quietPeriod(spec: QuietSpec, now: number): QuietPeriod {
  const isQuiet = (ms: number) => isQuietHour(spec, at(spec.timezone, ms).hour);
  const turns = turningPoints(spec, now);
  let next = turns.findIndex((ms) => ms > now);
  if (isQuiet(now)) {
    let first = next - 1;
    while (first > 0 && isQuiet(turns[first - 1]!)) first--;
    while (isQuiet(turns[next]!)) next++;
    return { from: turns[first]!, until: turns[next]! };
  }
  while (!isQuiet(turns[next]!)) next++;
  const from = turns[next]!;
  while (isQuiet(turns[next]!)) next++;
  return { from, until: turns[next]! };
}

/** Every moment around now at which it may become quiet or end being so, ascending: nothing changes in between. */
function turningPoints({ start_hour, end_hour, timezone }: QuietSpec, now: number): number[] {
  const today = at(timezone, now).toPlainDateTime().round({ smallestUnit: 'day', roundingMode: 'floor' });
  const turns = new Set<number>();
  for (let day = FIRST_DAY; day <= LAST_DAY; day++) {
    for (const hour of [start_hour, end_hour]) {
      const clock = today.add({ hours: 24 * day + hour });
      // Of an hour that is skipped these are moments on both sides of the gap, where nothing turns; that does no harm.
      turns.add(clock.toZonedDateTime(timezone, { disambiguation: 'earlier' }).epochMilliseconds);
      turns.add(clock.toZonedDateTime(timezone, { disambiguation: 'later' }).epochMilliseconds);
    }
  }
  const last = Math.max(...turns);
  let change = at(timezone, Math.min(...turns)).getTimeZoneTransition('next');
  while (change && change.epochMilliseconds < last) {
    turns.add(change.epochMilliseconds);
    change = change.getTimeZoneTransition('next');
  }
  return [...turns].sort((a, b) => a - b);
}

function isQuietHour({ start_hour: start, end_hour: end }: QuietSpec, hour: number): boolean {
  return start < end ? start <= hour && hour < end : hour >= start || hour < end;
}

function at(timezone: string, ms: number): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timezone);
}

/** Whether a text names a time zone of the IANA database, in any case; offsets such as `+01:00` are no time zones. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    // Of all that Temporal reads, only a name comes back as it was, but for its case.
    return at(text, 0).timeZoneId.toLowerCase() === text.toLowerCase();
  } catch {
    return false;
  }
}

/** `22-8 Europe/Berlin`: how a lane keeps when it is quiet. */
export function formatQuietSpec({ start_hour, end_hour, timezone }: QuietSpec): string {
  return `${start_hour}-${end_hour} ${timezone}`;
}

const SPEC = /^(\d{1,2})-(\d{1,2}) (\S+)$/;

/** Undefined: this is not such a text, or this process does not know the time zone. */
export function parseQuietSpec(text: string): QuietSpec | undefined {
  const [, start, end, timezone] = SPEC.exec(text) ?? [];
  const spec = { start_hour: Number(start), end_hour: Number(end), timezone: timezone ?? '' };
  const { start_hour, end_hour } = spec;
  return start_hour < 24 && end_hour < 24 && start_hour !== end_hour && isTimeZone(spec.timezone)
    ? spec
    : undefined;
}
