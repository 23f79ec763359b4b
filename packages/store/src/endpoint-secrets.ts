import { generateSecret, type Keyring } from '@sealpost/core';
import type { AppConfig } from './app-config.ts';
import { type EndpointRecord, type EndpointSecret, openSigningSecret } from './config-records.ts';

/** Former secrets that still sign: each adds a signature to every delivery. */
const MAX_FORMER = 4;

/** Where an endpoint's secrets are: what they are encrypted for. */
export type SecretPlace = { keyring: Keyring; config: AppConfig; endpointId: string };

/** What an endpoint's record says of its secrets. */
export type Secrets = Pick<EndpointRecord, 'secrets' | 'secretOptional'>;

/** The app's signing secret, if it has one; else a new one of the endpoint's own. */
export function defaultSecrets(place: SecretPlace): Secrets {
  return {
    secrets: place.config.record.signingSecretSealed === null ? [sealed(place, generateSecret())] : [],
  };
}

/** The app's signing secret, if it has one; else nothing is signed. */
export function noSecret(): Secrets {
  return { secrets: [], secretOptional: true };
}

/** `secret` alone, with no former ones. */
export function onlySecret(place: SecretPlace, secret: string): Secrets {
  return { secrets: [sealed(place, secret)] };
}

/** Whether deliveries are signed. */
export function isSigned({ record }: AppConfig, { secrets }: EndpointRecord): boolean {
  return record.signingSecretSealed !== null || secrets.some(({ expiresAt }) => expiresAt === undefined);
}

/** Those that count at `now` (ms epoch): what has expired is dropped at the next change. */
export function liveSecrets(secrets: readonly EndpointSecret[], now: number): EndpointSecret[] {
  return secrets.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now);
}

/**
 * The secret that signs now: the endpoint's own, else its app's. Undefined if neither has one (`secretOptional`).
 * @throws KeyringError
 */
export function presentSecret(place: SecretPlace, secrets: readonly EndpointSecret[]): string | undefined {
  const own = secrets.find(({ expiresAt }) => expiresAt === undefined);
  return own ? opened(place, own) : openSigningSecret(place.keyring, place.config.record);
}

/**
 * Puts `secret` in the present one's place, which goes on signing beside it for `overlapMs`. Of the former ones the
 * oldest give way when there are too many. A secret that is the present one already changes nothing but ends its own
 * overlap, so that a request sent twice does no harm.
 * @returns the secrets, and when the one before stops signing (ms epoch)
 */
export function rotateSecrets(
  place: SecretPlace,
  endpoint: EndpointRecord,
  change: { secret: string; overlapMs: number },
  now: number,
): { secrets: EndpointSecret[]; previousExpiresAt: number } {
  const live = liveSecrets(endpoint.secrets, now);
  const before = presentSecret(place, live);
  const former = live.filter((one) => one.expiresAt !== undefined && opened(place, one) !== change.secret);
  if (before === change.secret) {
    return {
      secrets: [sealed(place, change.secret), ...former],
      previousExpiresAt: former[0]?.expiresAt ?? now,
    };
  }
  const expiresAt = now + change.overlapMs;
  const others = former.filter((one) => before === undefined || opened(place, one) !== before);
  const previous =
    before === undefined || change.overlapMs === 0 ? [] : [{ ...sealed(place, before), expiresAt }];
  return {
    secrets: [sealed(place, change.secret), ...previous, ...others.slice(0, MAX_FORMER - previous.length)],
    // Where nothing was signed, nothing stops.
    previousExpiresAt: before === undefined ? now : expiresAt,
  };
}

function sealed({ keyring, config, endpointId }: SecretPlace, secret: string): EndpointSecret {
  return { valueSealed: keyring.encrypt(secret, { app: config.app, record: endpointId, field: 'secret' }) };
}

function opened({ keyring, config, endpointId }: SecretPlace, secret: EndpointSecret): string {
  return keyring.decrypt(secret.valueSealed, { app: config.app, record: endpointId, field: 'secret' });
}
