import {
  type EndpointInput,
  type EndpointPatch,
  type EndpointPut,
  generateSecret,
  type Keyring,
  type RotateInput,
  SealpostError,
} from '@sealpost/core';
import type { AppConfig } from './app-config.ts';
import type { EndpointRecord, EndpointSecret } from './config-records.ts';
import type { ConfigChange } from './configs.ts';
import { REDACTED, sealHeaders } from './endpoint-headers.ts';
import {
  defaultSecrets,
  liveSecrets,
  onlySecret,
  presentSecret,
  rotateSecrets,
  type SecretPlace,
} from './endpoint-secrets.ts';

/**
 * What each change of an endpoint makes of its app's config: pure functions, asked again by `Configs.change` with a
 * newer config when somebody else was faster, so no limit and no unique name can be raced past. Times in ms epoch.
 * They throw SealpostError endpoint_not_found, endpoint_limit_reached, name_taken, validation_failed, and KeyringError.
 */

type Own = Omit<
  EndpointRecord,
  'id' | 'number' | 'headersSealed' | 'secrets' | 'disabledReason' | 'paused' | 'createdAt' | 'updatedAt'
>;

export function addEndpoint(
  keyring: Keyring,
  config: AppConfig,
  { id, number }: { id: string; number: number },
  input: EndpointInput,
  now: number,
): { change: ConfigChange; endpoint: EndpointRecord; secret: string } {
  assertRoom(config);
  assertNameFree(config, input.name, undefined);
  refuseRedacted(input.secret);
  const place: SecretPlace = { keyring, config, endpointId: id };
  const secrets = input.secret === undefined ? defaultSecrets(place) : onlySecret(place, input.secret);
  const endpoint: EndpointRecord = {
    id,
    number,
    ...ownOf(input),
    headersSealed: sealHeaders(keyring, { app: config.app, endpointId: id }, input.headers, {}),
    secrets,
    disabledReason: null,
    paused: false,
    createdAt: now,
    updatedAt: now,
  };
  return { change: { endpoints: { [id]: endpoint } }, endpoint, secret: presentSecret(place, secrets)! };
}

/** PUT: what is left out goes back to its default, but the secret is kept. */
export function replaceEndpoint(
  keyring: Keyring,
  config: AppConfig,
  id: string,
  input: EndpointPut,
  now: number,
): ConfigChange {
  const present = endpointOf(config, id);
  assertNameFree(config, input.name, id);
  return changed(keyring, config, present, ownOf(input), input.headers, input.secret, now);
}

/** PATCH: what is left out stays; null puts a field back to its default, but for limit and quiet hours means none. */
export function patchEndpoint(
  keyring: Keyring,
  config: AppConfig,
  id: string,
  input: EndpointPatch,
  now: number,
): ConfigChange {
  const present = endpointOf(config, id);
  assertNameFree(config, input.name, id);
  const own: Own = {
    name: given(input.name, present.name, null),
    url: input.url ?? present.url,
    description: given(input.description, present.description, ''),
    eventTypes: given(input.event_types, present.eventTypes, []),
    environments: given(input.environments, present.environments, []),
    wireProfile: given(input.wire_profile, present.wireProfile, null),
    enabled: input.enabled ?? present.enabled,
    retry: given(input.retry, present.retry, null),
    timeoutSeconds: given(input.timeout_seconds, present.timeoutSeconds, null),
    maxConcurrency: given(input.max_concurrency, present.maxConcurrency, null),
    ordered: input.ordered ?? present.ordered,
    ...inherited(
      input.rate_limit === undefined ? present.rateLimit : input.rate_limit,
      input.quiet_hours === undefined ? present.quietHours : input.quiet_hours,
    ),
    metadata: given(input.metadata, present.metadata, {}),
  };
  const headers = input.headers === null ? {} : input.headers;
  return changed(keyring, config, present, own, headers, input.secret, now);
}

export function removeEndpoint(config: AppConfig, id: string): ConfigChange {
  endpointOf(config, id);
  return { endpoints: { [id]: null } };
}

/** Its deliveries wait until it is resumed. Undefined: it is paused already. */
export function pauseEndpoint(config: AppConfig, id: string, now: number): ConfigChange | undefined {
  return withPaused(config, id, true, now);
}

/**
 * A closed lane opens whether it was paused or not: who resumes says that the receiver is well. Undefined: it is neither.
 * @param closed whether its lane is
 */
export function resumeEndpoint(
  config: AppConfig,
  id: string,
  closed: boolean,
  now: number,
): ConfigChange | undefined {
  const resumed = withPaused(config, id, false, now);
  return resumed || closed ? { ...resumed, reopen: [endpointOf(config, id).number] } : undefined;
}

function withPaused(config: AppConfig, id: string, paused: boolean, now: number): ConfigChange | undefined {
  const endpoint = endpointOf(config, id);
  if (endpoint.paused === paused) return undefined;
  return { endpoints: { [id]: { ...endpoint, paused, updatedAt: now } } };
}

export function rotateEndpointSecret(
  keyring: Keyring,
  config: AppConfig,
  id: string,
  input: RotateInput,
  now: number,
): { change: ConfigChange; secret: string; previousExpiresAt: number } {
  const endpoint = endpointOf(config, id);
  refuseRedacted(input.secret);
  const secret = input.secret ?? generateSecret();
  const place = { keyring, config, endpointId: id };
  const overlapMs = Math.round(input.overlap_seconds * 1000);
  const { secrets, previousExpiresAt } = rotateSecrets(place, endpoint, { secret, overlapMs }, now);
  return {
    change: { endpoints: { [id]: { ...endpoint, secrets, updatedAt: now } } },
    secret,
    previousExpiresAt,
  };
}

/** @throws SealpostError endpoint_not_found */
export function endpointOf(config: AppConfig, id: string): EndpointRecord {
  const endpoint = config.endpoints.get(id);
  if (!endpoint) throw new SealpostError('endpoint_not_found', `There is no endpoint ${id}.`);
  return endpoint;
}

/** @throws SealpostError endpoint_limit_reached */
export function assertRoom({ record, endpoints }: AppConfig): void {
  if (record.maxEndpoints === null || endpoints.size < record.maxEndpoints) return;
  throw new SealpostError('endpoint_limit_reached', `This app may have ${record.maxEndpoints} endpoints.`);
}

/** @param but id of the endpoint that may have this name already. @throws SealpostError name_taken */
export function assertNameFree(
  config: AppConfig,
  name: string | null | undefined,
  but: string | undefined,
): void {
  if (name === undefined || name === null) return;
  const endpoint = config.endpointNamed(name);
  if (endpoint && endpoint.id !== but) {
    throw new SealpostError('name_taken', `Endpoint ${endpoint.id} of this app has that name.`);
  }
}

function changed(
  keyring: Keyring,
  config: AppConfig,
  present: EndpointRecord,
  own: Own,
  headers: Readonly<Record<string, string>> | undefined,
  secret: string | null | undefined,
  now: number,
): ConfigChange {
  const { id } = present;
  const headersSealed =
    headers === undefined
      ? present.headersSealed
      : sealHeaders(keyring, { app: config.app, endpointId: id }, headers, present.headersSealed);
  const place = { keyring, config, endpointId: id };
  // What the app gives is said by being absent.
  const { rateLimit: _limit, quietHours: _hours, ...kept } = present;
  const endpoint: EndpointRecord = {
    ...kept,
    ...own,
    headersSealed,
    secrets: secretsAfter(place, present, secret, now),
    disabledReason: own.enabled ? null : present.disabledReason,
    updatedAt: now,
  };
  return { endpoints: { [id]: endpoint } };
}

/** A secret that is given takes the place of all at once; for an overlap there is rotation. */
function secretsAfter(
  place: SecretPlace,
  present: EndpointRecord,
  secret: string | null | undefined,
  now: number,
): EndpointSecret[] {
  if (secret === undefined || secret === REDACTED) return liveSecrets(present.secrets, now);
  return secret === null ? defaultSecrets(place) : onlySecret(place, secret);
}

function ownOf(input: EndpointInput | EndpointPut): Own {
  return {
    name: input.name ?? null,
    url: input.url,
    description: input.description,
    eventTypes: input.event_types,
    environments: input.environments,
    wireProfile: input.wire_profile ?? null,
    enabled: input.enabled,
    retry: input.retry ?? null,
    timeoutSeconds: input.timeout_seconds ?? null,
    maxConcurrency: input.max_concurrency ?? null,
    ordered: input.ordered,
    ...inherited(input.rate_limit, input.quiet_hours),
    metadata: input.metadata,
  };
}

/** What is undefined is left out: it comes from the app. */
function inherited(
  rateLimit: EndpointRecord['rateLimit'],
  quietHours: EndpointRecord['quietHours'],
): Pick<EndpointRecord, 'rateLimit' | 'quietHours'> {
  return { ...(rateLimit !== undefined && { rateLimit }), ...(quietHours !== undefined && { quietHours }) };
}

function given<T>(value: T | null | undefined, present: T, fallback: T): T {
  return value === undefined ? present : (value ?? fallback);
}

/** A client that sends back what it was shown must not make that its secret. */
function refuseRedacted(secret: string | undefined): void {
  if (secret !== REDACTED) return;
  const message = 'is redacted, and no value is stored for it';
  throw new SealpostError('validation_failed', `secret ${message}`, {
    errors: [{ path: 'secret', message }],
  });
}
