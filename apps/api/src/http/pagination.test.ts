import { describe, expect, it } from 'vitest';
import { cutPage, newestIdFirst, paged, pageOf } from './pagination.ts';

const LETTERS = [...'gfedcba'];
const cut = (letters: string[], page: Parameters<typeof cutPage>[3], list = 'letters') =>
  cutPage(list, letters, (letter) => letter, page);

describe('pages', () => {
  it('reach 10,000 entries and no further', () => {
    expect(pageOf({ page: 100, limit: 100 })).toEqual({ page: 100, limit: 100 });
    expect(() => pageOf({ page: 101, limit: 100 })).toThrow(
      expect.objectContaining({ code: 'page_too_deep' }),
    );
  });

  it('begin with 1 and say the total', () => {
    const { data, found } = cut(LETTERS, pageOf({ limit: 3 }));
    expect(paged(data, { page: 1, limit: 3 }, found)).toEqual({
      data: ['g', 'f', 'e'],
      pagination: { page: 1, limit: 3, total: 7, cursor: expect.any(String) },
    });
  });

  it('are empty behind the end', () => {
    const { data, found } = cut(LETTERS, { page: 4, limit: 3 });
    expect(data).toEqual([]);
    expect(found).toEqual({ total: 7, nextCursor: undefined });
  });

  it('say when the total is a minimum', () => {
    const { pagination } = paged([], { page: 1, limit: 3 }, { total: 5, totalIsMinimum: true });
    expect(pagination).toEqual({ page: 1, limit: 3, total: 5, total_is_minimum: true });
  });
});

describe('cursors', () => {
  function next(list: string[], cursor: string | undefined, limit = 3) {
    return cut(list, { page: 1, limit, ...(cursor !== undefined && { cursor }) });
  }

  it('lead through the whole list, and the last page has none', () => {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { data, found } = next(LETTERS, cursor);
      seen.push(...data);
      cursor = found.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(LETTERS);
  });

  it('skip and repeat nothing when entries come in front and the last one seen goes away', () => {
    const { found } = next(LETTERS, undefined);
    const changed = ['h', ...LETTERS.filter((letter) => letter !== 'e')];
    expect(next(changed, found.nextCursor).data).toEqual(['d', 'c', 'b']);
  });

  it('of another list, or made up, are refused', () => {
    const { found } = next(LETTERS, undefined);
    const page = { page: 1, limit: 3, cursor: found.nextCursor! };
    expect(() => cut(LETTERS, page, 'others')).toThrow(expect.objectContaining({ code: 'invalid_cursor' }));
    expect(() => next(LETTERS, 'nonsense')).toThrow(expect.objectContaining({ code: 'invalid_cursor' }));
  });

  it('are answered without a page number', () => {
    const page = { page: 1, limit: 3, cursor: 'x' };
    expect(paged([], page, { total: 0 }).pagination.page).toBeNull();
  });
});

describe('newestIdFirst', () => {
  it('sorts by descending id', () => {
    const entries = new Map(['ep_b', 'ep_c', 'ep_a'].map((id) => [id, { id }]));
    expect(newestIdFirst(entries).map(({ id }) => id)).toEqual(['ep_c', 'ep_b', 'ep_a']);
  });
});
