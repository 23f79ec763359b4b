import { compilePatterns, endpointNumber } from '@sealpost/core';
import type { AppRecord, EndpointRecord, KeyRecord } from './config-records.ts';
import type { ConfigChange } from './configs.ts';
import { VersionedMap } from './versioned-map.ts';

/** Different event types that one app's matches are remembered for. */
const REMEMBERED = 1000;

/** An app in one shard: its owner number there. */
export type AppPlace = { shard: number; number: number };

/** What one shard has of an app's records. Which endpoints it has is the same in all. */
export type AppPart = AppPlace & { endpoints: ReadonlyMap<string, EndpointRecord> };

/** Of an app that moves from shard to shard (docs/moving-apps.md). */
export type Moves = {
  /** Where it was before and still has records, the last one first; nothing is accepted there any more. */
  former?: readonly AppPlace[] | undefined;
  /** The place that is being prepared for it. */
  next?: AppPlace | undefined;
  /** Where it is now: this place is a former one. */
  movedTo?: AppPlace | undefined;
  /** Of a place that is not its home, but was or will be: the version of the home's config that it has been given. */
  follows?: number | undefined;
  /** Since when it is a former one, ms epoch. */
  leftAt?: number | undefined;
};

/** An app with its endpoints and keys, at one version. Never changed: a newer version is another object. */
export class AppConfig {
  readonly app: string;
  readonly shard: number;
  /** Owner number within the shard. */
  readonly number: number;
  readonly version: number;
  readonly record: AppRecord;
  readonly endpoints: VersionedMap<EndpointRecord>;
  /** By the hash of the key. */
  readonly keys: VersionedMap<KeyRecord>;
  readonly moves: Moves;
  #subscriptions: { endpoint: EndpointRecord; takes: (type: string) => boolean }[] | undefined;
  readonly #matches = new Map<string, EndpointRecord[]>();
  /** Endpoints' names → ids. Made when first asked for, and then handed on from version to version. */
  #names: Map<string, string> | undefined;

  constructor(
    place: { app: string; shard: number; number: number; version: number },
    record: AppRecord,
    endpoints: ReadonlyMap<string, EndpointRecord>,
    keys: ReadonlyMap<string, KeyRecord>,
    moves: Moves = {},
  ) {
    this.moves = moves;
    this.app = place.app;
    this.shard = place.shard;
    this.number = place.number;
    this.version = place.version;
    this.record = record;
    this.endpoints = endpoints instanceof VersionedMap ? endpoints : new VersionedMap(endpoints);
    this.keys = keys instanceof VersionedMap ? keys : new VersionedMap(keys);
  }

  /** The config after a change that was written as `version`. */
  next(version: number, change: ConfigChange): AppConfig {
    const next = new AppConfig(
      { app: this.app, shard: this.shard, number: this.number, version },
      change.record ?? this.record,
      this.endpoints.with(change.endpoints ?? {}),
      this.keys.with(change.keys ?? {}),
      { ...this.moves, ...change.moves },
    );
    const names = this.#names;
    if (names) {
      this.#names = undefined;
      for (const [id, endpoint] of Object.entries(change.endpoints ?? {})) {
        const former = this.endpoints.get(id)?.name ?? null;
        if (former !== null && names.get(former) === id) names.delete(former);
        if (endpoint && endpoint.name !== null) names.set(endpoint.name, id);
      }
      next.#names = names;
    }
    return next;
  }

  /** Where its records are, newest first: at home, then where it was before. */
  get parts(): AppPart[] {
    const { shard, number, endpoints, moves } = this;
    const former = (moves.former ?? []).map((place) => ({ ...place, endpoints }));
    return [{ shard, number, endpoints }, ...former];
  }

  /**
   * The same app as another of its shards has it: under other numbers.
   * @param has the endpoints that are wanted
   * @throws RangeError when an endpoint's number is too high to be told there
   */
  at(place: AppPlace, has: (id: string) => boolean = () => true): AppConfig {
    const wanted = [...this.endpoints].filter(([id]) => has(id));
    const endpoints = wanted.map(([id, endpoint]): [string, EndpointRecord] => {
      const number = endpointNumber(place.shard, id);
      if (number === undefined) throw new RangeError(`endpoint ${id} cannot be numbered in another shard`);
      return [id, { ...endpoint, number }];
    });
    const { app, version, record, keys } = this;
    return new AppConfig({ app, ...place, version }, record, new Map(endpoints), keys);
  }

  endpointNamed(name: string): EndpointRecord | undefined {
    this.#names ??= new Map(
      [...this.endpoints.values()].flatMap(({ name, id }) => (name === null ? [] : [[name, id]])),
    );
    const id = this.#names.get(name);
    return id === undefined ? undefined : this.endpoints.get(id);
  }

  /** Endpoints subscribed to an event of this type and environment, disabled ones among them. */
  match(type: string, environment: string | undefined): readonly EndpointRecord[] {
    const key = environment === undefined ? type : `${type}\0${environment}`;
    let found = this.#matches.get(key);
    if (!found) {
      this.#subscriptions ??= [...this.endpoints.values()].map((endpoint) => ({
        endpoint,
        takes: compilePatterns(endpoint.eventTypes),
      }));
      found = this.#subscriptions
        .filter(({ endpoint, takes }) => takes(type) && inEnvironment(endpoint, environment))
        .map(({ endpoint }) => endpoint);
      if (this.#matches.size >= REMEMBERED) this.#matches.clear();
      this.#matches.set(key, found);
    }
    return found;
  }
}

/** An endpoint that names environments wants no event of another, or of none. */
function inEnvironment(endpoint: EndpointRecord, environment: string | undefined): boolean {
  return (
    endpoint.environments.length === 0 ||
    (environment !== undefined && endpoint.environments.includes(environment))
  );
}
