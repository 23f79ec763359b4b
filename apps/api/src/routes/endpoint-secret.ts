import { rotateInput, SealpostError } from '@sealpost/core';
import { endpointOf, presentSecret, rotateEndpointSecret } from '@sealpost/store';
import { presentSecretAnswer, presentSecretOf, rotatedSecretAnswer } from '../http/present-endpoint.ts';
import { defineRoute, type Route } from '../http/route.ts';
import type { Services } from '../services.ts';

const TAG = 'Endpoints';
const NO_STORE = { 'cache-control': 'no-store' };

/** An endpoint's secret: shown, and replaced with an overlap. */
export function endpointSecretRoutes(
  { configs, keyring }: Pick<Services, 'configs' | 'keyring'>,
  now: () => number = Date.now,
): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/apps/:app/endpoints/:endpoint/secret',
      tag: TAG,
      summary: "Get an endpoint's present secret",
      description: "The app's signing secret, where the endpoint has none of its own.",
      access: 'app',
      answers: { 200: { description: 'The secret.', schema: presentSecretAnswer } },
      handle: async ({ params }) => {
        const config = await configs.newest(params.app!);
        const { id, secrets, secretOptional } = endpointOf(config, params.endpoint!);
        const secret = presentSecret({ keyring, config, endpointId: id }, secrets);
        if (secret !== undefined) return { status: 200, headers: NO_STORE, body: presentSecretOf(secret) };
        if (secretOptional) return { status: 200, headers: NO_STORE, body: { secret: null } };
        throw new SealpostError('config_invalid', `Neither endpoint ${id} nor its app has a secret.`);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/apps/:app/endpoints/:endpoint/secret/rotate',
      tag: TAG,
      summary: "Replace an endpoint's secret",
      description:
        'During the overlap every delivery carries the signatures of both secrets. At most four former ones sign; ' +
        'beyond that the oldest stops early.',
      access: 'app',
      body: rotateInput.optional(),
      answers: { 200: { description: 'Replaced.', schema: rotatedSecretAnswer } },
      handle: async ({ params, body }) => {
        const input = body ?? rotateInput.parse({});
        let rotated: { secret: string; previousExpiresAt: number } | undefined;
        await configs.change(params.app!, (config) => {
          const result = rotateEndpointSecret(keyring, config, params.endpoint!, input, now());
          rotated = result;
          return result.change;
        });
        const { secret, previousExpiresAt } = rotated!;
        const shown = {
          ...presentSecretOf(secret),
          previous_expires_at: new Date(previousExpiresAt).toISOString(),
        };
        return { status: 200, headers: NO_STORE, body: shown };
      },
    }),
  ];
}
