import { memberSpans, type Span } from '../json-spans.ts';

/** What of an event stands at a place of an envelope; absent: the next of the list counts, at last null. */
export type Source =
  | 'id'
  | 'type'
  /** The time of acceptance, the same at every attempt. */
  | 'timestamp'
  | 'payload'
  | 'environment'
  | 'correlation_id'
  | 'sequence'
  | { literal: string | number | readonly [] }
  | { attribute: string }
  /** A member of the payload, where that is an object. */
  | { payloadMember: string };

/** Members of the body in their order: each a source, the first that is there of several, or an object. */
export type Envelope = { readonly [member: string]: Source | readonly Source[] | { object: Envelope } };

/** RFC 3339 in UTC with so many digits: `…:00.123Z`, `…:00.123000Z`, `…:00Z`. */
export type TimestampForm = 'milliseconds' | 'microseconds' | 'seconds';

/** What bodies are made of. */
export type WireEvent = {
  eventId: string;
  eventType: string;
  /** Time of acceptance, ms since the epoch. */
  createdAt: number;
  environment?: string | undefined;
  correlationId?: string | undefined;
  /** Counts the events of a correlation id from 1. */
  sequence?: number | undefined;
  attributes?: Readonly<Record<string, unknown>> | undefined;
};

/** Writes an event's body around the payload's JSON text, which stands in it digit for digit. */
export type WriteBody = (event: WireEvent, payload: string) => string;

/** JSON text of what is there, or undefined. `members`: of the payload, where the envelope has any of them. */
type Write = (event: WireEvent, payload: string, members: Members | undefined) => string | undefined;

type Members = ReadonlyMap<string, Span>;

/** Compiles an envelope, once: each body is then its fixed texts and the parts between them. */
export function compileEnvelope(envelope: Envelope, form: TimestampForm): WriteBody {
  const texts = [''];
  const parts: Write[] = [];
  const add = (text: string) => {
    texts[texts.length - 1] += text;
  };
  const addObject = (object: Envelope) => {
    let separator = '{';
    for (const [member, place] of Object.entries(object)) {
      add(`${separator}${JSON.stringify(member)}:`);
      separator = ',';
      if (typeof place === 'object' && 'object' in place) addObject(place.object);
      else if (typeof place === 'object' && 'literal' in place) add(JSON.stringify(place.literal));
      else {
        parts.push(firstOf([place].flat() as Source[], form));
        texts.push('');
      }
    }
    add('}');
  };
  addObject(envelope);
  const hasMembers = JSON.stringify(envelope).includes('"payloadMember":');
  return (event, payload) => {
    const members = hasMembers ? membersOf(payload) : undefined;
    let body = texts[0]!;
    for (let i = 0; i < parts.length; i++) {
      body += (parts[i]!(event, payload, members) ?? 'null') + texts[i + 1]!;
    }
    return body;
  };
}

function firstOf(sources: readonly Source[], form: TimestampForm): Write {
  const writes = sources.map((source) => compileSource(source, form));
  if (writes.length === 1) return writes[0]!;
  return (event, payload, members) => {
    for (const write of writes) {
      const text = write(event, payload, members);
      if (text !== undefined) return text;
    }
    return undefined;
  };
}

function compileSource(source: Source, form: TimestampForm): Write {
  if (typeof source === 'object') {
    if ('literal' in source) {
      const text = JSON.stringify(source.literal);
      return () => text;
    }
    if ('attribute' in source) return ({ attributes }) => jsonOf(attributes?.[source.attribute]);
    return (_, payload, members) => {
      const span = members?.get(source.payloadMember);
      return span && payload.slice(...span);
    };
  }
  switch (source) {
    case 'id':
      return ({ eventId }) => JSON.stringify(eventId);
    case 'type':
      return ({ eventType }) => JSON.stringify(eventType);
    case 'timestamp':
      return ({ createdAt }) => `"${formatTimestamp(createdAt, form)}"`;
    case 'payload':
      return (_, payload) => payload;
    case 'environment':
      return ({ environment }) => jsonOf(environment);
    case 'correlation_id':
      return ({ correlationId }) => jsonOf(correlationId);
    case 'sequence':
      return ({ sequence }) => jsonOf(sequence);
  }
}

function jsonOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** The time that was written last: the deliveries of an event come one after the other, and this takes half the time. */
let last = { ms: 0, text: new Date(0).toISOString() };

/** @param ms since the epoch */
export function formatTimestamp(ms: number, form: TimestampForm): string {
  if (last.ms !== ms) last = { ms, text: new Date(ms).toISOString() };
  const { text } = last;
  if (form === 'milliseconds') return text;
  return form === 'microseconds' ? `${text.slice(0, -1)}000Z` : `${text.slice(0, -5)}Z`;
}

/** None where the payload is no object. */
function membersOf(payload: string): Members | undefined {
  return /^\s*\{/.test(payload) ? memberSpans(payload) : undefined;
}
