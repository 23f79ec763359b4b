import type { AddressPolicy, InputParser, Keyring } from '@sealpost/core';
import type { Shards } from '@sealpost/queue';
import type { Expressions } from '@sealpost/sandbox';
import type { Configs, Deliveries, Events, Idempotency } from '@sealpost/store';
import type { Logger, Metrics } from '@sealpost/telemetry';
import type { Settings } from './config.ts';
import type { FirstAttempts } from './ingest/await-first-attempts.ts';
import type { PublishEvents } from './ingest/publish-events.ts';

/** What the routes work with; made once, in main.ts. */
export type Services = {
  settings: Settings;
  logger: Logger;
  metrics: Metrics<'api'>;
  keyring: Keyring;
  policy: AddressPolicy;
  /** Parses bodies, with this deployment's rule for URLs. */
  parser: InputParser;
  shards: Shards;
  configs: Configs;
  events: Events;
  deliveries: Deliveries;
  idempotency: Idempotency;
  publish: PublishEvents;
  firstAttempts: FirstAttempts;
  expressions: Expressions;
  /** What is stored needs a master key that is not known here. */
  onUnknownKey?: () => void;
};
