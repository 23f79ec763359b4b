import { type ReplayInput, replayInput, SealpostError } from '@sealpost/core';
import { endpointOf, type ReplayFilter } from '@sealpost/store';
import { presentReplay, replayAnswer } from '../http/present-replay.ts';
import { type Answer, defineRoute, type Route, type RouteContext } from '../http/route.ts';
import { derivedRequest } from '../ingest/derive-id.ts';
import type { Services } from '../services.ts';

type Params = Record<string, string>;
type Needed = Pick<Services, 'configs' | 'keyring' | 'records'>;

/** Replays: an endpoint's ended deliveries, sent again. The workers do it (feed-replays.ts). */
export function replayRoutes(services: Needed, now: () => number = Date.now): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/replay',
      tag: 'Replays',
      summary: "Send an endpoint's deliveries again",
      description:
        'Those that have ended with one of these statuses, oldest first; by default all that are dead. Each goes on ' +
        'with its attempts, and has its retries anew. They go out behind new deliveries, which leave them a tenth at ' +
        'least. Answers at once; what comes later is not part of it. ' +
        'An endpoint has one running replay at a time.',
      access: 'app',
      body: replayInput,
      answers: { 202: { description: 'The replay, which has begun.', schema: replayAnswer } },
      handle: (context) => create(services, context, now()),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/replays/:replay',
      tag: 'Replays',
      summary: 'Get how far a replay has come',
      description: 'Kept as long as a delivery after its end.',
      access: 'app',
      answers: { 200: { description: 'The replay.', schema: replayAnswer } },
      handle: ({ params }) => show(services, params),
    }),
  ];
}

async function create(
  services: Needed,
  context: RouteContext<ReplayInput, unknown>,
  now: number,
): Promise<Answer> {
  const { params, body } = context;
  const config = await services.configs.newest(params.app!);
  const { id } = endpointOf(config, params.endpoint!);
  const request = derivedRequest(services, context);
  const replay = await services.records.createReplay(config, id, filterOf(body), now, request);
  return {
    status: 202,
    headers: { location: `/v1/apps/${params.app}/replays/${replay.id}` },
    body: presentReplay(replay),
  };
}

function filterOf({ status, since, until, event_types }: ReplayInput): ReplayFilter {
  return {
    statuses: [...new Set(status)],
    eventTypes: event_types,
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  };
}

async function show({ configs, records }: Needed, params: Params): Promise<Answer> {
  const config = await configs.newest(params.app!);
  const replay = await records.findReplay(config, params.replay!);
  if (!replay) throw new SealpostError('replay_not_found', `There is no replay ${params.replay}.`);
  return { status: 200, body: presentReplay(replay) };
}
