import {
  type EndpointInput,
  type EndpointPatch,
  type EndpointPut,
  generateSecret,
  type Keyring,
  type RotateInput,
  SealpostError,
  type WireProfile,
  type WireProfileSetting,
  wireProfileOf,
} from '@sealpost/core';
import type { AppConfig } from './app-config.ts';
import type { EndpointRecord } from './config-records.ts';
import type { ConfigChange } from './configs.ts';
import { effectiveWireProfile } from './effective-settings.ts';
import { REDACTED, sealHeaders } from './endpoint-headers.ts';
import {
  defaultSecrets,
  liveSecrets,
  noSecret,
  onlySecret,
  presentSecret,
  rotateSecrets,
  type SecretPlace,
  type Secrets,
} from './endpoint-secrets.ts';

/**
 * What each change of an endpoint makes of its app's config: pure functions, asked again by `Configs.change` with a
 * newer config when somebody else was faster, so no limit and no unique name can be raced past. Times in ms epoch.
 * They throw SealpostError endpoint_not_found, endpoint_limit_reached, name_taken, validation_failed, and KeyringError.
 */

type Own = Omit<
  EndpointRecord,
  | 'id'
  | 'number'
  | 'headersSealed'
  | 'secrets'
  | 'secretOptional'
  | 'disabledReason'
  | 'paused'
  | 'createdAt'
  | 'updatedAt'
>;

/** What a dialect may ask for beyond the API's own input. `secretOptional`: without a secret, none is made. */
export type SecretRule = { secretOptional?: boolean };

/** `secret` is undefined only where it is optional, and neither the endpoint nor its app has one. */
export function addEndpoint(
  keyring: Keyring,
  config: AppConfig,
  { id, number }: { id: string; number: number },
  input: EndpointInput,
  now: number,
  rule: SecretRule = {},
): { change: ConfigChange; endpoint: EndpointRecord; secret: string | undefined } {
  assertRoom(config, input.wire_profile);
  assertNameFree(config, input.name, undefined);
  refuseRedacted(input.secret);
  const place: SecretPlace = { keyring, config, endpointId: id };
  const secrets = input.secret === undefined ? secretsWithout(place, rule) : onlySecret(place, input.secret);
  const endpoint: EndpointRecord = {
    id,
    number,
    ...ownOf(input),
    headersSealed: sealHeaders(keyring, { app: config.app, endpointId: id }, input.headers, {}),
    ...secrets,
    disabledReason: null,
    paused: false,
    createdAt: now,
    updatedAt: now,
  };
  return {
    change: { endpoints: { [id]: endpoint } },
    endpoint,
    secret: presentSecret(place, secrets.secrets),
  };
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
  rule: SecretRule = {},
): ConfigChange {
  const present = endpointOf(config, id);
  assertNameFree(config, input.name, id);
  const own: Own = {
    name: given(input.name, present.name, null),
    url: input.url ?? present.url,
    description: given(input.description, present.description, ''),
    eventTypes: given(input.event_types, present.eventTypes, []),
    environments: given(input.environments, present.environments, []),
    ...expressions(
      given(input.filter, present.filter, undefined),
      given(input.transform, present.transform, undefined),
    ),
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
  return changed(keyring, config, present, own, headers, input.secret, now, rule);
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
  const { secretOptional: _, ...endpoint } = endpointOf(config, id);
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

/**
 * Room for one endpoint more: the app's `max_endpoints` counts them all, its wire profile's those that have that profile.
 * @param wireProfile of the one to come; none: its app's
 * @throws SealpostError endpoint_limit_reached
 */
export function assertRoom(config: AppConfig, wireProfile: WireProfileSetting | null | undefined): void {
  const { maxEndpoints, wireProfile: usual } = config.record;
  if (maxEndpoints === null) assertRoomInProfile(config, wireProfileOf(wireProfile ?? usual));
  else if (config.endpoints.size >= maxEndpoints) {
    throw new SealpostError('endpoint_limit_reached', `This app may have ${maxEndpoints} endpoints.`);
  }
}

function assertRoomInProfile({ record, endpoints }: AppConfig, { name, limits }: WireProfile): void {
  const limit = limits?.maxEndpoints;
  if (limit === undefined || endpoints.size < limit) return;
  let alike = 0;
  for (const endpoint of endpoints.values()) {
    if (effectiveWireProfile(record, endpoint).name === name) alike += 1;
  }
  if (alike < limit) return;
  throw new SealpostError(
    'endpoint_limit_reached',
    `This app may have ${limit} endpoints with the wire profile ${name}, unless its max_endpoints says otherwise.`,
  );
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
  rule: SecretRule = {},
): ConfigChange {
  const { id } = present;
  const profile = effectiveWireProfile(config.record, { ...present, wireProfile: own.wireProfile });
  const moves = profile.name !== effectiveWireProfile(config.record, present).name;
  if (moves && config.record.maxEndpoints === null) assertRoomInProfile(config, profile);
  const headersSealed =
    headers === undefined
      ? present.headersSealed
      : sealHeaders(keyring, { app: config.app, endpointId: id }, headers, present.headersSealed);
  const place = { keyring, config, endpointId: id };
  // What the app gives is said by being absent, as is that there is no expression, and that there must be a secret.
  const {
    rateLimit: _limit,
    quietHours: _hours,
    filter: _filter,
    transform: _transform,
    secretOptional: _optional,
    ...kept
  } = present;
  const endpoint: EndpointRecord = {
    ...kept,
    ...own,
    headersSealed,
    ...secretsAfter(place, present, secret, now, rule),
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
  rule: SecretRule,
): Secrets {
  if (secret === undefined || secret === REDACTED) {
    const { secretOptional } = present;
    return { secrets: liveSecrets(present.secrets, now), ...(secretOptional && { secretOptional }) };
  }
  return secret === null ? secretsWithout(place, rule) : onlySecret(place, secret);
}

function secretsWithout(place: SecretPlace, { secretOptional = false }: SecretRule): Secrets {
  return secretOptional ? noSecret() : defaultSecrets(place);
}

function ownOf(input: EndpointInput | EndpointPut): Own {
  return {
    name: input.name ?? null,
    url: input.url,
    description: input.description,
    eventTypes: input.event_types,
    environments: input.environments,
    ...expressions(input.filter, input.transform),
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

function expressions(
  filter: string | null | undefined,
  transform: string | null | undefined,
): Pick<EndpointRecord, 'filter' | 'transform'> {
  return { ...(filter && { filter }), ...(transform && { transform }) };
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
