import type { Random } from './random.ts';

/** `hang`: nothing is ever answered; `reset`: the connection is. */
export type Answer = { status: number; headers?: Record<string, string> } | 'hang' | 'reset';

/** A receiver, as it is while faults strike. At the end all are good. */
export type Character = {
  /** Also its path, and the event type that only it gets. */
  name: string;
  /** Of the endpoint, beside its URL and types; undefined: it is no endpoint, but an event's `webhook_url`. */
  settings?: object;
  timeoutMs: number;
  maxRetries: number;
  /** Gets the events that go to many. */
  shared: boolean;
  /** Share of the events that are for it alone. */
  weight: number;
  /** Whether it always takes what it gets at once: how long its deliveries take is Sealpost's doing alone. */
  isGood: boolean;
  ordered: boolean;
  answer: (random: Random, now: number) => { answer: Answer; afterMs: number };
};

const at = (answer: Answer, afterMs = 0) => ({ answer, afterMs });
const OK: Answer = { status: 200 };
const BROKEN: Answer = { status: 500 };

/** Short, so that a run of minutes has many of them; many, so that what fails now and then is not dead for it. */
const RETRY = { base_seconds: 0.4, factor: 2, max_delay_seconds: 4, jitter: 0.5 };
const RETRIES = 12;
const TIMEOUT = 5;

const DOWN_EVERY_MS = 40_000;
const DOWN_MS = 14_000;

function character(name: string, own: Partial<Omit<Character, 'name'>>): Character {
  const { timeoutMs = TIMEOUT * 1000, maxRetries = RETRIES } = own;
  const settings = {
    timeout_seconds: timeoutMs / 1000,
    retry: { ...RETRY, max_retries: maxRetries },
    ...own.settings,
  };
  return {
    name,
    timeoutMs,
    maxRetries,
    shared: false,
    weight: 2,
    isGood: false,
    ordered: false,
    answer: () => at(OK),
    ...own,
    settings,
  };
}

export const CHARACTERS: readonly Character[] = [
  character('good', { isGood: true, shared: true, weight: 6 }),
  character('good-too', { isGood: true, shared: true, weight: 4 }),
  character('ordered', { settings: { ordered: true }, ordered: true, weight: 0 }),
  character('ordered-flaky', {
    settings: { ordered: true },
    ordered: true,
    weight: 0,
    answer: (random) => at(random.chance(0.1) ? BROKEN : OK),
  }),
  character('flaky', { shared: true, answer: (random) => at(random.chance(0.2) ? BROKEN : OK) }),
  character('slow', { answer: (random) => at(OK, random.between(0, 3000)) }),
  character('resets', { answer: (random) => at(random.chance(0.2) ? 'reset' : OK) }),
  character('hangs', {
    timeoutMs: 2000,
    answer: (random) => at(random.chance(0.1) ? 'hang' : OK, random.between(0, 50)),
  }),
  character('busy', {
    answer: (random) => at(random.chance(0.05) ? { status: 429, headers: { 'retry-after': '1' } } : OK),
  }),
  character('down-at-times', {
    answer: (_, now) => at(now % DOWN_EVERY_MS < DOWN_MS ? { status: 503 } : OK),
  }),
  character('limited', { settings: { rate_limit: { limit: 20, period_seconds: 1, over: 'hold' } } }),
  character('gives-up', { maxRetries: 1, answer: (random) => at(random.chance(0.5) ? BROKEN : OK) }),
  character('toggled', {}),
];

/** The `webhook_url` of some events. */
export const ELSEWHERE: Character = {
  ...character('elsewhere', { answer: (random) => at(random.chance(0.1) ? BROKEN : OK) }),
};

/** Of the app `sealpost`. */
export const OPERATORS: Character = character('operators', { weight: 0 });

/** The type of events that all shared ones get. */
export const SHARED_TYPE = 'to.many';

export const typeOf = ({ name }: Character): string => `to.${name}`;
export const RETRY_OF_EVENTS = { ...RETRY, max_retries: RETRIES };
