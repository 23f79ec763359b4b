export type * from './api-types.ts';
export { type CloseOptions, type PublishOptions, SealpostClient } from './client.ts';
export { type ClientErrorCode, PublishError, type PublishErrorCode } from './errors.ts';
export type { SealpostEvent } from './event-text.ts';
export type { ClientOptions, Retrying } from './options.ts';
export type { BulkOptions, BulkResult } from './publish-stream.ts';
