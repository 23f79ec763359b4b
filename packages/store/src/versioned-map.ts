/** Changes that are kept beside the shared entries before all are copied. */
const MOST_CHANGES = 100;

/**
 * A map that never changes. Its next version shares the entries with it, so that a change of one among thousands does
 * not copy them all. Entries keep their order; new ones come last.
 */
export class VersionedMap<T extends object> implements ReadonlyMap<string, T> {
  readonly #shared: ReadonlyMap<string, T>;
  /** What differs from `#shared`; null: deleted. */
  readonly #changes: ReadonlyMap<string, T | null>;
  readonly size: number;

  constructor(
    shared: ReadonlyMap<string, T> = new Map(),
    changes: ReadonlyMap<string, T | null> = new Map(),
  ) {
    this.#shared = shared;
    this.#changes = changes;
    let size = shared.size;
    for (const [key, value] of changes) size += (value === null ? 0 : 1) - (shared.has(key) ? 1 : 0);
    this.size = size;
  }

  /** The next version; null deletes. */
  with(changes: Readonly<Record<string, T | null>>): VersionedMap<T> {
    const entries = Object.entries(changes);
    if (entries.length === 0) return this;
    const all = new Map([...this.#changes, ...entries]);
    const next = new VersionedMap(this.#shared, all);
    return all.size > MOST_CHANGES ? new VersionedMap(new Map(next)) : next;
  }

  get(key: string): T | undefined {
    const changed = this.#changes.get(key);
    return changed === undefined ? this.#shared.get(key) : (changed ?? undefined);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  *entries(): MapIterator<[string, T]> {
    for (const [key, value] of this.#shared) {
      const changed = this.#changes.get(key);
      if (changed !== null) yield [key, changed ?? value];
    }
    for (const [key, value] of this.#changes) {
      if (value !== null && !this.#shared.has(key)) yield [key, value];
    }
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<T> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): MapIterator<[string, T]> {
    return this.entries();
  }

  forEach(callback: (value: T, key: string, map: ReadonlyMap<string, T>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }
}
