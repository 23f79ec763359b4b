import type { EventInput } from '@sealpost/core';
import { type EventVariables, eventVariables, isWithinEventLimit } from '@sealpost/core/expressions';
import type { Expressions } from '@sealpost/sandbox';
import type { EndpointRecord } from '@sealpost/store';

/** What an endpoint's filter says of an event; undefined: that is for the worker to find out. */
export type Passes = (endpoint: EndpointRecord) => boolean | undefined;

/** How long filters may be evaluated in this process at a stretch, ms: whoever publishes elsewhere waits meanwhile. */
const BUDGET_MS = 50;

/**
 * The filters of the events that are matched at a stretch. What errs, takes too long, or reads what is not known yet is left
 * to the worker, which has a place to write down why.
 */
export class PublishFilters {
  readonly #expressions: Pick<Expressions, 'filterEarly'>;
  readonly #now: () => number;
  #leftMs = BUDGET_MS;

  constructor(expressions: Pick<Expressions, 'filterEarly'>, now: () => number = () => performance.now()) {
    this.#expressions = expressions;
    this.#now = now;
  }

  /** The time is used up: what is matched now is all left to the worker. */
  get isSpent(): boolean {
    return this.#leftMs <= 0;
  }

  /** @param payload its JSON text */
  of(input: EventInput, payload: string): Passes {
    let event: EventVariables | 'too large' | undefined;
    return ({ filter }) => {
      if (filter === undefined) return true;
      if (this.isSpent) return undefined;
      const start = this.#now();
      event ??= isWithinEventLimit(payload) ? variablesOf(input, payload) : 'too large';
      if (event === 'too large') return undefined;
      const result = this.#expressions.filterEarly(filter, event);
      this.#leftMs -= this.#now() - start;
      return 'passes' in result ? result.passes : undefined;
    };
  }
}

function variablesOf(input: EventInput, payload: string): EventVariables {
  const facts = {
    type: input.type,
    payload,
    environment: input.environment,
    correlationId: input.correlation_id,
    attributes: input.attributes,
    acceptedAt: Date.now(),
  };
  // What a route has parsed need not be parsed again; Sealpost's own events come as text alone.
  const parsed = input.payload === undefined ? undefined : { payload: input.payload };
  // Neither its id nor its sequence is known yet: filters that read them are the worker's.
  return eventVariables({ ...facts, id: '' }, parsed);
}
