import type { EventInput } from './api-types.ts';
import { PublishError } from './errors.ts';

export { PublishError };

/**
 * An event to publish. Its payload is a value, or, to keep every digit of it, JSON text that is sent as it is. Without an
 * `id` it gets one, so that it can be sent again without being published twice.
 */
export type SealpostEvent = Omit<EventInput, 'payload' | 'deliver_at'> & {
  /** A time as in RFC 3339, or a Date. */
  deliver_at?: string | Date;
} & ({ payload: unknown; payloadJson?: undefined } | { payload?: undefined; payloadJson: string });

/**
 * An event's JSON text, in one line.
 * @param id for an event that brings none
 * @throws PublishError validation_failed, malformed_json: what would spoil the text of a whole batch; all else is left to
 * the API
 */
export function eventText(event: SealpostEvent, id: string | undefined): string {
  if (typeof event !== 'object' || event === null) throw invalid('', 'must be an object');
  const { payload, payloadJson, ...rest } = event;
  if (id !== undefined && rest.id === undefined) rest.id = id;
  const text = payloadJson === undefined ? stringify(payload, 'payload') : checked(payloadJson);
  // Undefined, a function or a symbol.
  if (text === undefined) throw invalid('payload', 'is required');
  const head = stringify(rest, '')!;
  return head === '{}' ? `{"payload":${text}}` : `${head.slice(0, -1)},"payload":${text}}`;
}

function stringify(value: unknown, path: string): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw invalid(path, 'cannot be written as JSON', error);
  }
}

/** Text that stays one value, in one line, wherever it is put: outside of strings a line break is but white space. */
function checked(json: string): string {
  try {
    JSON.parse(json);
  } catch (error) {
    throw new PublishError('malformed_json', 'payloadJson is not valid JSON.', { status: 400, cause: error });
  }
  // Half of a surrogate pair has no UTF-8: it would arrive as another character.
  if (!json.isWellFormed()) throw invalid('payload', 'holds half of a surrogate pair; write it as \\uXXXX');
  return /[\r\n]/.test(json) ? json.replaceAll(/[\r\n]/g, ' ') : json;
}

function invalid(path: string, message: string, cause?: unknown): PublishError {
  const errors = [{ path, message }];
  return new PublishError('validation_failed', `${path || 'the event'} ${message}`, {
    status: 422,
    errors,
    cause,
  });
}
