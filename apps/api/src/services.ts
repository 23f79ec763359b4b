import type { AddressPolicy, InputParser, Keyring } from '@sealpost/core';
import type { Shards } from '@sealpost/queue';
import type { Expressions } from '@sealpost/sandbox';
import type { Configs, Deliveries, Events, Idempotency, Records } from '@sealpost/store';
import type { Logger, Metrics, Tracing } from '@sealpost/telemetry';
import type { Settings } from './config.ts';
import type { FirstAttempts } from './ingest/await-first-attempts.ts';
import type { PublishEvents } from './ingest/publish-events.ts';

/** What the routes work with; made once, in main.ts. */
export type Services = {
  settings: Settings;
  logger: Logger;
  metrics: Metrics<'api'>;
  tracing: Tracing;
  keyring: Keyring;
  policy: AddressPolicy;
  /** Parses bodies, with this deployment's rule for URLs. */
  parser: InputParser;
  shards: Shards;
  configs: Configs;
  events: Events;
  deliveries: Deliveries;
  /** Of an app, in whichever shards they lie. */
  records: Records;
  idempotency: Idempotency;
  publish: PublishEvents;
  firstAttempts: FirstAttempts;
  expressions: Expressions;
  /** What is stored needs a master key that is not known here. */
  onUnknownKey?: () => void;
};
