import {
  type Attributes,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { ATTRIBUTE } from './semantic-conventions.ts';
import { isSampled, parseTraceContext, type TraceContext } from './trace-context.ts';

export { type Span, SpanKind } from '@opentelemetry/api';

/** The trace in which a request stands. */
export type RequestTrace = {
  context: TraceContext;
  /** The producer told of a trace of its own: it is kept with its events, sampled or not. */
  fromProducer: boolean;
};

/**
 * Spans, where they are sent anywhere. Without a tracer there are none, and a producer's trace context is only passed on:
 * whoever calls then gets undefined, and has no attributes to make.
 */
export class Tracing {
  readonly #tracer: Tracer | undefined;

  constructor(tracer?: Tracer) {
    this.#tracer = tracer;
  }

  /** Whether spans are sent anywhere. */
  get isOn(): boolean {
    return this.#tracer !== undefined;
  }

  /** A span of what has just begun. Undefined: nothing is to be recorded of it. */
  start(
    name: string,
    kind: SpanKind,
    parent: TraceContext | undefined,
    links: Link[] = [],
  ): { span: Span | undefined; context: TraceContext | undefined } {
    if (!this.#tracer) return { span: undefined, context: parent };
    const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
    const span = this.#tracer.startSpan(name, { kind, links }, context);
    return { span: span.isRecording() ? span : undefined, context: span.spanContext() };
  }

  /** The trace of a request, and its span. Undefined: there is neither. */
  startRequest(
    name: string,
    kind: SpanKind,
    headers: { traceparent?: string | undefined; tracestate?: string | undefined },
  ): (RequestTrace & { span: Span | undefined }) | undefined {
    if (!this.#tracer && headers.traceparent === undefined) return undefined;
    const producer = parseTraceContext(headers.traceparent, headers.tracestate);
    const { span, context } = this.start(name, kind, producer);
    return context && { span, context, fromProducer: producer !== undefined };
  }

  /** Whether it is kept with an event: 42 bytes each, so only where somebody will ask for it. */
  isKept({ context, fromProducer }: RequestTrace): boolean {
    return fromProducer || isSampled(context);
  }
}

/** Ends a span; with an error's type ("Recording errors"), as failed. @param at when, as `performance.now()` says; else now */
export function endSpan(
  span: Span,
  attributes: Attributes,
  errorType?: string,
  message?: string,
  at?: number,
): void {
  span.setAttributes(attributes);
  if (errorType !== undefined) {
    span.setAttribute(ATTRIBUTE.errorType, errorType);
    span.setStatus(
      message === undefined ? { code: SpanStatusCode.ERROR } : { code: SpanStatusCode.ERROR, message },
    );
  }
  span.end(at);
}
