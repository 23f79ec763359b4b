import { z } from 'zod';
import { STATUSES } from '../types.ts';
import * as fields from './fields.ts';

const MAX_LIMIT = 100;
const DEFAULT_LIMIT = 20;
const MAX_PAGE = 1_000_000_000;

/** Parameters are strings; digits become a number, and anything else stays to be refused. */
function fromDigits(value: unknown): unknown {
  return typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
}

const page = z.preprocess(fromDigits, z.int().min(1).max(MAX_PAGE)).describe('From 1.');
const limit = z.preprocess(fromDigits, z.int().min(1).max(MAX_LIMIT)).describe('Entries of a page.');
const cursor = fields
  .text(512, /^[A-Za-z0-9_.~-]+$/, 'a cursor that a page returned')
  .describe('The `cursor` of the page before; instead of `page`.');

/** One or more statuses: repeated, or separated by commas. */
const statuses = z
  .preprocess(
    (value) =>
      (Array.isArray(value) ? value : [value]).flatMap((v) => (typeof v === 'string' ? v.split(',') : [v])),
    z.array(z.enum(STATUSES)).min(1).max(STATUSES.length),
  )
  .describe('One or more, separated by commas.');

const paging = {
  page: page.exactOptional(),
  limit: limit.default(DEFAULT_LIMIT),
  cursor: cursor.exactOptional(),
};

const filters = {
  status: statuses.exactOptional(),
  event_type: fields.eventType.exactOptional(),
  since: fields.time.describe('Created at this time or later.').exactOptional(),
  until: fields.time.describe('Created before this time.').exactOptional(),
};

/** `page` and `cursor` say the same thing in two ways. */
function pageOrCursor({ value, issues }: z.core.ParsePayload<{ page?: number; cursor?: string }>): void {
  if (value.page === undefined || value.cursor === undefined) return;
  issues.push({ code: 'custom', path: ['cursor'], input: value, message: 'cannot be used with page' });
}

/** Lists of apps, keys and endpoints. */
export const listQuery = z.strictObject(paging).check(pageOrCursor);

/** The deliveries of one endpoint. */
export const endpointDeliveriesQuery = z.strictObject({ ...paging, ...filters }).check(pageOrCursor);

const id = fields.text(64, /^[A-Za-z0-9_-]+$/, 'an id');

/** The deliveries of an app. */
export const deliveriesQuery = z
  .strictObject({
    ...paging,
    ...filters,
    endpoint_id: id.exactOptional(),
    event_id: id.exactOptional(),
    correlation_id: fields.correlationId.exactOptional(),
  })
  .check(pageOrCursor);

export type ListQuery = z.infer<typeof listQuery>;
export type EndpointDeliveriesQuery = z.infer<typeof endpointDeliveriesQuery>;
export type DeliveriesQuery = z.infer<typeof deliveriesQuery>;
