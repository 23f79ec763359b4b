/** Segments of letters, digits, `_`, `-`, joined by dots. The length is checked apart. */
export const EVENT_TYPE = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

export const MAX_EVENT_TYPE_LENGTH = 128;

const PATTERN = /^(?:(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.\*\*)?|\*\*)$/;

/** Whether a text is an event type: 1–128 characters. */
export function isEventType(text: string): boolean {
  return text.length <= MAX_EVENT_TYPE_LENGTH && EVENT_TYPE.test(text);
}

/** What is wrong with a pattern of event types, or undefined. */
export function checkPattern(text: string): string | undefined {
  if (text.length > MAX_EVENT_TYPE_LENGTH) return `must have at most ${MAX_EVENT_TYPE_LENGTH} characters`;
  if (PATTERN.test(text)) return undefined;
  return 'must be segments of letters, digits, _ or -, joined by dots; a segment may be *, the last one **';
}

/**
 * Compiles what an endpoint subscribes to. `*` stands for exactly one segment, `**` at the end for one or more, and
 * an empty list for every type. Patterns must have passed `checkPattern`; throws a `RangeError` otherwise.
 */
export function compilePatterns(patterns: readonly string[]): (type: string) => boolean {
  if (patterns.length === 0) return () => true;
  const exact = new Set<string>();
  const wild: string[] = [];
  for (const pattern of patterns) {
    if (checkPattern(pattern) !== undefined) throw new RangeError(`${pattern} is not a pattern`);
    if (pattern.includes('*')) wild.push(toRegExpSource(pattern));
    else exact.add(pattern);
  }
  if (wild.length === 0) return (type) => exact.has(type);
  const anyWild = new RegExp(`^(?:${wild.join('|')})$`);
  return (type) => exact.has(type) || anyWild.test(type);
}

/** A checked pattern holds nothing that a regular expression would read otherwise but the dot and the stars. */
function toRegExpSource(pattern: string): string {
  return pattern
    .split('.')
    .map((segment) => (segment === '**' ? '.+' : segment === '*' ? '[^.]+' : segment))
    .join('\\.');
}
