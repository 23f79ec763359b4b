import { randomUUID } from 'node:crypto';
import { SealpostError } from '@sealpost/core';
import { preferredWait } from '../../http/prefer-wait.ts';
import { defineRoute, type Route, type RouteContext } from '../../http/route.ts';
import { derivedId } from '../../ingest/derive-id.ts';
import type { Draft } from '../../ingest/prepare-event.ts';
import type { Published } from '../../ingest/published-event.ts';
import { readPayload } from '../../ingest/read-payload.ts';
import type { Services } from '../../services.ts';
import {
  acceptedAnswer,
  correlationAnswer,
  presentArtifact,
  presentCounts,
  presentSync,
  presentWebhook,
  statsAnswer,
  syncAnswer,
} from './answers.ts';
import { type ArtifactInput, artifactInput, draftOf } from './artifact.ts';

const TAG = 'Flock compatibility';
/** How long a synchronous answer waits where the client does not say, seconds. */
const WAIT_SECONDS = 30;
/** Webhooks of a workflow that its status shows. */
const SHOWN = 100;

type Context = RouteContext<ArtifactInput, unknown>;

/** Flock's way to publish artifacts and to ask for their webhooks. A workflow is an app's correlation. */
export function flockRoutes(services: Services): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/compat/flock/artifacts',
      tag: TAG,
      summary: 'Publish an artifact',
      description:
        'Answered as soon as it is stored, before any webhook is sent. It goes to `webhook_url`, if there is one, and ' +
        'to all subscribed endpoints of the app.',
      access: 'caller',
      publishes: true,
      body: artifactInput,
      answers: { 202: { description: 'Stored.', schema: acceptedAnswer } },
      handle: async (context) => {
        const { app } = context.params as { app: string };
        const draft = draftFrom(services, context);
        const [published] = await services.publish.publish(app, context.caller, [draft], context.trace);
        return {
          status: 202,
          body: presentArtifact(published!, await correlationOf(services, app, draft, published!)),
        };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/compat/flock/artifacts/sync',
      tag: TAG,
      summary: 'Publish an artifact, and wait for its webhooks',
      description:
        'Answered when each webhook has had its first attempt, or after 30 s (`Prefer: wait=N`: N). Those that failed are ' +
        'retried all the same.',
      access: 'caller',
      publishes: true,
      body: artifactInput,
      answers: { 200: { description: 'Stored; with the webhooks as they are now.', schema: syncAnswer } },
      handle: async (context) => {
        const { app } = context.params as { app: string };
        const draft = draftFrom(services, context);
        const { publish } = services;
        const seconds = preferredWait(context.request.get('prefer')) ?? WAIT_SECONDS;
        const published = await publish.publishAndWait(
          app,
          context.caller,
          draft,
          seconds * 1000,
          context.signal(),
          context.trace,
        );
        return {
          status: 200,
          body: presentSync(published, await correlationOf(services, app, draft, published)),
        };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/compat/flock/correlations/:correlation/status',
      tag: TAG,
      summary: 'Get the webhooks of a workflow',
      access: 'caller',
      answers: { 200: { description: 'How they stand.', schema: correlationAnswer } },
      handle: ({ params }) => showCorrelation(services, params),
    }),
    defineRoute({
      method: 'get',
      path: '/compat/flock/webhooks/stats',
      tag: TAG,
      summary: "Count an app's webhooks",
      access: 'caller',
      answers: { 200: { description: 'The counts.', schema: statsAnswer } },
      handle: async ({ params }) => {
        const config = await services.configs.newest(params.app!);
        const counts = await services.records.counts(config);
        return { status: 200, body: presentCounts(counts) };
      },
    }),
  ];
}

function draftFrom(services: Services, context: Context): Draft {
  return draftOf(context.body, {
    payload: readPayload(context.rawBody),
    derivedId: derivedId(services, context),
    correlationId: randomUUID(),
  });
}

/** Of what was published before, with this id or Idempotency-Key, the one that it had then. */
async function correlationOf(
  { configs, records }: Services,
  app: string,
  draft: Draft,
  published: Published,
): Promise<string | null> {
  if (!published.duplicate) return draft.input.correlation_id ?? null;
  const found = await records.findEvent(await configs.newest(app), published.id);
  return found?.event.record.c ?? null;
}

async function showCorrelation(services: Services, params: Record<string, string>) {
  const { app, correlation } = params as { app: string; correlation: string };
  const config = await services.configs.newest(app);
  const [found, { data }] = await Promise.all([
    services.records.correlation(config, correlation),
    services.records.list(config, { correlation }, { page: 1, limit: SHOWN }),
  ]);
  if (!found) {
    throw new SealpostError(
      'correlation_not_found',
      'No artifact that is still kept has this correlation id.',
    );
  }
  const sequences = await services.records.sequences(data);
  const body = {
    correlation_id: correlation,
    artifacts: found.events,
    ...presentCounts(found.counts),
    webhooks: data.map((delivery, i) => presentWebhook(delivery, sequences[i] ?? null)),
  };
  return { status: 200, body };
}
