import { appId, appInput, listQuery } from '@sealpost/core';
import { AppDirectory, appRecord, deleteApp } from '@sealpost/store';
import { z } from 'zod';
import { cutPage, paged, pagedAnswer, pageOf } from '../http/pagination.ts';
import { appAnswer, presentApp } from '../http/present-app.ts';
import { defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const TAG = 'Apps';
const path = z.object({ app: appId });
/** Of times in ms, so that they sort as texts. */
const TIME_DIGITS = 15;

/** Apps, the tenants. Their limits are the operator's to set, so only operators change them. */
export function appRoutes(
  services: Pick<Services, 'configs' | 'keyring' | 'parser' | 'shards'>,
  now: () => number = Date.now,
): Route[] {
  const { configs, keyring, parser, shards } = services;
  const directory = new AppDirectory(shards, keyring);
  return [
    defineRoute({
      method: 'get',
      path: '/v1/apps',
      tag: TAG,
      summary: 'List all apps',
      access: 'operator',
      query: listQuery,
      answers: { 200: { description: 'A page, newest first.', schema: pagedAnswer(appAnswer) } },
      handle: async ({ query }) => {
        const page = pageOf(query);
        const places = await directory.newestFirst();
        const key = ({ createdAt, app }: { createdAt: number; app: string }) =>
          `${String(createdAt).padStart(TIME_DIGITS, '0')}:${app}`;
        const { data, found } = cutPage('apps', places, key, page);
        const records = await directory.records(data);
        return { status: 200, body: paged(records.map(presentApp), page, found) };
      },
    }),
    defineRoute({
      method: 'put',
      path: '/v1/apps/:app',
      tag: TAG,
      summary: 'Create an app, or replace its settings',
      description:
        'What is left out goes back to its default, except `signing_secret`, which is kept, as it is when it is ' +
        'sent back redacted.',
      access: 'operator',
      body: appInput,
      answers: {
        200: { description: 'Replaced.', schema: appAnswer },
        201: { description: 'Created.', schema: appAnswer },
      },
      handle: async ({ params, body }) => {
        const { app } = parser.parse(path, params);
        const [config, what] = await configs.put(app, (_record, present) =>
          appRecord(keyring, app, body, present, now()),
        );
        await configs.confirm(config);
        const answer = { body: presentApp(config.record) };
        if (what === 'changed') return { status: 200, ...answer };
        return { status: 201, headers: { location: `/v1/apps/${app}` }, ...answer };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app',
      tag: TAG,
      summary: 'Get an app',
      access: 'app',
      answers: { 200: { description: 'The app.', schema: appAnswer } },
      handle: async ({ params }) => {
        const { record } = await configs.newest(params.app!);
        return { status: 200, body: presentApp(record) };
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/apps/:app',
      tag: TAG,
      summary: 'Delete an app',
      description:
        'With its endpoints and keys, at once; open deliveries are cancelled in the background. The app `default` ' +
        'cannot be deleted.',
      access: 'operator',
      answers: { 204: { description: 'Deleted.' } },
      handle: async ({ params }) => {
        await deleteApp(configs, shards, params.app!);
        return { status: 204 };
      },
    }),
  ];
}
