import {
  type DeliveryStatus,
  endpointNumber,
  formatId,
  parseId,
  SealpostError,
  STATUSES,
} from '@sealpost/core';
import type { AttemptRecord, Shard, Shards } from '@sealpost/queue';
import type { AppConfig, AppPart } from './app-config.ts';
import type { Deliveries, Delivery, DeliveryPage } from './deliveries.ts';
import type { DeliveryFilter } from './delivery-filter.ts';
import { latestDurations } from './endpoint-latency.ts';
import { deliveryNumbers, type Events, type StoredEvent } from './events.ts';
import { type LaneState, readLaneState } from './lane-state.ts';
import { listParts } from './list-parts.ts';
import {
  createReplay,
  findReplay,
  isReplayRequest,
  type Replay,
  type ReplayFilter,
  replayRunning,
  runningReplay,
  together,
} from './replays.ts';

type Counts = Record<DeliveryStatus, number>;
export type FoundDelivery = { shard: Shard; part: AppPart; delivery: Delivery };
export type FoundEvent = { shard: Shard; part: AppPart; event: StoredEvent };

/**
 * An app's records, in whichever shards they lie: one as a rule, and more for some days after an app has moved
 * (docs/moving-apps.md). A made id tells its shard; what has no such id is looked for at home first.
 */
export class Records {
  readonly #shards: Shards;
  readonly #deliveries: Deliveries;
  readonly #events: Events;

  constructor({ shards, deliveries, events }: { shards: Shards; deliveries: Deliveries; events: Events }) {
    this.#shards = shards;
    this.#deliveries = deliveries;
    this.#events = events;
  }

  /** Undefined: there is none, or it is another app's. */
  async findDelivery(config: AppConfig, id: string): Promise<FoundDelivery | undefined> {
    const place = parseId('dlv', id);
    const part = config.parts.find(({ shard }) => shard === place?.shard);
    if (!part) return undefined;
    const shard = this.#shards.get(part.shard);
    const delivery = await this.#deliveries.find(shard, part, id);
    return delivery && { shard, part, delivery };
  }

  /** By the id that receivers see, made or the producer's own. Undefined: as above. */
  async findEvent(config: AppConfig, id: string): Promise<FoundEvent | undefined> {
    for (const part of config.parts) {
      const shard = this.#shards.get(part.shard);
      const event = await this.#events.find(shard, part, id);
      if (event) return { shard, part, event };
    }
    return undefined;
  }

  deliveriesOf({ shard, event }: FoundEvent): Promise<Delivery[]> {
    return this.#deliveries.read(shard, deliveryNumbers(event));
  }

  /** Deliveries by their ids, which must be the app's, in the same order; those that are kept no longer are left out. */
  async readDeliveries(ids: readonly string[]): Promise<Delivery[]> {
    const found = new Map<string, Delivery>();
    await this.#inShards(ids, 'dlv', async (shard, numbers) => {
      for (const delivery of await this.#deliveries.read(shard, numbers)) found.set(delivery.id, delivery);
    });
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  /** One page, newest first, as `Deliveries.list`. @throws SealpostError invalid_cursor */
  async list(
    config: AppConfig,
    { event, ...filter }: DeliveryFilter & { event?: string | undefined },
    page: { page: number; limit: number; cursor?: string | undefined },
  ): Promise<DeliveryPage> {
    let parts = config.parts;
    let numbers: number[] | undefined;
    if (event !== undefined) {
      const found = await this.findEvent(config, event);
      numbers = found ? deliveryNumbers(found.event) : [];
      if (found) parts = [found.part];
    }
    return listParts(this.#deliveries, this.#shards, parts, { ...filter, numbers }, page);
  }

  /** The last attempt of each, in the same order; see `Deliveries.lastAttempts`. */
  async lastAttempts(deliveries: readonly Delivery[]): Promise<(AttemptRecord | undefined)[]> {
    const found = new Map<Delivery, AttemptRecord | undefined>();
    for (const [shard, some] of Map.groupBy(deliveries, ({ id }) => parseId('dlv', id)!.shard)) {
      const attempts = await this.#deliveries.lastAttempts(this.#shards.get(shard), some);
      some.forEach((delivery, i) => {
        found.set(delivery, attempts[i]);
      });
    }
    return deliveries.map((delivery) => found.get(delivery));
  }

  /** Of the deliveries' events within their correlation, in the same order; null: none, or no longer kept. */
  async sequences(deliveries: readonly Delivery[]): Promise<(number | null)[]> {
    const found = new Map<Delivery, number | null>();
    for (const [shard, some] of Map.groupBy(deliveries, ({ id }) => parseId('dlv', id)!.shard)) {
      const numbers = some.map(({ record }) => record.event);
      const sequences = await this.#events.sequences(this.#shards.get(shard), numbers);
      some.forEach((delivery, i) => {
        found.set(delivery, sequences[i] ?? null);
      });
    }
    return deliveries.map((delivery) => found.get(delivery) ?? null);
  }

  /** How many deliveries the app has, by status. */
  counts(config: AppConfig): Promise<Counts> {
    return this.#sum(config.parts.map((part) => [part, `c:${part.number}`]));
  }

  endpointCounts(config: AppConfig, endpoint: string): Promise<Counts> {
    return this.#sum(this.#lanesOf(config, endpoint).map(({ part, number }) => [part, `c:${number}`]));
  }

  /** Undefined: no event that is still kept has this correlation id. */
  async correlation(config: AppConfig, id: string): Promise<{ events: number; counts: Counts } | undefined> {
    const keys = config.parts.map((part): [AppPart, string] => [part, `k:${part.number}:${id}`]);
    const [counts, ...sequences] = await Promise.all([
      this.#sum(keys),
      ...keys.map(([{ shard }, key]) =>
        this.#shards.get(shard).client.hget(this.#shards.get(shard).key(key), 'seq'),
      ),
    ]);
    // Each goes on counting where the one before it stopped.
    const events = Math.max(...sequences.map((sequence) => Number(sequence ?? 0)));
    return events > 0 ? { events, counts } : undefined;
  }

  /** How an endpoint's lane stands: what waits and runs is a sum, all else is as at home. */
  async laneState(config: AppConfig, endpoint: string, now: number): Promise<LaneState> {
    const lanes = this.#lanesOf(config, endpoint);
    const states = await Promise.all(lanes.map(({ shard, number }) => readLaneState(shard, number, now)));
    const [home] = states as [LaneState, ...LaneState[]];
    const closed = states.find(({ closedSince }) => closedSince !== null);
    return {
      ...home,
      state: home.state === 'open' && closed ? 'closed' : home.state,
      heldUntil: home.heldUntil ?? closed?.heldUntil ?? null,
      failingSince: home.failingSince ?? closed?.failingSince ?? null,
      closedSince: closed?.closedSince ?? null,
      queued: states.reduce((sum, { queued }) => sum + queued, 0),
      inFlight: states.reduce((sum, { inFlight }) => sum + inFlight, 0),
    };
  }

  /** How long the latest attempts of the newest deliveries took, ms: of those at home, while there are any. */
  async latestDurations(config: AppConfig, endpoint: string): Promise<number[]> {
    for (const { shard, number } of this.#lanesOf(config, endpoint)) {
      const durations = await latestDurations(shard, number);
      if (durations.length > 0) return durations;
    }
    return [];
  }

  /**
   * Starts a replay, in each shard where the endpoint has deliveries; the one at home tells of them all.
   * @throws SealpostError replay_running
   */
  async createReplay(
    config: AppConfig,
    endpoint: string,
    filter: ReplayFilter,
    now: number,
    request?: string,
  ): Promise<Replay> {
    const [home, ...others] = this.#lanesOf(config, endpoint);
    if (others.length === 0) return createReplay(home!.shard, home!.part, home!.number, filter, now, request);
    const parts: string[] = [];
    const former: typeof others = [];
    for (const lane of others) {
      if ((await lane.shard.client.exists(lane.shard.key(`x:${lane.number}`))) > 0) former.push(lane);
    }
    await this.#assertNoneRuns([home!, ...former], request);
    for (const { shard, part, number } of former) {
      parts.push((await createReplay(shard, part, number, filter, now, request)).id);
    }
    const { shard, part, number } = home!;
    const replay = await createReplay(shard, part, number, { ...filter, parts }, now, request);
    return (await this.findReplay(config, replay.id)) ?? replay;
  }

  /** Undefined: there is none, or it is another app's. */
  async findReplay(config: AppConfig, id: string): Promise<Replay | undefined> {
    const place = parseId('rpl', id);
    const part = config.parts.find(({ shard }) => shard === place?.shard);
    const replay = part && (await findReplay(this.#shards.get(part.shard), part, id));
    if (!replay?.filter.parts) return replay;
    const others = await Promise.all(replay.filter.parts.map((other) => this.findReplay(config, other)));
    return together(
      replay,
      others.filter((other) => other !== undefined),
    );
  }

  /** @param request what this very request has begun may run */
  async #assertNoneRuns(
    lanes: readonly { shard: Shard; number: number }[],
    request: string | undefined,
  ): Promise<void> {
    for (const { shard, number } of lanes) {
      if (request !== undefined && (await isReplayRequest(shard, request))) continue;
      const running = await runningReplay(shard, number);
      if (running !== undefined) throw replayRunning(formatId('rpl', shard.number, running));
    }
  }

  /** Where an endpoint has lanes and indexes. @throws SealpostError endpoint_not_found */
  #lanesOf(config: AppConfig, endpoint: string): { shard: Shard; part: AppPart; number: number }[] {
    const lanes = config.parts.flatMap((part) => {
      const number = endpointNumber(part.shard, endpoint);
      return number === undefined ? [] : [{ shard: this.#shards.get(part.shard), part, number }];
    });
    if (lanes.length > 0) return lanes;
    throw new SealpostError('endpoint_not_found', `There is no endpoint ${endpoint}.`);
  }

  async #sum(keys: [AppPart, string][]): Promise<Counts> {
    const all = await Promise.all(
      keys.map(([{ shard }, key]) => this.#deliveries.counts(this.#shards.get(shard), key)),
    );
    const sums = STATUSES.map((status) => [status, all.reduce((sum, counts) => sum + counts[status], 0)]);
    return Object.fromEntries(sums) as Counts;
  }

  async #inShards(
    ids: readonly string[],
    kind: 'dlv',
    read: (shard: Shard, numbers: number[]) => Promise<void>,
  ): Promise<void> {
    const places = ids.flatMap((id) => parseId(kind, id) ?? []);
    await Promise.all(
      [...Map.groupBy(places, ({ shard }) => shard)].map(([shard, some]) =>
        read(
          this.#shards.get(shard),
          some.map(({ number }) => number),
        ),
      ),
    );
  }
}
