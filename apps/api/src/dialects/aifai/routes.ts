import { type Keyring, SealpostError } from '@sealpost/core';
import { type Configs, createEndpoint, patchEndpoint } from '@sealpost/store';
import { z } from 'zod';
import { defineRoute, type Route } from '../../http/route.ts';
import type { Services } from '../../services.ts';
import {
  endpointChange,
  newEndpoint,
  PREFERENCES_ENDPOINT,
  type Preferences,
  type PreferencesInput,
  preferencesAnswer,
  preferencesInput,
  preferencesOf,
} from './preferences.ts';

const TAG = 'AIFAI compatibility';
/** As its document writes it, and without the slash at the end. */
const PATH = '/compat/aifai/api/v1/notifications/preferences{/}';
/** How often one call looks again because the endpoint was made, or deleted, meanwhile. */
const TRIES = 10;

const savedAnswer = preferencesAnswer
  .extend({
    webhook_secret: z
      .string()
      .optional()
      .describe('Generated in this call, and told this once, since neither agent nor app has one.'),
  })
  .meta({ id: 'AifaiSavedPreferences' });

type Needed = Pick<Services, 'configs' | 'keyring'>;

/**
 * The notification preferences of AIFAI. An app is an agent, and one endpoint in it keeps what it prefers; so a
 * notification, published as an event, is accepted whatever they say, and its delivery is skipped where they say so.
 */
export function aifaiRoutes(services: Needed, now: () => number = Date.now): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: PATH,
      tag: TAG,
      summary: "Get an agent's notification preferences",
      access: 'caller',
      answers: { 200: { description: 'As they count now.', schema: preferencesAnswer } },
      handle: async ({ params }) => {
        const config = await services.configs.newest(params.app!);
        return { status: 200, body: preferencesOf(config.endpointNamed(PREFERENCES_ENDPOINT)) };
      },
    }),
    defineRoute({
      method: 'put',
      path: PATH,
      tag: TAG,
      summary: "Change an agent's notification preferences",
      description:
        'Those that are given; the others stay, and null removes one. Notifications in quiet hours, or over the ' +
        'number of an hour, are kept, and their webhooks `skipped`. `enable_webhook` also brings back a webhook that ' +
        'Sealpost disabled, since its receiver answered 410, say.',
      access: 'caller',
      body: preferencesInput,
      answers: { 200: { description: 'As they count from now on.', schema: savedAnswer } },
      handle: async ({ params, body }) => ({
        status: 200,
        body: await savePreferences(services, params.app!, body, now()),
      }),
    }),
  ];
}

async function savePreferences(
  services: { configs: Configs; keyring: Keyring },
  app: string,
  input: PreferencesInput,
  now: number,
): Promise<z.output<typeof savedAnswer>> {
  const { configs } = services;
  for (let i = 0; i < TRIES; i++) {
    const config = await configs.newest(app);
    const saved = config.endpointNamed(PREFERENCES_ENDPOINT)
      ? await changePreferences(services, app, input, now)
      : await createPreferences(services, app, input, now);
    if (saved) return saved;
  }
  throw new SealpostError(
    'config_conflict',
    'The preferences are being made and deleted by many; try again.',
  );
}

/** Undefined: their endpoint was deleted meanwhile. */
async function changePreferences(
  { configs, keyring }: Needed,
  app: string,
  input: PreferencesInput,
  now: number,
): Promise<Preferences | undefined> {
  const changed = await configs.change(app, (newest) => {
    const endpoint = newest.endpointNamed(PREFERENCES_ENDPOINT);
    return endpoint && patchEndpoint(keyring, newest, endpoint.id, endpointChange(endpoint, input), now);
  });
  const endpoint = changed.endpointNamed(PREFERENCES_ENDPOINT);
  return endpoint && preferencesOf(endpoint);
}

/** Undefined: another call has made their endpoint meanwhile. */
async function createPreferences(
  services: Needed,
  app: string,
  input: PreferencesInput,
  now: number,
): Promise<z.output<typeof savedAnswer> | undefined> {
  try {
    const { endpoint, secret } = await createEndpoint(services, app, newEndpoint(input), now);
    const generated = endpoint.secrets.length > 0;
    return { ...preferencesOf(endpoint), ...(generated && { webhook_secret: secret }) };
  } catch (error) {
    if (error instanceof SealpostError && error.code === 'name_taken') return undefined;
    throw error;
  }
}
