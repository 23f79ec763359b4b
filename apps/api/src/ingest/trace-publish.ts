import { SealpostError } from '@sealpost/core';
import {
  ATTRIBUTE,
  endSpan,
  OWN_ATTRIBUTE,
  type RequestTrace,
  SPAN,
  type Span,
  SpanKind,
  storeTrace,
  type Tracing,
  VALUE,
} from '@sealpost/telemetry';
import type { Draft } from './prepare-event.ts';
import type { Published } from './published-event.ts';

/**
 * Publishes within one span, however many events and deliveries there are: its context is kept with each event, and what
 * becomes of them stands below it ("Messaging spans": a batch is one `send`).
 */
export async function tracePublish(
  tracing: Tracing,
  request: RequestTrace,
  app: string,
  drafts: Draft[],
  publish: (drafts: Draft[]) => Promise<Published[]>,
): Promise<Published[]> {
  // Whoever samples by the parent or by the trace's id has decided: nine of ten requests are spared the rest.
  if (!tracing.isKept(request)) return publish(drafts);
  const { span, context = request.context } = tracing.start(SPAN.publish, SpanKind.PRODUCER, request.context);
  const trace = tracing.isKept({ ...request, context }) ? storeTrace(context) : undefined;
  try {
    const published = await publish(trace ? drafts.map((draft) => ({ ...draft, trace })) : drafts);
    if (span) endSpan(span, describe(app, drafts, published));
    return published;
  } catch (error) {
    if (span) fail(span, describe(app, drafts, []), error);
    throw error;
  }
}

function describe(app: string, drafts: Draft[], published: Published[]) {
  const single = drafts.length === 1 ? published[0] : undefined;
  return {
    [ATTRIBUTE.messagingSystem]: VALUE.system,
    [ATTRIBUTE.messagingOperationName]: VALUE.publish,
    [ATTRIBUTE.messagingOperationType]: VALUE.send,
    [ATTRIBUTE.messagingDestinationName]: VALUE.destination,
    ...(single
      ? { [ATTRIBUTE.messagingMessageId]: single.id, [OWN_ATTRIBUTE.eventType]: single.type }
      : { [ATTRIBUTE.messagingBatchCount]: drafts.length }),
    [OWN_ATTRIBUTE.app]: app,
    [OWN_ATTRIBUTE.deliveries]: published.reduce((sum, { deliveries }) => sum + deliveries.length, 0),
  };
}

function fail(span: Span, attributes: ReturnType<typeof describe>, error: unknown): void {
  endSpan(span, attributes, error instanceof SealpostError ? error.code : VALUE.other);
}
