import {
  type AppConfig,
  type ConfigChange,
  endpointOf,
  pauseEndpoint,
  resumeEndpoint,
} from '@sealpost/store';
import { z } from 'zod';
import { endpointAnswer, presentEndpoint } from '../http/present-endpoint.ts';
import { presentStats, statsAnswer } from '../http/present-lane.ts';
import { type Answer, defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const TAG = 'Endpoints';

type Params = Record<string, string>;
type Needed = Pick<Services, 'configs' | 'records'>;
type Decide = (config: AppConfig, id: string, now: number) => ConfigChange | undefined;

/** Endpoints' lanes: stopped, let go on, looked into. */
export function laneRoutes(services: Needed, now: () => number = Date.now): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/pause',
      tag: TAG,
      summary: 'Pause an endpoint',
      description:
        'New deliveries and retries wait in its lane until it is resumed; attempts that are under way go on. ' +
        'The time counts against the age that a delivery may reach.',
      access: 'app',
      body: z.strictObject({}).optional(),
      answers: { 200: { description: 'Paused, as it may have been before.', schema: endpointAnswer } },
      handle: ({ params }) => change(services, params, pauseEndpoint, now()),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/resume',
      tag: TAG,
      summary: 'Resume an endpoint',
      description:
        'What waited while it was paused goes out, in order. A lane that its failures have closed opens, paused or not.',
      access: 'app',
      body: z.strictObject({}).optional(),
      answers: { 200: { description: 'Not paused, or no longer.', schema: endpointAnswer } },
      handle: ({ params }) => resume(services, params, now()),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/endpoints/:endpoint/stats',
      tag: TAG,
      summary: 'Get how an endpoint fares',
      description: 'Counts, success rate and latency of its deliveries, and the state of its lane.',
      access: 'app',
      answers: { 200: { description: 'The statistics.', schema: statsAnswer } },
      handle: ({ params }) => stats(services, params, now()),
    }),
  ];
}

async function change({ configs }: Needed, params: Params, decide: Decide, now: number): Promise<Answer> {
  const id = params.endpoint!;
  const config = await configs.change(params.app!, (newest) => decide(newest, id, now));
  return { status: 200, body: presentEndpoint(config, endpointOf(config, id)) };
}

async function resume(services: Needed, params: Params, now: number): Promise<Answer> {
  const config = await services.configs.newest(params.app!);
  const { id: endpoint } = endpointOf(config, params.endpoint!);
  const { closedSince } = await services.records.laneState(config, endpoint, now);
  const closed = closedSince !== null;
  return change(services, params, (newest, id, at) => resumeEndpoint(newest, id, closed, at), now);
}

async function stats({ configs, records }: Needed, params: Params, now: number): Promise<Answer> {
  const config = await configs.newest(params.app!);
  const { id } = endpointOf(config, params.endpoint!);
  const [counts, durations, lane] = await Promise.all([
    records.endpointCounts(config, id),
    records.latestDurations(config, id),
    records.laneState(config, id, now),
  ]);
  return { status: 200, body: presentStats(counts, durations, lane) };
}
