/** What clients may send: a file per resource. `inputParser` and `parseQuery` apply them. */
export * from './schemas/app.ts';
export * from './schemas/endpoint.ts';
export * from './schemas/event.ts';
export * as fields from './schemas/fields.ts';
export { appId, eventId } from './schemas/fields.ts';
export { DEFAULT_MAX_CONCURRENCY } from './schemas/flow.ts';
export * from './schemas/parse.ts';
export * from './schemas/queries.ts';
export type { Attributes, EndpointHeaders, Metadata, Scalar } from './schemas/records.ts';
export { headers } from './schemas/records.ts';
export * from './schemas/replay.ts';
export * from './schemas/retry.ts';
export { wireProfile } from './schemas/wire-profile.ts';
