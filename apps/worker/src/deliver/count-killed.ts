import { LRUCache } from 'lru-cache';

/** Deliveries in a row whose expression was killed, after which its endpoint is disabled. */
const MOST_IN_A_ROW = 5;
const ENDPOINTS = 20_000;

/** Counts, for each endpoint, the deliveries in a row whose expression was killed; by this process alone. */
export class KilledInARow {
  readonly #counts = new LRUCache<string, number>({ max: ENDPOINTS });

  /** @returns whether the endpoint is to be disabled */
  note(endpointId: string, killed: boolean): boolean {
    if (!killed) {
      this.#counts.delete(endpointId);
      return false;
    }
    const count = (this.#counts.get(endpointId) ?? 0) + 1;
    this.#counts.set(endpointId, count);
    if (count < MOST_IN_A_ROW) return false;
    this.#counts.delete(endpointId);
    return true;
  }
}
