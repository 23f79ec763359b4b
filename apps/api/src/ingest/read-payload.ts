import { elementSpans, memberSpans } from '@sealpost/core';

/**
 * The payload of an event as the producer wrote it, digit for digit: cut out of the request's text, which has been
 * parsed and validated before.
 */
export function readPayload(json: string, start = 0): string {
  const span = memberSpans(json, start).get('payload');
  if (!span) throw new TypeError('a validated event has a payload');
  return json.slice(span[0], span[1]);
}

/** For each of `{"events": […]}`, in order: reads its payload. To be called for those that are valid. */
export function readPayloads(json: string): (() => string)[] {
  const events = memberSpans(json).get('events');
  if (!events) throw new TypeError('a validated batch has events');
  return elementSpans(json, events[0]).map(
    ([start]) =>
      () =>
        readPayload(json, start),
  );
}
