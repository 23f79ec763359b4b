import {
  type Keyring,
  KeyringError,
  type QuietHours,
  type RateLimit,
  type RetryPolicy,
  SealpostError,
  type WireProfileSetting,
} from '@sealpost/core';

/** Settings of an app, as stored. `signingSecret` and other `…Sealed` values are encrypted (Keyring.encrypt). */
export type AppRecord = {
  app: string;
  name: string | null;
  wireProfile: WireProfileSetting;
  signingSecretSealed: string | null;
  /** What counts for endpoints that say nothing themselves. */
  defaults: {
    retry?: Partial<RetryPolicy>;
    timeoutSeconds?: number;
    rateLimit?: RateLimit;
    quietHours?: QuietHours;
  };
  maxEndpoints: number | null;
  /** Whether endpoints without a delivery for 30 days are disabled. Absent: as their wire profile says. */
  disableIdle?: boolean;
  /** Whether events about its own endpoints are published in this app. */
  operationalEvents: boolean;
  metadata: Record<string, unknown>;
  createdAt: number;
  updatedAt: number;
};

export type EndpointSecret = {
  valueSealed: string /** ms epoch; absent: the present one */;
  expiresAt?: number;
};

export type EndpointRecord = {
  id: string;
  /** Owner number within the shard. */
  number: number;
  name: string | null;
  url: string;
  description: string | null;
  eventTypes: string[];
  environments: string[];
  /** CEL; absent: none. */
  filter?: string;
  transform?: string;
  /** Values are encrypted. */
  headersSealed: Record<string, string>;
  /** The present one first; none: the app's signing secret counts. */
  secrets: EndpointSecret[];
  /** With neither a secret of its own nor its app's, nothing is signed; any other endpoint always has one of the two. */
  secretOptional?: true;
  /** null: its app's. */
  wireProfile: WireProfileSetting | null;
  enabled: boolean;
  /** Why Sealpost disabled it itself. */
  disabledReason: string | null;
  retry: Partial<RetryPolicy> | null;
  timeoutSeconds: number | null;
  /** null: the built-in one. */
  maxConcurrency: number | null;
  ordered: boolean;
  /** Absent: the app's; null: none, whatever the app has. */
  rateLimit?: RateLimit | null;
  quietHours?: QuietHours | null;
  /** Its deliveries wait until it is resumed. */
  paused: boolean;
  metadata: Record<string, unknown>;
  createdAt: number;
  updatedAt: number;
};

export type KeyRecord = { id: string; name: string | null; createdAt: number };

/** `{key id}.{mac}.{json}`: who writes to Redis cannot make a record of his own, nor move one to another place. */
export function sealRecord(keyring: Keyring, app: string, field: string, record: object): string {
  const json = JSON.stringify(record);
  return `${keyring.mac(field, app, json)}.${json}`;
}

/** @throws SealpostError `config_invalid` when the record is not one that Sealpost wrote for this place. */
export function openRecord<T>(keyring: Keyring, app: string, field: string, stored: string): T {
  const end = stored.indexOf('.', stored.indexOf('.') + 1);
  const json = stored.slice(end + 1);
  const verdict = end < 0 ? 'invalid' : keyring.verifyMac(stored.slice(0, end), field, app, json);
  if (verdict === 'unknown_key') {
    throw new KeyringError(
      'unknown_key',
      `record ${field} of app ${app} was written with another master key`,
    );
  }
  if (verdict === 'invalid') {
    throw new SealpostError(
      'config_invalid',
      `The stored record ${field} of app ${app} was not written by Sealpost.`,
    );
  }
  return JSON.parse(json) as T;
}

/** What an attempt needs of an endpoint in the clear. Never logged, never stored. */
export type OpenedEndpoint = {
  headers: Record<string, string>;
  /** The present one first; `expiresAt`: ms epoch. */
  secrets: { value: string; expiresAt?: number }[];
};

/** Decrypts an endpoint's headers and secrets. @throws KeyringError */
export function openEndpoint(keyring: Keyring, app: string, endpoint: EndpointRecord): OpenedEndpoint {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(endpoint.headersSealed)) {
    headers[name] = keyring.decrypt(value, { app, record: endpoint.id, field: `header:${name}` });
  }
  const secrets = endpoint.secrets.map(({ valueSealed, ...secret }) => ({
    ...secret,
    value: keyring.decrypt(valueSealed, { app, record: endpoint.id, field: 'secret' }),
  }));
  return { headers, secrets };
}

/** Decrypts an app's signing secret; undefined when it has none. @throws KeyringError */
export function openSigningSecret(keyring: Keyring, record: AppRecord): string | undefined {
  if (record.signingSecretSealed === null) return undefined;
  return keyring.decrypt(record.signingSecretSealed, {
    app: record.app,
    record: 'app',
    field: 'signing_secret',
  });
}

/** The name that an app's stored record gives itself, for opening it; '' when this is no record: its MAC does not fit then. */
export function appNameIn(stored: string): string {
  const json = stored.slice(stored.indexOf('.', stored.indexOf('.') + 1) + 1);
  try {
    return String((JSON.parse(json) as Partial<AppRecord> | null)?.app);
  } catch {
    return '';
  }
}
