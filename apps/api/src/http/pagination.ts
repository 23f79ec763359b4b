import { SealpostError } from '@sealpost/core';
import { z } from 'zod';

/** Entries of a list that pages reach; further on, the cursor leads. */
const MAX_DEPTH = 10_000;

/** Which part of a list is asked for; with a cursor, `page` is 1 and means nothing. */
export type Page = { page: number; limit: number; cursor?: string };

/** What a list knows beside the entries of one page. */
export type Found = {
  total: number;
  /** More entries were not looked at: `total` is the least. */
  totalIsMinimum?: boolean;
  /** Where the next page begins; undefined at the end. */
  nextCursor?: string | undefined;
};

const pagination = z
  .object({
    page: z.int().nullable().describe('null when a cursor was given.'),
    limit: z.int(),
    total: z.int(),
    total_is_minimum: z.boolean().optional().describe('true: not all was looked at; there may be more.'),
    cursor: z.string().optional().describe('Leads to the next page; absent on the last.'),
  })
  .meta({ id: 'Pagination' });

/** A list's answer with this item; newest first. */
export function pagedAnswer<Item extends z.ZodType>(item: Item) {
  return z.object({ data: z.array(item), pagination });
}

/** @param further how to get at what lies behind the last page. @throws SealpostError page_too_deep */
export function pageOf(
  query: { page?: number; limit: number; cursor?: string },
  further = 'go on with the cursor that each page returns',
): Page {
  const { page = 1, limit, cursor } = query;
  if (page * limit > MAX_DEPTH) {
    throw new SealpostError('page_too_deep', `Pages reach ${MAX_DEPTH} entries; ${further}.`);
  }
  return { page, limit, ...(cursor !== undefined && { cursor }) };
}

export function paged<T>(data: T[], { page, limit, cursor }: Page, found: Found) {
  return {
    data,
    pagination: {
      page: cursor === undefined ? page : null,
      limit,
      total: found.total,
      ...(found.totalIsMinimum && { total_is_minimum: true }),
      ...(found.nextCursor !== undefined && { cursor: found.nextCursor }),
    },
  };
}

/**
 * Cuts a page out of a whole list.
 * @param list its name, so that another list's cursor is refused
 * @param entries in descending order of their keys
 * @param keyOf a text that no two entries share and that never changes: a cursor holds the last one seen, and stays
 * right when entries come and go
 * @throws SealpostError invalid_cursor
 */
export function cutPage<T>(
  list: string,
  entries: readonly T[],
  keyOf: (entry: T) => string,
  { page, limit, cursor }: Page,
): { data: T[]; found: Found } {
  let start = (page - 1) * limit;
  if (cursor !== undefined) {
    const after = readCursor(list, cursor);
    start = entries.findIndex((entry) => keyOf(entry) < after);
    if (start < 0) start = entries.length;
  }
  const data = entries.slice(start, start + limit);
  const last = data.at(-1);
  const more = last !== undefined && start + limit < entries.length;
  const nextCursor = more ? Buffer.from(`${list}:${keyOf(last)}`).toString('base64url') : undefined;
  return { data, found: { total: entries.length, nextCursor } };
}

function readCursor(list: string, cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  if (text.startsWith(`${list}:`)) return text.slice(list.length + 1);
  throw new SealpostError('invalid_cursor', 'The cursor is not one that this list gave out.');
}

const sorted = new WeakMap<object, readonly { id: string }[]>();

/**
 * What a config holds by descending id, which is newest first, since generated ids ascend. Kept as long as the config,
 * which never changes.
 */
export function newestIdFirst<T extends { id: string }>(entries: ReadonlyMap<string, T>): readonly T[] {
  const known = sorted.get(entries) as readonly T[] | undefined;
  if (known) return known;
  const list = [...entries.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  sorted.set(entries, list);
  return list;
}
