const TO_THE_SECOND = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/**
 * A value with its leaves replaced by what they are, so that an answer can be compared with a documented one: types, and
 * times as they are written. A list is what its first entry is.
 */
export function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shapeOf(member)]));
  }
  if (typeof value === 'string' && TO_THE_SECOND.test(value)) return 'time to the second';
  return value === null ? 'null' : typeof value;
}
